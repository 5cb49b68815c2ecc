package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

const (
	printer = "02:00:00:00:09:01"
	camera  = "02:00:00:00:09:02"
)

// avoids has pool main avoid the addresses that other machines have.
func avoids(addresses ...string) string {
	return strings.Replace(pool(addresses...), "}]", ", conflict_probe: avoid}]", 1)
}

// meets has a report say that machines have addresses: "ADDRESS MAC", and a third word for one that was found otherwise
// than by a probe.
func meets(pairs ...string) func(*reports.SpeakerStatus) {
	return func(s *reports.SpeakerStatus) {
		for _, pair := range pairs {
			w := strings.Fields(pair)
			s.Conflicts = append(s.Conflicts, reports.Conflict{
				Address: w[0], MAC: w[1], Interface: "eth0", Probe: len(w) == 2, Time: metav1.NowMicro(),
			})
		}
	}
}

// messages returns the messages of the Events about an object that have a reason.
func (c *cluster) messages(name, reason string) (all []string) {
	for _, a := range c.Actions() {
		if create, ok := a.(clienttesting.CreateAction); ok && a.GetResource().Resource == "events" {
			if e := create.GetObject().(*corev1.Event); e.InvolvedObject.Name == name && e.Reason == reason {
				all = append(all, e.Message)
			}
		}
	}
	return all
}

// quarantine returns what the report of pool main says of it, as "ADDRESS MAC NODE".
func (c *cluster) quarantine() (all []string) {
	c.t.Helper()
	for _, q := range c.report("main").Status.Quarantine {
		all = append(all, q.Address+" "+q.MAC+" "+q.Node)
		if left := time.Until(q.Until.Time); left <= 0 || left > quarantinePeriod {
			c.t.Errorf("%s is in quarantine for %v", q.Address, left)
		}
	}
	return all
}

func (c *cluster) wantQuarantine(want ...string) {
	c.t.Helper()
	if got := c.quarantine(); !slices.Equal(got, want) {
		c.t.Errorf("in quarantine are %q, want %q", got, want)
	}
}

// A Service whose new address another machine has gets another one, and nobody gets that for ten minutes.
func TestConflictAvoided(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(avoids("10.0.0.1-10.0.0.4"))
		c.says("n1", owns())
		a := c.start("a")
		c.add("web")
		settle()
		c.want("web", "10.0.0.1 Allocated")
		began := time.Now()
		c.says("n1", meets("10.0.0.1 "+printer))
		c.want("web", "10.0.0.2 Allocated")
		c.wantEvents("web", "Allocated", "AddressConflict", "AddressLost", "Allocated")
		want := []string{"another machine, " + printer + ", has 10.0.0.1, as seen on eth0 of node n1: " +
			"the Service gets another address, and this one goes to nobody for 10m0s"}
		if got := c.messages("web", reasonConflict); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		c.wantQuarantine("10.0.0.1 " + printer + " n1")
		if got := c.unassignable(); got != nil {
			t.Errorf("the report calls %q unassignable", got)
		}
		if err := testutil.GatherAndCompare(a.Metrics(), strings.NewReader(`
# HELP network_lb_pool_conflict_alarm 1 if addresses of the pool that another machine has are not avoided, although conflict_probe says so: there are too many.
# TYPE network_lb_pool_conflict_alarm gauge
network_lb_pool_conflict_alarm{pool="main"} 0
# HELP network_lb_pool_quarantine Addresses of the pool that are given to nobody for ten minutes, because another machine has them.
# TYPE network_lb_pool_quarantine gauge
network_lb_pool_quarantine{pool="main"} 1
`), "network_lb_pool_quarantine", "network_lb_pool_conflict_alarm"); err != nil {
			t.Error(err)
		}

		// Another leader goes on with it, also when speakers are not asked again.
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		c.says("n1", owns("10.0.0.2"))
		c.start("b")
		c.add("two")
		settle()
		c.add("three")
		settle()
		c.add("four")
		settle()
		c.want("two", "10.0.0.3 Allocated")
		c.want("three", "10.0.0.4 Allocated")
		c.want("four", "- PoolExhausted")
		c.wantQuarantine("10.0.0.1 " + printer + " n1")
		time.Sleep(time.Until(began.Add(quarantinePeriod - time.Second)))
		c.want("four", "- PoolExhausted")
		time.Sleep(3 * time.Second)
		c.want("four", "10.0.0.1 Allocated")
		time.Sleep(reportInterval)
		c.wantQuarantine()
		c.want("web", "10.0.0.2 Allocated")
	})
}

// What may have been announced, or is meant to be so, stays with its Service. So does all else where a pool only reports.
func TestConflictKept(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		setUp        func(c *cluster)
		pair         string
		outcome      string
	}{
		{"reported", pool("10.0.0.1-10.0.0.9"), nil, "", "it is announced all the same"},
		{"found later", avoids("10.0.0.1-10.0.0.9"), nil, "10.0.0.1 " + printer + " later", "it stays announced"},
		{"requested", avoids("10.0.0.1-10.0.0.9"), func(c *cluster) {
			c.add("web", asks(objects.Prefix+"load-balancer-ips", "10.0.0.1"))
		}, "", "it is announced all the same, because the Service asks for it"},
		{"reserved", strings.Replace(avoids("10.0.0.1-10.0.0.9"), "}]", ", reservations: [{address: 10.0.0.1, namespace: prod, service: web}]}]", 1), nil, "",
			"it is announced all the same, because it is reserved for the Service"},
		{"adopted", avoids("10.0.0.1-10.0.0.9"), func(c *cluster) { c.add("web", shows("Allocated", "10.0.0.1")) }, "",
			"it is announced all the same, because 10.0.0.1 was announced before, or was not assigned by this controller"},
		{"somebody else's before", avoids("10.0.0.1-10.0.0.9"), func(c *cluster) { c.add("web", shows("", "10.0.0.1")) }, "",
			"it is announced all the same, because 10.0.0.1 was announced before, or was not assigned by this controller"},
		{"announced", avoids("10.0.0.1-10.0.0.9"), func(c *cluster) {
			c.add("web")
			settle()
			c.says("n2", owns("10.0.0.1"))
			c.says("n2", owns())
		}, "", "it is announced all the same, because 10.0.0.1 was announced before, or was not assigned by this controller"},
		{"announced by BGP now", strings.Replace(avoids("10.0.0.1-10.0.0.9"), "layer2", "[layer2, bgp]", 1) + peers, func(c *cluster) {
			c.add("web")
			settle()
			c.says("n2", routes("10.0.0.1"))
		}, "", "it is announced all the same, because 10.0.0.1 was announced before, or was not assigned by this controller"},
		{"one of two was announced", avoids("10.0.0.1-10.0.0.9", "fd00::/64"), func(c *cluster) {
			c.add("web", families(corev1.IPv4Protocol, corev1.IPv6Protocol))
			settle()
			c.says("n2", owns("fd00::1"))
		}, "", "it is announced all the same, because fd00::1 was announced before, or was not assigned by this controller"},
		{"shared", avoids("10.0.0.1-10.0.0.9"), func(c *cluster) {
			c.add("web", sharing(80))
			settle()
			c.add("other", sharing(81))
		}, "", "it is announced all the same, because several Services share it"},
		{"the last one", avoids("10.0.0.1"), nil, "", "it is announced all the same, because no other address is free"},
		{"several addresses of a machine", avoids("10.0.0.1-10.0.0.9"), nil, "10.0.0.1 " + printer + ",10.0.0.2 " + printer,
			"it is announced all the same, because " + printer + " answers for several addresses: 10.0.0.1, 10.0.0.2"},
		{"many conflicts", avoids("10.0.0.1-10.0.0.9"), nil, "10.0.0.1 " + printer + ",10.0.0.2 " + camera + ",10.0.0.3 02:00:00:00:09:03",
			"it is announced all the same, because other machines have 3 addresses of the pool: 10.0.0.1, 10.0.0.2, 10.0.0.3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *cluster) {
				c.configure(tt.config)
				if tt.name == "adopted" || tt.name == "somebody else's before" {
					tt.setUp(c)
					tt.setUp = nil
				}
				c.says("n1", owns())
				r := c.start("a")
				switch {
				case tt.setUp != nil:
					tt.setUp(c)
				case len(r.all("")) == 0:
					c.add("web")
				}
				settle()
				if tt.pair == "" {
					tt.pair = "10.0.0.1 " + printer
				}
				before := join(objects.FromService(c.get("web")).Status)
				c.says("n1", meets(strings.Split(tt.pair, ",")...))
				time.Sleep(time.Minute)
				if after := join(objects.FromService(c.get("web")).Status); after != before || !strings.HasPrefix(after, "10.0.0.1") {
					t.Errorf("it has %q, and had %q", after, before)
				}
				want := []string{"another machine, " + printer + ", has 10.0.0.1, as seen on eth0 of node n1: " + tt.outcome}
				if got := c.messages("web", reasonConflict); !slices.Equal(got, want) {
					t.Errorf("told %q, want %q", got, want)
				}
				c.wantQuarantine()
			})
		})
	}
}

const peers = "peers: [{peer_address: 10.9.9.9, peer_asn: 64501, my_asn: 64500}]\n"

// Fellow speakers that answer both are no machines to avoid, and nobody is told twice.
func TestConflictToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(avoids("10.0.0.1-10.0.0.9"))
		c.says("n1", owns())
		c.start("a")
		c.add("web")
		settle()
		c.says("n1", func(s *reports.SpeakerStatus) {
			meets("10.0.0.1 "+printer, "10.0.0.300 "+printer)(s)
			s.Conflicts[0].Speaker = "n2"
		})
		c.want("web", "10.0.0.1 Allocated")
		c.wantEvents("web", "Allocated")
		c.says("n1", meets("10.0.0.1 "+printer+" later"))
		c.says("n2", meets("10.0.0.1 "+printer+" later"))
		c.says("n1", owns("10.0.0.1"))
		c.says("n2", meets("10.0.0.1 "+printer+" later", "10.0.0.1 "+camera+" later"))
		settle()
		if got := c.messages("web", reasonConflict); len(got) != 2 || !strings.Contains(got[0], printer) || !strings.Contains(got[1], camera) {
			t.Errorf("told %q", got)
		}
	})
}

// Too many conflicts raise an alarm, once, and end the avoiding until ten minutes are over.
func TestConflictAlarm(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(avoids("10.0.0.1-10.0.0.20"))
		c.says("n1", owns())
		r := c.start("a")
		var all []string
		for i, mac := range []string{printer, camera, "02:00:00:00:09:03"} {
			c.add(fmt.Sprint("web-", i))
			settle()
			// As every second address is somebody's: 1, 3 and 5.
			all = append(all, fmt.Sprintf("10.0.0.%d %s", 2*i+1, mac))
			c.says("n1", meets(all...))
		}
		c.want("web-0", "10.0.0.2 Allocated")
		c.want("web-1", "10.0.0.4 Allocated")
		c.want("web-2", "10.0.0.5 Allocated")
		c.wantQuarantine("10.0.0.1 "+printer+" n1", "10.0.0.3 "+camera+" n1")
		c.wantEvents("main", reasonAlarm)
		alarm := func() string { return r.alarmOf("main") }
		time.Sleep(quarantinePeriod)
		if alarm() == "" {
			t.Error("there is no alarm")
		}
		c.says("n1", owns()) // what it has seen is ten minutes ago
		c.wantEvents("main", reasonAlarm)
		if why := alarm(); why != "" {
			t.Errorf("still: %s", why)
		}
		c.add("web-3")
		settle()
		c.says("n1", meets("10.0.0.1 "+printer))
		c.want("web-3", "10.0.0.3 Allocated")
	})
}

// A Service with two addresses, of which none was announced, keeps the one that nobody else has.
func TestConflictOfOneOfTwo(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(avoids("10.0.0.1-10.0.0.9", "fd00::/64"))
		c.says("n1", owns())
		c.start("a")
		c.add("web", families(corev1.IPv4Protocol, corev1.IPv6Protocol))
		settle()
		c.want("web", "10.0.0.1,fd00::1 Allocated")
		c.says("n1", meets("10.0.0.1 "+printer))
		c.want("web", "10.0.0.2,fd00::1 Allocated")
		c.says("n1", meets("10.0.0.1 "+printer, "fd00::1 "+camera))
		c.want("web", "10.0.0.2,fd00::2 Allocated")
		c.wantQuarantine("10.0.0.1 "+printer+" n1", "fd00::1 "+camera+" n1")
	})
}
