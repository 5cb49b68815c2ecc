package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/kube/objects"
)

// sharing gives a Service the sharing key "k" and these TCP ports.
func sharing(ports ...int32) func(*corev1.Service) {
	return func(s *corev1.Service) {
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[objects.Prefix+"allow-shared-ip"] = "k"
		s.Spec.Ports = nil
		for _, p := range ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Protocol: corev1.ProtocolTCP, Port: p})
		}
	}
}

func local(s *corev1.Service) {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

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

func TestShares(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/30"))
		c.start("a")
		c.add("http", sharing(80))
		settle()
		c.add("https", sharing(443))
		settle()
		c.add("http-too", sharing(80))
		settle()
		c.add("local", sharing(81), local)
		settle()
		c.add("alone")
		settle()
		c.want("http", "10.0.0.0 Allocated")
		c.want("https", "10.0.0.0 Allocated")
		c.want("http-too", "10.0.0.1 Allocated")
		c.want("local", "10.0.0.2 Allocated")
		c.want("alone", "10.0.0.3 Allocated")
		// Who breaks it by a change of its own has to go, and finds the others' address beside its key.
		c.change("https", sharing(80, 443))
		c.want("http", "10.0.0.0 Allocated")
		c.want("https", "- PoolExhausted")
		c.change("https", sharing(443))
		c.want("https", "10.0.0.0 Allocated")
		c.remove("http")
		c.want("https", "10.0.0.0 Allocated")
	})
}

// The address that a Service asks for is given to it as far as it fits with those who have it.
func TestSharesOnRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		c.start("a")
		c.add("http", asks("metallb.io/loadBalancerIPs", "10.0.0.9"), sharing(80))
		settle()
		c.add("https", asks("metallb.io/loadBalancerIPs", "10.0.0.9"), sharing(443))
		settle()
		c.add("http-too", asks("metallb.io/loadBalancerIPs", "10.0.0.9"), sharing(80))
		c.add("no-key", asks("metallb.io/loadBalancerIPs", "10.0.0.9"))
		settle()
		c.want("http", "10.0.0.9 Allocated")
		c.want("https", "10.0.0.9 Allocated")
		c.want("http-too", "- SharingConflict")
		c.want("no-key", "- AddressInUse")
		c.remove("http")
		c.want("http-too", "10.0.0.9 Allocated")
	})
}

// What shares an address when a controller starts goes on sharing it; of two that do not fit the older keeps it.
func TestAdoptsShared(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		c.add("http", sharing(80), shows("Allocated", "10.0.0.7"))
		c.add("https", sharing(443), shows("Allocated", "10.0.0.7"))
		c.add("local", sharing(81), local, shows("Allocated", "10.0.0.7"))
		c.start("a")
		c.want("http", "10.0.0.7 Allocated")
		c.want("https", "10.0.0.7 Allocated")
		c.want("local", "10.0.0.0 Allocated")
	})
}

func TestQuota(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure("address_pools: [{name: main, protocol: layer2, addresses: [10.0.0.0/24], max_per_namespace: 1}]\n")
		c.start("a")
		c.add("first", sharing(80))
		settle()
		c.add("second")
		settle()
		c.add("beside", sharing(81)) // a shared address counts once
		settle()
		c.want("first", "10.0.0.0 Allocated")
		c.want("second", "- QuotaExceeded")
		c.want("beside", "10.0.0.0 Allocated")
		c.wantEvents("second", "QuotaExceeded")
		c.remove("first")
		c.want("second", "- QuotaExceeded")
		c.remove("beside")
		c.want("second", "10.0.0.0 Allocated")
	})
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
