package controller

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func ofClass(class string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class }
}

// Only Services of the configured class are handled, and another class is a document that takes all addresses.
func TestClass(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		const edge = "load_balancer_class: example.com/edge\n"
		c.configure(pool("10.0.0.1-10.0.0.2"))
		r := c.start("a")
		c.add("plain")
		c.add("edge", ofClass("example.com/edge"))
		c.add("theirs", ofClass("example.com/other"), shows("Allocated", "10.0.0.2")) // another installation's
		settle()
		c.want("plain", "10.0.0.1 Allocated")
		c.want("edge", "- -")

		c.configure(edge + pool("10.0.0.1-10.0.0.2"))
		c.want("plain", "10.0.0.1 Allocated")
		if got := r.Status().Config.Problem; !strings.Contains(got, `10.0.0.1 of prod/plain, pool main (its class is "", not load_balancer_class "example.com/edge")`) {
			t.Errorf("the problem is %s", got)
		}
		c.configure("release: [10.0.0.9, main]\n" + edge + pool("10.0.0.1-10.0.0.2"))
		c.want("plain", "- -")
		c.want("edge", "10.0.0.2 Allocated") // which somebody else's Service of another class shows too; the other one cools
		c.want("theirs", "10.0.0.2 Allocated")
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		c.written()
		c.start("b")
		c.want("edge", "10.0.0.2 Allocated")
		if got := c.written(); got != nil {
			t.Errorf("the successor writes %q", got)
		}
	})
}
