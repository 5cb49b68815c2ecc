package controller

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
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
			stale := "# HELP network_lb_config_stale 1 while the configuration document is missing or not valid, so that an older one " +
				"or none is in force.\n# TYPE network_lb_config_stale gauge\nnetwork_lb_config_stale 1\n"
			if err := testutil.GatherAndCompare(r.Metrics(), strings.NewReader(stale), "network_lb_config_stale"); err != nil {
				t.Errorf("with %q: %v", text, err)
			}
			if s := r.Status(); !s.Stale || !s.Leading || r.Ready() != nil {
				t.Errorf("with %q the status is %+v and Ready %v", text, s, r.Ready())
			}
		}
		c.add("third")
		settle()
		c.want("third", "- PoolExhausted") // the last good one is in force
		if got := c.written(); len(got) != 1 {
			t.Errorf("written %q, want prod/third only", got)
		}
		c.wantEvents("config", "ConfigRefused", "ConfigRefused")

		c.configure(pool("10.0.0.1-10.0.0.3"))
		c.want("third", "10.0.0.3 Allocated")
		if r.Status().Stale {
			t.Error("a good document is stale")
		}
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
		settle()
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
		c.wantEvents("config")
	})
}

func TestBeforeRun(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		r := New(Options{Client: c})
		defer r.queue.ShutDown()
		if err := r.Ready(); err == nil || err.Error() != "the Services and Namespaces have not been read yet" {
			t.Errorf("Ready = %v", err)
		}
		if s := r.Status(); s.Leading || s.Stale || s.Pools != nil {
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
		settle()
		for _, tt := range []struct {
			metrics prometheus.Gatherer
			want    string
		}{
			{leader.Metrics(), `
# HELP network_lb_config_stale 1 while the configuration document is missing or not valid, so that an older one or none is in force.
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
`},
			{follower.Metrics(), `
# HELP network_lb_config_stale 1 while the configuration document is missing or not valid, so that an older one or none is in force.
# TYPE network_lb_config_stale gauge
network_lb_config_stale 0
# HELP network_lb_controller_leading 1 in the replica that assigns addresses.
# TYPE network_lb_controller_leading gauge
network_lb_controller_leading 0
`},
		} {
			if err := testutil.GatherAndCompare(tt.metrics, strings.NewReader(tt.want)); err != nil {
				t.Error(err)
			}
		}
		if got := leader.Status().Pools; len(got) != 2 || got[0].InUse != 1 || got[1].Size != "18446744073709551616" {
			t.Errorf("Status shows the pools %+v", got)
		}
		if err := follower.Ready(); err != nil {
			t.Errorf("a follower's Ready = %v", err)
		}
	})
}
