package controller

import (
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/kube/objects"
)

func (c *cluster) addNamespace(name string, labels map[string]string) {
	c.t.Helper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := c.CoreV1().Namespaces().Create(c.t.Context(), n, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	settle()
}

func (c *cluster) label(namespace string, labels map[string]string) {
	c.t.Helper()
	n, err := c.CoreV1().Namespaces().Get(c.t.Context(), namespace, metav1.GetOptions{})
	if err == nil {
		n = n.DeepCopy()
		n.Labels = labels
		_, err = c.CoreV1().Namespaces().Update(c.t.Context(), n, metav1.UpdateOptions{})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	settle()
}

const selective = `address_pools:
- {name: main, protocol: layer2, addresses: [10.0.0.0/24]}
- {name: web, protocol: layer2, addresses: [10.1.0.0/24], namespace_selectors: [{match_labels: {team: web}}]}
- {name: lan, protocol: layer2, addresses: [10.2.0.0/24], namespaces: [prod], service_selectors: [{match_labels: {expose: lan}}]}
`

func TestPoolsForSome(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(selective)
		c.start("a")
		c.add("plain")
		settle()
		c.add("on-lan", func(s *corev1.Service) { s.Labels = map[string]string{"expose": "lan"} })
		settle()
		c.add("asks", asks(objects.Prefix+"address-pool", "web"))
		settle()
		c.want("plain", "10.0.0.0 Allocated")
		c.want("on-lan", "10.2.0.0 Allocated")
		c.want("asks", "- NoMatchingPool")
		// The Namespace gets the label: who waits is served, and who has an address keeps it.
		c.label("prod", map[string]string{"team": "web"})
		c.want("asks", "10.1.0.0 Allocated")
		c.want("plain", "10.0.0.0 Allocated")
		c.add("later")
		settle()
		c.want("later", "10.1.0.1 Allocated")
		// Without it the pool does not serve them any more.
		c.label("prod", nil)
		c.want("asks", "- NoMatchingPool")
		c.want("later", "10.0.0.1 Allocated")
	})
}

// A new leader looks at the labels of the Namespaces before it takes anything from anybody.
func TestAdoptsWithNamespaceLabels(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.label("prod", map[string]string{"team": "web"})
		c.configure(selective)
		c.add("web", shows("Allocated", "10.1.0.5"))
		c.start("a")
		c.want("web", "10.1.0.5 Allocated")
		if got := c.written(); len(got) != 1 {
			t.Errorf("written %q, want the message once", got)
		}
	})
}

// The labels as the API server has them, that is: here the cache of Namespaces is a write behind.
func TestWaitsForFreshNamespaces(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(selective)
		c.add("web", shows("Allocated", "10.1.0.5"))
		resource, kind := corev1.SchemeGroupVersion.WithResource("namespaces"), corev1.SchemeGroupVersion.WithKind("Namespace")
		var behind atomic.Bool
		behind.Store(true)
		c.PrependReactor("list", "namespaces", func(a clienttesting.Action) (bool, runtime.Object, error) {
			list, err := c.Tracker().List(resource, kind, "")
			spaces := list.(*corev1.NamespaceList)
			if options := a.(clienttesting.ListActionImpl).ListOptions; behind.Load() && options.ResourceVersion == "" {
				spaces.Items[0].ResourceVersion = "1000" // the cache itself asks for version 0
			}
			return true, spaces, err
		})
		c.start("a")
		time.Sleep(10 * time.Second)
		if got := c.written(); got != nil {
			t.Fatalf("%q was written from an old cache", got)
		}
		behind.Store(false)
		prod := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "prod", ResourceVersion: "1000", Labels: map[string]string{"team": "web"}}}
		if err := c.Tracker().Update(resource, prod, ""); err != nil {
			t.Fatal(err)
		}
		settle()
		c.want("web", "10.1.0.5 Allocated")
	})
}

// A Service whose Namespace has not arrived yet waits for it, and is not served from a pool for others.
func TestWaitsForItsNamespace(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(selective)
		c.start("a")
		s := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "new", Name: "web"},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
		}
		if _, err := c.CoreV1().Services("new").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if got := c.written(); got != nil {
			t.Errorf("written %q before its Namespace is known", got)
		}
		c.addNamespace("new", map[string]string{"team": "web"})
		o, err := c.CoreV1().Services("new").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if in := o.Status.LoadBalancer.Ingress; len(in) != 1 || in[0].IP != "10.1.0.0" {
			t.Errorf("the status is %v, want 10.1.0.0", in)
		}
	})
}
