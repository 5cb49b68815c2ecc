package controller

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kontena/network-lb/kube/objects"
)

// asks sets an annotation.
func asks(key, value string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Annotations = map[string]string{key: value} }
}

// shows writes a status as somebody else would, or an earlier leader if a reason is given.
func shows(reason string, addrs ...string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Status = corev1.ServiceStatus{}
		for _, a := range addrs {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
		}
		if reason != "" {
			setCondition(s, reason)
		}
	}
}

func families(f ...corev1.IPFamily) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.IPFamilies = f }
}

func TestAssigns(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/30"))
		c.start("a")
		c.add("web")
		settle()
		c.want("web", "10.0.0.0 Allocated")
		c.wantEvents("web", "Allocated")
		if got := c.written(); len(got) != 1 {
			t.Errorf("written %q, want prod/web once", got)
		}
		for range 3 {
			c.change("web", func(s *corev1.Service) { s.Labels = map[string]string{"at": time.Now().String()} })
			c.configure(pool("10.0.0.0/30") + "# " + time.Now().String())
		}
		time.Sleep(10 * time.Second)
		if got := c.written(); got != nil {
			t.Errorf("with nothing to change %q was written", got)
		}
		c.wantEvents("web", "Allocated")
	})
}

// Looking again at everything, ten times, asks nothing of the API server but the Lease.
func TestConvergedMeansNoRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/28", "fd00::/64"))
		r := c.start("a")
		for i := range 20 {
			c.add(fmt.Sprint("web-", i))
		}
		c.add("lost", asks("network-lb.kontena.io/address-pool", "none"))
		c.add("theirs", shows("", "192.0.2.1"))
		pass()
		c.ClearActions()
		c.reported()
		for range 10 {
			r.enqueueAll()
			pass()
		}
		for _, a := range c.Actions() {
			if a.GetResource().Resource != "leases" {
				t.Errorf("asked to %s %s", a.GetVerb(), a.GetResource().Resource)
			}
		}
		if n := c.reported(); n > 0 {
			t.Errorf("%d reports", n)
		}
	})
}

func TestAdoptsAndKeeps(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/29"))
		c.add("new")
		c.add("ours", shows("Allocated", "10.0.0.0"))
		c.add("metallb's", shows("", "10.0.0.1"))
		c.add("copy", shows("Allocated", "10.0.0.1")) // as after a restore: the older one keeps the address
		c.add("unreadable", shows("Allocated", "10.0.0.5"), asks(objects.Prefix+"load-balancer-ips", "10.0.0.2,nonsense"))
		c.start("a")
		c.want("ours", "10.0.0.0 Allocated")
		c.want("metallb's", "10.0.0.1 Allocated")
		c.want("new", "10.0.0.2 Allocated")
		c.want("copy", "10.0.0.3 Allocated")
		c.want("unreadable", "10.0.0.5 Allocated")
	})
}

func TestFreedAddressGoesToTheWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		c.add("first")
		c.add("second")
		c.add("third")
		c.start("a")
		c.want("first", "10.0.0.1 Allocated")
		c.want("second", "- PoolExhausted")
		c.want("third", "- PoolExhausted")
		c.remove("first")
		c.want("second", "10.0.0.1 Allocated")
		c.change("second", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		c.want("second", "- -")
		c.want("third", "10.0.0.1 Allocated")
		c.wantEvents("third", "PoolExhausted", "Allocated")
	})
}

func TestRequests(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure("address_pools:\n- {name: main, protocol: layer2, addresses: [10.0.0.0/24]}\n" +
			"- {name: gold, protocol: layer2, addresses: [10.1.0.0/24], auto_assign: false}\n")
		c.start("a")
		c.add("ours", asks(objects.Prefix+"load-balancer-ips", "10.0.0.9"))
		c.add("metallb", asks("metallb.io/loadBalancerIPs", "10.0.0.8"))
		c.add("spec", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "10.0.0.7" })
		c.add("pool", asks(objects.Prefix+"address-pool", "gold"))
		settle()
		c.add("metallbs-pool", asks("metallb.universe.tf/address-pool", "gold"))
		settle()
		c.want("ours", "10.0.0.9 Allocated")
		c.want("metallb", "10.0.0.8 Allocated")
		c.want("spec", "10.0.0.7 Allocated")
		c.want("pool", "10.1.0.0 Allocated")
		c.want("metallbs-pool", "10.1.0.1 Allocated")
		c.change("ours", asks(objects.Prefix+"load-balancer-ips", "10.0.0.10"))
		c.want("ours", "10.0.0.10 Allocated")
		c.change("ours", asks(objects.Prefix+"load-balancer-ips", "ten"))
		c.want("ours", "10.0.0.10 Allocated") // it keeps what it has, and says so
		if m := objects.FromService(c.get("ours")).Allocated.Message; m != `10.0.0.10 from pool "main"; network-lb.kontena.io/load-balancer-ips: `+
			`"ten" is not an IP address; give one address for each family, such as "10.0.0.5" or "10.0.0.5,fd00::5"` {
			t.Errorf("message %q", m)
		}
	})
}

func TestReasons(t *testing.T) {
	for reason, change := range map[string]func(*corev1.Service){
		"PoolExhausted":     func(*corev1.Service) {},
		"NoMatchingPool":    asks(objects.Prefix+"address-pool", "silver"),
		"AddressInUse":      asks(objects.Prefix+"load-balancer-ips", "10.0.0.1"),
		"AddressNotInPool":  asks(objects.Prefix+"load-balancer-ips", "10.9.9.9"),
		"FamilyUnavailable": families(corev1.IPv6Protocol),
		"InvalidRequest":    asks(objects.Prefix+"load-balancer-ips", "10.0.0.1,10.0.0.2"),
	} {
		t.Run(reason, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *cluster) {
				c.configure(pool("10.0.0.1"))
				c.start("a")
				c.add("first")
				settle()
				c.add("web", change)
				settle()
				c.want("web", "- "+reason)
				c.wantEvents("web", reason)
				if a := objects.FromService(c.get("web")).Allocated; a.True || a.Message == "" {
					t.Errorf("the condition is %+v, want one that is false, with a message", a)
				}
			})
		})
	}
}

// An unreadable request is no request: what it asked for before is not given to it either.
func TestUnreadableRequestWaitsForNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		c.start("a")
		c.add("first")
		settle()
		c.add("web")
		settle()
		c.want("web", "- PoolExhausted")
		c.change("web", asks(objects.Prefix+"load-balancer-ips", "ten"))
		c.want("web", "- InvalidRequest")
		c.remove("first")
		c.want("web", "- InvalidRequest")
		c.change("web", asks(objects.Prefix+"load-balancer-ips", ""))
		c.want("web", "10.0.0.1 Allocated")
	})
}

func TestDualStack(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24", "fd00::/64"))
		c.start("a")
		c.add("four", families(corev1.IPv4Protocol, corev1.IPv6Protocol))
		c.add("six", families(corev1.IPv6Protocol, corev1.IPv4Protocol))
		settle()
		c.want("four", "10.0.0.0,fd00::1 Allocated")
		c.want("six", "fd00::2,10.0.0.1 Allocated")
		c.change("six", families(corev1.IPv6Protocol))
		c.want("six", "fd00::2 Allocated")
	})
}

func TestForeignStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		c.start("a")
		c.add("ours")
		c.add("waiting")
		c.add("theirs", shows("", "10.0.0.200"))
		c.add("name", func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}}
		})
		settle()
		c.want("theirs", "10.0.0.200 ForeignStatus")
		c.want("name", "- ForeignStatus")
		if in := c.get("name").Status.LoadBalancer.Ingress; len(in) != 1 || in[0].Hostname != "lb.example.com" {
			t.Errorf("the foreign status is %v now", in)
		}
		// The pool comes to hold the address: it is taken over, not given to the one that waits.
		c.configure(pool("10.0.0.1", "10.0.0.200"))
		c.want("theirs", "10.0.0.200 Allocated")
		c.want("waiting", "- PoolExhausted")
		c.change("name", shows("ForeignStatus")) // they have let go of it
		c.want("name", "- PoolExhausted")
		// One that is left alone also keeps its status when it stops being a LoadBalancer.
		c.add("leaving", shows("", "10.9.9.9"))
		settle()
		c.change("leaving", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		c.want("leaving", "10.9.9.9 -")
	})
}

// A Service that first appears with an address of ours keeps it, also after the start.
func TestAdoptsLateComers(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		c.start("a")
		c.add("late", shows("", "10.0.0.77"))
		settle()
		c.want("late", "10.0.0.77 Allocated")
	})
}

// An address that changes hands is in one status only, and two that exchange theirs do not wait for each other.
func TestAddressIsInOneStatusOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1", "10.0.0.2"))
		c.start("a")
		c.add("one")
		c.add("two")
		settle()
		c.want("one", "10.0.0.1 Allocated")
		c.want("two", "10.0.0.2 Allocated")
		c.add("waiting")
		settle()
		c.refusing(func(name string) error {
			if name == "one" {
				return errors.New("not now")
			}
			return nil
		})
		c.change("one", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		c.want("waiting", "- PoolExhausted") // the status of one could not be cleared yet
		c.refusing(nil)
		time.Sleep(10 * time.Second)
		c.want("one", "- -")
		c.want("waiting", "10.0.0.1 Allocated")
	})
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1", "10.0.0.2"))
		c.add("one", shows("Allocated", "10.0.0.1"), asks(objects.Prefix+"load-balancer-ips", "10.0.0.2"))
		c.add("two", shows("Allocated", "10.0.0.2"), asks(objects.Prefix+"load-balancer-ips", "10.0.0.1"))
		c.start("a")
		time.Sleep(10 * time.Second)
		c.want("one", "10.0.0.2 Allocated")
		c.want("two", "10.0.0.1 Allocated")
	})
}

func TestWritesAgainAfterFailure(t *testing.T) {
	for name, err := range map[string]error{
		"conflict": apierrors.NewConflict(servicesResource.GroupResource(), "web", errors.New("modified")),
		"away":     errors.New("connection refused"),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *cluster) {
				c.configure(pool("10.0.0.0/24"))
				c.start("a")
				c.refusing(func(string) error { return err })
				c.add("web")
				settle()
				c.want("web", "- -")
				c.refusing(nil)
				time.Sleep(10 * time.Second)
				c.want("web", "10.0.0.0 Allocated")
				c.wantEvents("web", "Allocated")
			})
		})
	}
}

func TestServiceThatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		c.start("a")
		c.refusing(func(name string) error { return apierrors.NewNotFound(servicesResource.GroupResource(), name) })
		c.add("web")
		settle()
		if got := c.written(); !slices.Equal(got, []string{"prod/web"}) {
			t.Errorf("written %q, want one attempt", got)
		}
		c.wantEvents("web")
	})
}

// Who waits for another status to let go of an address is served when that happens, however long it took.
func TestServedWhenItIsLetGo(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.2"))
		c.start("a")
		c.add("first")
		c.add("second", asks("network-lb.kontena.io/load-balancer-ips", "10.0.0.1"))
		settle()
		c.refusing(func(name string) error {
			if name == "first" {
				return errors.New("no")
			}
			return nil
		})
		c.change("first", asks("network-lb.kontena.io/load-balancer-ips", "10.0.0.2"))
		time.Sleep(10 * time.Minute)
		c.want("second", "- AddressInUse")
		c.refusing(nil)
		for c.get("first").Status.LoadBalancer.Ingress[0].IP == "10.0.0.1" {
			settle()
		}
		settle()
		c.want("first", "10.0.0.2 Allocated")
		c.want("second", "10.0.0.1 Allocated")
		c.wantEvents("first", "Allocated", "AddressLost", "Allocated")
	})
}
