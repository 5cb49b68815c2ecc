package controller

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/document"
)

func TestConfigurationChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		r := c.start("a")
		c.add("first")
		c.add("second")
		settle()
		c.want("first", "- -") // nothing was ever accepted
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "there is no ConfigMap system/config") {
			t.Errorf("without a configuration Ready = %v", err)
		}
		c.configure(pool("10.0.0.1"))
		c.want("first", "10.0.0.1 Allocated")
		c.want("second", "- PoolExhausted")
		if err := r.Ready(); err != nil {
			t.Errorf("Ready = %v", err)
		}

		c.configure(pool("10.0.0.1-10.0.0.2"))
		c.want("second", "10.0.0.2 Allocated")

		// A pool that is renamed, a document that is not valid or says nothing, and none at all move nobody.
		c.configure(strings.Replace(pool("10.0.0.1-10.0.0.2"), "main", "other", 1))
		c.want("second", "10.0.0.2 Allocated")
		c.written()
		for _, text := range []string{pool("10.0.0.1-nonsense"), "enabled: false", ""} {
			c.configure(text)
			wantStale(t, r, 1)
			if s := r.Status(); s.Config.Problem == "" || s.Config.Generation != 3 || !s.Leading || r.Ready() != nil {
				t.Errorf("with %q the status is %+v and Ready %v", text, s, r.Ready())
			}
		}
		c.add("third")
		settle()
		c.want("third", "- PoolExhausted") // the last good one is in force
		if got := c.written(); len(got) != 1 {
			t.Errorf("written %q, want prod/third only", got)
		}
		c.wantEvents("config", "ConfigAccepted", "ConfigAccepted", "ConfigAccepted", "ConfigRefused", "ConfigRefused")

		c.configure(pool("10.0.0.1-10.0.0.3"))
		c.want("third", "10.0.0.3 Allocated")
		wantStale(t, r, 0)
		if got := r.Status().Config; got != (ConfigStatus{Generation: 4}) {
			t.Errorf("a good document leaves %+v", got)
		}
		if got := c.kept(); got != pool("10.0.0.1-10.0.0.3")+" 4" {
			t.Errorf("kept is %q", got)
		}
	})
}

func wantStale(t *testing.T, r *replica, want int) {
	t.Helper()
	text := fmt.Sprintf("# HELP network_lb_config_stale 1 while the configuration document that is there now is not the one in force.\n"+
		"# TYPE network_lb_config_stale gauge\nnetwork_lb_config_stale %d\n", want)
	if err := testutil.GatherAndCompare(r.Metrics(), strings.NewReader(text), "network_lb_config_stale"); err != nil {
		t.Error(err)
	}
}

// A document that takes an address from a Service is refused as a whole until it says so itself, or nobody has the
// address any more.
func TestNothingIsTakenSilently(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.2"))
		r := c.start("a")
		c.add("first")
		c.add("second")
		settle()
		before := c.kept()
		less := pool("10.0.0.2", "10.9.0.0/30")
		c.configure(less)
		c.want("first", "10.0.0.1 Allocated")
		wantStale(t, r, 1)
		want := "1 address would be taken from a Service; if that is meant, list the address or its pool under release: " +
			"10.0.0.1 of prod/first, pool main (10.0.0.1 is in no pool)"
		if got := r.Status().Config.Problem; got != want {
			t.Errorf("the problem is\n%s\nwant\n%s", got, want)
		}
		if got := c.kept(); got != before {
			t.Errorf("kept is %q", got)
		}
		time.Sleep(time.Minute)
		c.wantEvents("config", "ConfigAccepted", "ConfigRefused")

		c.configure("release: [10.0.0.1]\n" + less)
		c.want("first", "10.9.0.0 Allocated")
		c.want("second", "10.0.0.2 Allocated")
		wantStale(t, r, 0)
		c.wantEvents("config", "ConfigAccepted", "ConfigRefused", "ConfigAccepted")
		c.wantEvents("first", "Allocated", "AddressLost", "Allocated")
		c.wantEvents("second", "Allocated")

		c.configure(pool("10.9.0.0/30"))
		c.want("second", "10.0.0.2 Allocated")
		c.remove("second")
		time.Sleep(recheckInterval)
		settle()
		wantStale(t, r, 0)
		c.wantEvents("config", "ConfigAccepted", "ConfigRefused", "ConfigAccepted", "ConfigRefused", "ConfigAccepted")
	})
}

// What is in force outlives the processes, also while something else is written.
func TestStartsWithWhatWasAccepted(t *testing.T) {
	for _, written := range []string{"nonsense", "", pool("10.0.0.2-10.0.0.9")} {
		inBubble(t, func(t *testing.T, c *cluster) {
			c.configure(pool("10.0.0.1-10.0.0.2"))
			a := c.start("a")
			c.add("first")
			settle()
			if err := a.end(); err != nil {
				t.Fatal(err)
			}
			kept := c.kept()
			c.configure(written)
			b := c.start("b")
			if err := b.Ready(); err != nil {
				t.Errorf("%q: Ready = %v", written, err)
			}
			wantStale(t, b, 1)
			c.add("second")
			settle()
			c.want("first", "10.0.0.1 Allocated")
			c.want("second", "10.0.0.2 Allocated")
			if got := c.kept(); got != kept {
				t.Errorf("%q: kept is %q", written, got)
			}
		})
	}
}

// The copy is put right when a hand has changed it, and a document is in force only when its copy is kept.
func TestTheAcceptedCopy(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		r := c.start("a")
		good := c.kept()
		for _, data := range []map[string][]byte{nil, {document.Key: []byte("nonsense")}, {document.Key: []byte(pool("10.7.0.1"))}} {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "last-good"}, Data: data}
			if _, err := c.CoreV1().Secrets("system").Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			settle()
			if got := c.kept(); got != good {
				t.Errorf("after %q kept is %q", data, got)
			}
		}
		var away atomic.Bool
		away.Store(true)
		c.PrependReactor("patch", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("connection refused")
		})
		c.add("first")
		c.add("second")
		settle()
		c.configure(pool("10.0.0.1-10.0.0.2"))
		c.want("second", "- PoolExhausted")
		wantStale(t, r, 1)
		away.Store(false)
		time.Sleep(saveRetry)
		settle()
		c.want("second", "10.0.0.2 Allocated")
		wantStale(t, r, 0)

		if err := c.CoreV1().Secrets("system").Delete(t.Context(), "last-good", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		wantStale(t, r, 1)
		c.want("second", "10.0.0.2 Allocated")
	})
}

// The first document takes effect only when its copy is kept.
func TestFirstDocumentIsKeptFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		var away atomic.Bool
		away.Store(true)
		c.PrependReactor("patch", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("connection refused")
		})
		c.configure(pool("10.0.0.1"))
		c.start("a")
		c.add("web")
		settle()
		c.want("web", "- -")
		away.Store(false)
		time.Sleep(saveRetry)
		settle()
		c.want("web", "10.0.0.1 Allocated")
	})
}

// Where it is not known any more what was in force, a document that leaves out what we have assigned takes nothing.
func TestSpoiltCopyTakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		a := c.start("a")
		c.add("web")
		settle()
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		spoilt := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "last-good"}, Data: map[string][]byte{document.Key: []byte("nonsense")},
		}
		if _, err := c.CoreV1().Secrets("system").Update(t.Context(), spoilt, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.configure(pool("10.9.0.0/30"))
		cfg, _, err := config.Parse([]byte(pool("10.9.0.0/30")))
		if err != nil {
			t.Fatal(err)
		}
		if err := Preview(t.Context(), c, document.InSecret("system", "last-good"), cfg); !errors.Is(err, ErrRefused) {
			t.Errorf("the preview says %v", err)
		}
		b := c.start("b")
		c.want("web", "10.0.0.1 Allocated")
		if err := b.Ready(); err == nil || !strings.Contains(b.Status().Config.Problem, "10.0.0.1 of prod/web (10.0.0.1 is in no pool)") {
			t.Errorf("Ready = %v, %+v", err, b.Status().Config)
		}
		c.configure(pool("10.0.0.1", "10.9.0.0/30"))
		time.Sleep(recheckInterval)
		settle()
		c.want("web", "10.0.0.1 Allocated")
		if err := b.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// A Secret that is deleted leaves the replicas ready: what it held is in force.
func TestReadyWithoutTheCopy(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		leader, follower := c.start("a"), c.start("b")
		if err := c.CoreV1().Secrets("system").Delete(t.Context(), "last-good", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		for _, r := range []*replica{leader, follower} {
			if err := r.Ready(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A sentence names some losses, and counts the others.
func TestManyLosses(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		r := c.start("a")
		for i := range 20 {
			c.add(fmt.Sprintf("web-%02d", i))
		}
		settle()
		c.configure(pool("10.9.0.0/24"))
		if got := r.Status().Config.Problem; !strings.HasPrefix(got, "20 addresses would be taken") || strings.Contains(got, "web-08") ||
			!strings.Contains(got, "10.0.0.7 of prod/web-07, pool main (10.0.0.7 is in no pool) and 12 more;") || len(got) > 1024 {
			t.Errorf("%d bytes: %s", len(got), got)
		}
		if got := c.report("main").Status.Refused; len(got) != 20 {
			t.Errorf("the report lists %d", len(got))
		}
		c.configure(pool("10.0.0.0/24"))
		if got := c.report("main").Status.Refused; len(got) > 0 {
			t.Errorf("the report still lists %d", len(got))
		}
	})
}

// Without a place for the copy nothing is accepted: speakers could not follow.
func TestWithoutAPlaceForTheCopy(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		if err := c.CoreV1().Secrets("system").Delete(t.Context(), "last-good", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.configure(pool("10.0.0.1"))
		r := c.start("a")
		c.add("web")
		settle()
		c.want("web", "- -")
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "there is no Secret system/last-good") {
			t.Errorf("Ready = %v", err)
		}
		c.wantEvents("config", "ConfigRefused")
	})
}

// The leader tells of a refused document once, also one that was there before it led, and nobody else does.
func TestRefusedDocumentIsToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure("address_pools: []")
		a := c.start("a")
		c.start("b")
		c.wantEvents("config", "ConfigRefused")
		c.configure("address_pools: 1")
		c.wantEvents("config", "ConfigRefused", "ConfigRefused")
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		takeOver()
		if c.holder() != "b" {
			t.Fatalf("%q leads", c.holder())
		}
		c.wantEvents("config", "ConfigRefused", "ConfigRefused", "ConfigRefused")
	})
}

func TestDocumentThatWasGoodAgainIsNotTold(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure("address_pools: []")
		c.configure(pool("10.0.0.1"))
		c.start("a")
		c.wantEvents("config", "ConfigAccepted")
	})
}

func TestBeforeRun(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		r := New(Options{Client: c})
		defer r.queue.ShutDown()
		if err := r.Ready(); err == nil || err.Error() != "the Services, Namespaces and Nodes have not been read yet" {
			t.Errorf("Ready = %v", err)
		}
		if s := r.Status(); s.Leading || s.Config != (ConfigStatus{}) || s.Pools != nil {
			t.Errorf("Status = %+v", s)
		}
		if _, err := r.Metrics().Gather(); err != nil {
			t.Error(err)
		}
	})
}

func TestMetrics(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24", "fd00::/64"))
		leader, follower := c.start("a"), c.start("b")
		c.add("web")
		c.add("lost", asks("network-lb.kontena.io/address-pool", "none"))
		var refused atomic.Bool
		c.refusing(func(string) error {
			if refused.Swap(true) {
				return nil
			}
			return errors.New("no")
		})
		settle()
		for _, tt := range []struct {
			metrics prometheus.Gatherer
			want    string
		}{
			{leader.Metrics(), `
# HELP network_lb_api_errors_total Writes that the API server refused or did not answer, conflicts included, and that are tried again; a counter.
# TYPE network_lb_api_errors_total counter
network_lb_api_errors_total{operation="config"} 0
network_lb_api_errors_total{operation="report"} 0
network_lb_api_errors_total{operation="status"} 1
# HELP network_lb_config_generation How many configuration documents were accepted until the one in force; 0 with a file.
# TYPE network_lb_config_generation gauge
network_lb_config_generation 1
# HELP network_lb_config_stale 1 while the configuration document that is there now is not the one in force.
# TYPE network_lb_config_stale gauge
network_lb_config_stale 0
# HELP network_lb_controller_leading 1 in the replica that assigns addresses.
# TYPE network_lb_controller_leading gauge
network_lb_controller_leading 1
# HELP network_lb_pool_addresses Addresses in the pool.
# TYPE network_lb_pool_addresses gauge
network_lb_pool_addresses{family="IPv4",pool="main"} 256
network_lb_pool_addresses{family="IPv6",pool="main"} 1.8446744073709552e+19
# HELP network_lb_pool_addresses_in_use Addresses of the pool that a Service has.
# TYPE network_lb_pool_addresses_in_use gauge
network_lb_pool_addresses_in_use{family="IPv4",pool="main"} 1
network_lb_pool_addresses_in_use{family="IPv6",pool="main"} 0
# HELP network_lb_services_pending Services that wait for an address, by the reason in their condition.
# TYPE network_lb_services_pending gauge
network_lb_services_pending{reason="NoMatchingPool"} 1
`},
			{follower.Metrics(), `
# HELP network_lb_api_errors_total Writes that the API server refused or did not answer, conflicts included, and that are tried again; a counter.
# TYPE network_lb_api_errors_total counter
network_lb_api_errors_total{operation="config"} 0
network_lb_api_errors_total{operation="report"} 0
network_lb_api_errors_total{operation="status"} 0
# HELP network_lb_config_generation How many configuration documents were accepted until the one in force; 0 with a file.
# TYPE network_lb_config_generation gauge
network_lb_config_generation 1
# HELP network_lb_config_stale 1 while the configuration document that is there now is not the one in force.
# TYPE network_lb_config_stale gauge
network_lb_config_stale 0
# HELP network_lb_controller_leading 1 in the replica that assigns addresses.
# TYPE network_lb_controller_leading gauge
network_lb_controller_leading 0
`},
		} {
			names := []string{
				"network_lb_config_generation", "network_lb_config_stale", "network_lb_controller_leading", "network_lb_pool_addresses",
				"network_lb_pool_addresses_in_use", "network_lb_services_pending", "network_lb_api_errors_total",
			}
			if err := testutil.GatherAndCompare(tt.metrics, strings.NewReader(tt.want), names...); err != nil {
				t.Error(err)
			}
		}
		if got := leader.Status().Pools; len(got) != 2 || got[0].InUse != 1 || got[1].Size != "18446744073709551615" {
			t.Errorf("Status shows the pools %+v", got)
		}
		if err := follower.Ready(); err != nil {
			t.Errorf("a follower's Ready = %v", err)
		}
	})
}
