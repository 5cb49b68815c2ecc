package speaker

import (
	"testing"
	"testing/synctest"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/announce"
)

// update changes a slice of the cluster.
func (c *cluster) update(o *discoveryv1.EndpointSlice) {
	c.t.Helper()
	if _, err := c.DiscoveryV1().EndpointSlices("prod").Update(c.t.Context(), o, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	pass()
}

// TestEndpointsThatFlap: a Service without endpoints goes on for ten seconds, and the loop wakes by itself.
func TestEndpointsThatFlap(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(both)
		c.populate("10.0.0.1", "10.1.0.1")
		r := &recorder{}
		s := c.start(c, r, &r.claims, nil)
		want := func(when string, announced bool) {
			t.Helper()
			if got := len(r.routes) == 1 && len(r.claims.claims) == 1; got != announced || !got && len(r.routes)+len(r.claims.claims) > 0 {
				t.Errorf("%s: announced is %v, want %v", when, got, announced)
			}
			_ = s.Status() // what was read here was read before the next turn, which a timer may begin
		}
		to := func(seconds time.Duration) {
			time.Sleep(seconds*time.Second - 500*time.Millisecond)
			synctest.Wait()
		}
		c.update(slice("one", "web"))
		want("without endpoints", true)
		c.update(slice("one", "web", "a"))
		to(60)
		want("back in time", true)
		c.update(slice("one", "web"))
		to(9)
		want("9.5 s without", true)
		to(2)
		want("11 s without", false)
		c.update(slice("one", "web", "a"))
		want("back", true)
		c.update(slice("one", "web"))
		to(11)
		want("gone again", false)
		c.update(slice("one", "web", "a"))
		want("and back too soon", false)
		to(10)
		want("and back for good", true)
		sets := r.sets
		_ = s.Status()
		to(3600)
		if r.sets != sets {
			t.Errorf("%d more decisions although nothing changed", r.sets-sets)
		}
	})
}

// TestLocalEndpointsThatEnd: each node withdraws at once what it has no endpoint for.
func TestLocalEndpointsThatEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(both)
		local := service("10.0.0.1", "10.1.0.1")
		local.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		for _, n := range []string{"a", "b"} {
			must(c, c.CoreV1().Nodes().Create, node(n, "10.0.0.5"))
			must(c, c.CoreV1().Pods("system").Create, pod(n))
		}
		must(c, c.CoreV1().Services("prod").Create, local)
		must(c, c.DiscoveryV1().EndpointSlices("prod").Create, slice("one", "web", "a"))
		r := &recorder{}
		s := c.start(c, r, &r.claims, nil)
		want := func(when string, reason announce.Reason) {
			t.Helper()
			for _, v := range s.Status().Decisions {
				if v.Reason != reason {
					t.Errorf("%s: %s %q, want %q", when, v.Protocol, v.Reason, reason)
				}
			}
		}
		terminating := func(nodes ...string) *discoveryv1.EndpointSlice {
			one := slice("one", "web", append([]string{"a"}, nodes...)...)
			one.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(true), Terminating: new(true)}
			return one
		}
		want("an endpoint here", "")
		c.update(terminating())
		want("it terminates, and serves", "")
		c.update(terminating("b"))
		want("another is ready", announce.NoLocalEndpoints)
		c.update(slice("one", "web", "b"))
		want("it has ended", announce.NoLocalEndpoints)
		c.update(slice("one", "web", "a"))
		want("an endpoint here again", "")
		c.update(slice("one", "web"))
		want("none anywhere", announce.NoEndpoints)
	})
}
