package controller

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/reports"
)

// There is a report before there is a Service, and what is forgotten leaves it although nothing else happens.
func TestReportsWithoutAChange(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure("address_pools: [{name: main, protocol: layer2, addresses: [10.0.0.1-10.0.0.9], sticky_ttl: 3m, cooldown: 1m}]\n")
		c.start("a")
		c.wantReport("main", "0/9 9 0 0 0")
		c.add("web")
		pass()
		c.remove("web")
		c.wantReport("main", "1/9 8 0 2 0")
		time.Sleep(time.Minute)
		synctest.Wait()
		c.wantReport("main", "0/9 9 0 1 0")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		c.wantReport("main", "0/9 9 0 0 0")
	})
}

// An API server that does not answer to reports holds up statuses for a second in total, not for one each.
func TestReportsThatHang(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		c.start("a")
		c.add("first")
		c.add("second")
		c.add("third")
		pass()
		hold := make(chan struct{})
		defer close(hold)
		c.dynamic.PrependReactor("update", "addresspools", func(clienttesting.Action) (bool, kruntime.Object, error) {
			<-hold
			return true, nil, errors.New("no answer")
		})
		c.remove("first")
		settle()
		c.want("second", "10.0.0.1 Allocated")
		if err := c.CoreV1().Services("prod").Delete(t.Context(), "second", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		c.want("third", "10.0.0.1 Allocated")
	})
}

// A status waits for what was asked for until then, not for what others ask for meanwhile.
func TestWaitEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		idle := New(Options{Client: c})
		defer idle.queue.ShutDown()
		r := &reporter{c: idle, wake: make(chan struct{}, 1), turned: make(chan struct{})}
		r.ask(true)
		var done atomic.Bool
		go func() { r.wait(t.Context()); done.Store(true) }()
		synctest.Wait()
		if done.Load() {
			t.Fatal("did not wait")
		}
		r.ask(true)
		r.mu.Lock()
		r.tried = 1
		r.tell()
		r.mu.Unlock()
		synctest.Wait()
		if !done.Load() {
			t.Error("waits for what was asked for later")
		}
	})
}

// Who shows an address waits until the release of it is asked to be written, although it has changed hands already.
func TestWaitsForWhoReleases(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		a := c.start("a")
		var done atomic.Bool
		a.handOver("", func() []ipam.Change {
			go func() { a.reporting().wait(t.Context()); done.Store(true) }()
			for range 1000 {
				runtime.Gosched()
			}
			if done.Load() {
				t.Error("did not wait")
			}
			return nil
		})
		settle()
		if !done.Load() {
			t.Error("still waits")
		}
	})
}

// One failure to read the ClusterRole costs neither the reports nor what is remembered.
func TestReportsAreOwned(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure("address_pools: [{name: main, protocol: layer2, addresses: [10.0.0.1-10.0.0.9], cooldown: 1h}]\n")
		a := c.start("a")
		c.add("first")
		pass()
		c.remove("first")
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		first := func(m reports.Release) bool { return m.Service == "prod/first" && m.Address == "10.0.0.1" }
		for _, failures := range []int32{1, 10} { // while it begins to lead, and for longer
			var n atomic.Int32
			c.PrependReactor("get", "clusterroles", func(clienttesting.Action) (bool, kruntime.Object, error) {
				return n.Add(1) <= failures, nil, apierrors.NewInternalError(errors.New("no leader"))
			})
			b := c.start(fmt.Sprint("b", failures))
			c.add(fmt.Sprint("web-", failures))
			settle()
			c.want(fmt.Sprint("web-", failures), map[int32]string{1: "10.0.0.2", 10: "10.0.0.1"}[failures]+" Allocated")
			time.Sleep(20 * time.Second)
			if r := c.report("main"); len(r.OwnerReferences) != 1 || !slices.ContainsFunc(r.Status.Remembered, first) || r.Status.Generation != 1 {
				t.Errorf("%d failures: %+v", failures, r)
			}
			if err := b.end(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A conflict is tried again when the cache has caught up, or now and then.
func TestReportsInConflict(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		c.start("a")
		c.add("first")
		pass()
		var conflict atomic.Bool
		conflict.Store(true)
		var tried atomic.Int32
		c.dynamic.PrependReactor("update", "addresspools", func(clienttesting.Action) (bool, kruntime.Object, error) {
			tried.Add(1)
			return conflict.Load(), nil, apierrors.NewConflict(reports.AddressPools.GroupResource(), "main", errors.New("modified"))
		})
		c.remove("first")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := tried.Load(); n < 20 || n > 60 {
			t.Errorf("%d tries in 20 seconds", n)
		}
		conflict.Store(false)
		settle()
		c.wantReport("main", "0/9 9 0 2 0")
	})
}

// A second write does not wait for the cache to learn of the first.
func TestReportsFromAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		a := c.start("a")
		c.add("first")
		pass()
		u := a.reporting().seen("main").DeepCopy()
		before := a.reporting().cached("main").DeepCopy()
		before.SetResourceVersion("11")
		if err := a.reporting().store.Update(before); err != nil {
			t.Fatal(err)
		}
		u.SetResourceVersion("12")
		a.reporting().note("main", u)
		a.reporting().learn(before) // late
		if got := a.reporting().seen("main"); got != u {
			t.Errorf("version %s", got.GetResourceVersion())
		}
		newest := u.DeepCopy()
		newest.SetResourceVersion("13")
		if err := a.reporting().store.Update(newest); err != nil {
			t.Fatal(err)
		}
		a.reporting().learn(newest)
		if got := a.reporting().seen("main"); got != newest {
			t.Errorf("version %s", got.GetResourceVersion())
		}
		a.reporting().note("main", u) // an answer that comes late
		if got := a.reporting().seen("main"); got != newest {
			t.Errorf("version %s", got.GetResourceVersion())
		}
	})
}

// Pending are the Services of this installation that wait for an address from it.
func TestPendingIsOurs(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		a := c.start("a")
		c.add("first")
		settle()
		c.add("waits")
		c.add("foreign", shows("", "192.0.2.1"))
		c.add("theirs", shows("PoolExhausted"), func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("other") })
		settle()
		c.want("foreign", "192.0.2.1 ForeignStatus")
		want := `# HELP network_lb_services_pending Services that wait for an address, by the reason in their condition.
# TYPE network_lb_services_pending gauge
network_lb_services_pending{reason="PoolExhausted"} 1
`
		if err := testutil.GatherAndCompare(a.Metrics(), strings.NewReader(want), "network_lb_services_pending"); err != nil {
			t.Error(err)
		}
	})
}
