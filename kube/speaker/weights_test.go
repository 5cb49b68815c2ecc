package speaker

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/objects"
)

func TestWeightsAreSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var woken atomic.Int32
		w := weights{wake: func() { woken.Add(1) }}
		web, other := netip.MustParsePrefix("10.9.0.1/32"), netip.MustParsePrefix("10.9.0.2/32")
		// look settles the weights of two routes, 0 being that there is none, and wants others to be said.
		look := func(a, b int, want string) {
			t.Helper()
			var routes []bgp.Route
			for p, n := range map[netip.Prefix]int{web: a, other: b} {
				if n > 0 {
					routes = append(routes, bgp.Route{Prefix: p, Bandwidth: bgp.Bandwidth(n)})
				}
			}
			w.settle(routes, time.Now())
			said := map[netip.Prefix]bgp.Bandwidth{}
			for _, r := range routes {
				said[r.Prefix] = r.Bandwidth
			}
			if got := fmt.Sprint(float32(said[web]), " ", float32(said[other])); got != want {
				t.Errorf("weights %d and %d are said as %s, want %s", a, b, got, want)
			}
		}
		look(1, 1, "1 1")
		look(4, 1, "4 1") // its endpoints are still coming
		time.Sleep(beginning - time.Millisecond)
		look(1, 1, "1 1")
		time.Sleep(time.Millisecond)
		look(3, 1, "3 1") // the first change is at once
		time.Sleep(10 * time.Second)
		look(4, 1, "3 1")
		look(5, 2, "3 2")
		look(5, 3, "3 2")
		time.Sleep(19 * time.Second)
		look(6, 3, "3 2")
		time.Sleep(time.Second)
		synctest.Wait()
		if woken.Load() != 1 {
			t.Errorf("woken %d times, want once", woken.Load())
		}
		look(6, 3, "6 2") // the last one that there is
		look(3, 0, "6 0")
		look(3, 8, "6 8") // it is a new route
		look(3, 9, "6 9")
		time.Sleep(steady)
		synctest.Wait()
		look(3, 9, "3 9")
		look(0, 0, "0 0")
		look(7, 7, "7 7")
	})
}

// Each peer's weights are its own, and what has none is left alone.
func TestWeightsOfPeers(t *testing.T) {
	w := weights{wake: func() {}}
	p := netip.MustParsePrefix("10.9.0.1/32")
	routes := func(a, b bgp.Bandwidth) []bgp.Route {
		return []bgp.Route{{Prefix: p, Peers: []string{"a"}, Bandwidth: a}, {Prefix: p, Peers: []string{"b"}, Bandwidth: b}, {Prefix: p, Peers: []string{"c"}}}
	}
	now := time.Unix(0, 0)
	for _, step := range []struct{ a, b, wantA, wantB bgp.Bandwidth }{{1, 2, 1, 2}, {2, 2, 2, 2}, {3, 3, 2, 3}, {3, 4, 2, 3}} {
		all := routes(step.a, step.b)
		w.settle(all, now)
		now = now.Add(beginning)
		if all[0].Bandwidth != step.wantA || all[1].Bandwidth != step.wantB || all[2].Bandwidth != 0 {
			t.Errorf("%+v: said %v, %v and %v", step, all[0].Bandwidth, all[1].Bandwidth, all[2].Bandwidth)
		}
	}
}

// A node's annotation is the weight of its routes; one that cannot be read is said, and counts as 1.
func TestWeightOfTheNode(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(strings.Replace(both, "addresses: [10.1.0.0/24]", "addresses: [10.1.0.0/24], bgp_advertisements: [{weight: node}]", 1))
		c.populate("10.1.0.1")
		r := &recorder{}
		s := c.start(c, r, &r.claims, nil)
		weigh := func(text string) {
			t.Helper()
			o := node("a", "10.0.0.5")
			o.Annotations = map[string]string{objects.Prefix + "weight": text}
			if _, err := c.CoreV1().Nodes().Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			pass()
		}
		want := func(weight bgp.Bandwidth, problem string) {
			t.Helper()
			if len(r.routes) != 1 || r.routes[0].Bandwidth != weight*bgp.Mbps || !strings.Contains(s.Status().Problem, problem) || (problem == "") != (s.Status().Problem == "") {
				t.Errorf("the routes are %+v and the problem is %q, want weight %v and %q", r.routes, s.Status().Problem, weight, problem)
			}
		}
		want(1, "")
		time.Sleep(beginning)
		weigh("3")
		want(3, "")
		weigh("4")
		want(3, "")
		time.Sleep(steady)
		synctest.Wait()
		want(4, "")
		time.Sleep(steady)
		weigh("many")
		want(1, `annotation network-lb.kontena.io/weight of node a: "many" is not a whole number from 1 to 30000`)
		weigh("1")
		want(1, "")
	})
}
