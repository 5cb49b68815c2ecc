package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery/fake"
)

// The cluster's own addresses are never assigned, though they are in a pool; who has one keeps it.
func TestClusterAddressesAreNeverAssigned(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.Discovery().(*fake.FakeDiscovery).Resources = []*metav1.APIResourceList{{
			GroupVersion: "networking.k8s.io/v1", APIResources: []metav1.APIResource{{Name: "servicecidrs"}},
		}}
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.4/31"}}}
		node.Status.Addresses = []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: "n"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.0"}, {Type: corev1.NodeExternalIP, Address: "10.0.0.2"},
		}
		cidr := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.0.0.6/31"}}}
		if _, err := c.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.NetworkingV1().ServiceCIDRs().Create(t.Context(), cidr, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.configure(pool("10.0.0.0-10.0.0.8", "fd00::/126"))
		c.add("kept", shows("Allocated", "10.0.0.2"))
		c.start("a")
		for _, name := range []string{"one", "two", "three", "four", "five"} {
			c.add(name)
			settle()
		}
		c.add("six", families(corev1.IPv6Protocol))
		settle()
		c.want("kept", "10.0.0.2 Allocated")
		c.want("one", "10.0.0.1 Allocated")
		c.want("two", "10.0.0.3 Allocated")
		c.want("three", "10.0.0.8 Allocated")
		c.want("four", "- PoolExhausted")
		c.want("six", "fd00::1 Allocated") // fd00:: is the anycast address of the subnet's routers

		// A Node that goes away, and a range of ClusterIPs that is taken back, leave their addresses to others.
		if err := c.CoreV1().Nodes().Delete(t.Context(), "n", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		c.want("four", "10.0.0.0 Allocated")
		c.want("five", "10.0.0.4 Allocated")
		cidr.Spec.CIDRs = []string{"10.7.0.0/16"}
		if _, err := c.NetworkingV1().ServiceCIDRs().Update(t.Context(), cidr, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"seven", "eight", "nine", "ten"} {
			c.add(name)
			settle()
		}
		c.want("nine", "10.0.0.7 Allocated")
		c.want("ten", "- PoolExhausted")
	})
}
