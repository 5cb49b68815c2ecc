package controller

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/kube/document"
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
		if got := r.Status().Config.Problem; !strings.Contains(got, `10.0.0.1 of prod/plain, pool main (its class is "", and load_balancer_class "example.com/edge")`) {
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

// A leader that dies in the middle of a change of the class leaves its successor to finish it.
func TestClassChangeIsFinished(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		a := c.start("a")
		c.add("plain")
		c.add("edge", ofClass("example.com/edge"))
		settle()
		c.refusing(func(string) error { return errors.New("no") })
		c.configure("release: [main]\nload_balancer_class: example.com/edge\n" + pool("10.0.0.1"))
		c.want("plain", "10.0.0.1 Allocated")
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		c.refusing(nil)
		c.start("b")
		time.Sleep(2 * recheckInterval)
		settle()
		c.want("plain", "- -")
		c.want("edge", "10.0.0.1 Allocated")
		c.wantEvents("plain", "Allocated", "AddressLost")
		secret, err := c.CoreV1().Secrets("system").Get(t.Context(), "last-good", metav1.GetOptions{})
		if _, there := secret.Data[document.LeavingKey]; err != nil || there {
			t.Errorf("the copy holds %v (%v)", secret.Data, err)
		}
	})
}
