package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery/fake"

	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
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

// The gateways and the ends of the subnets that speakers see are never assigned.
func TestNetworksAreNeverAssigned(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0-10.0.0.3", "10.0.0.254-10.0.1.0", "10.7.0.0/31", "fd00::/126"))
		c.says("n1", func(s *reports.SpeakerStatus) {
			s.Subnets, s.Gateways = []string{"10.0.0.0/24", "10.7.0.0/31", "fd00::/64", "nonsense"}, []string{"10.0.0.1", "fd00::2", "10.0.0.300"}
		})
		c.start("a")
		var got []string
		for i := range 8 {
			c.add(fmt.Sprint("web-", i))
			settle()
			got = append(got, join(objects.FromService(c.get(fmt.Sprint("web-", i))).Status))
		}
		if want := []string{"10.0.0.2", "10.0.0.3", "10.0.0.254", "10.0.1.0", "10.7.0.0", "10.7.0.1", "", ""}; !slices.Equal(got, want) {
			t.Errorf("assigned are %q, want %q", got, want)
		}
		c.add("six", families(corev1.IPv6Protocol))
		settle()
		c.want("six", "fd00::1 Allocated")
		c.says("n1", func(s *reports.SpeakerStatus) { s.Gateways = []string{"10.0.0.7"} }) // elsewhere now
		settle()
		c.want("web-6", "10.0.0.0 Allocated")
		c.want("web-7", "10.0.0.1 Allocated")
	})
}

// within is a report from a node in 10.0.0.0/24, behind 10.0.0.1.
func within(s *reports.SpeakerStatus) {
	s.Subnets, s.Gateways = []string{"10.0.0.0/24"}, []string{"10.0.0.1"}
}

// A new installation assigns nothing before it is known what the nodes' gateways are. Who has an address keeps it.
func TestFirstReportsAreAwaited(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.pods = "app=speaker"
		c.speaker("n1", corev1.ConditionFalse)
		c.speaker("n2", corev1.ConditionFalse)
		c.configure(pool("10.0.0.0/24"))
		c.add("old")
		c.add("kept", shows("Allocated", "10.0.0.7"))
		r := c.start("a")
		c.add("new")
		c.says("n1", owns())
		time.Sleep(firstReports / 2)
		c.want("old", "- -")
		c.want("new", "- -")
		c.want("kept", "10.0.0.7 Allocated")
		if !r.Status().Speakers.Awaited {
			t.Error("the status does not say so")
		}
		c.says("n2", within)
		both := join(objects.FromService(c.get("old")).Status) + " " + join(objects.FromService(c.get("new")).Status)
		if both != "10.0.0.2 10.0.0.3" && both != "10.0.0.3 10.0.0.2" { // they are served at the same time
			t.Errorf("the Services that waited have %q", both)
		}
		c.wantEvents("old", "Allocated")
		if r.Status().Speakers.Awaited {
			t.Error("the status still says so")
		}

		// Later nobody waits: not for a node that is new, nor for another leader.
		c.speaker("n3", corev1.ConditionFalse)
		c.add("third")
		settle()
		c.want("third", "10.0.0.4 Allocated")
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		c.add("fourth")
		c.start("b")
		c.want("fourth", "10.0.0.5 Allocated")
	})
}

// Speakers that do not report in time hold nobody up for longer, and where there are none nobody waits.
func TestFirstReportsAreNotAwaitedForLong(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.pods = "app=speaker"
		c.speaker("n1", corev1.ConditionFalse)
		c.configure(pool("10.0.0.0/24"))
		c.add("web")
		c.start("a")
		time.Sleep(firstReports - 2*time.Second)
		c.want("web", "- -")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		c.want("web", "10.0.0.0 Allocated")
	})
	inBubble(t, func(t *testing.T, c *cluster) {
		c.pods = "app=speaker"
		c.configure(pool("10.0.0.0/24"))
		c.add("web")
		c.start("a")
		c.want("web", "10.0.0.0 Allocated")
	})
}

// unassignable returns what the report of pool main says of addresses that no Service should have.
func (c *cluster) unassignable() (all []string) {
	c.t.Helper()
	u, err := c.dynamic.Resource(reports.AddressPools).Get(c.t.Context(), "main", metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := reports.ToAddressPool(u)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, one := range r.Status.Unassignable {
		all = append(all, one.Service+" "+one.Address+" "+one.Why)
	}
	return all
}

// An address that turns out to be one that is never assigned stays with its Service, and people are told.
func TestGatewayThatAServiceHas(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		reserved := func(pool string) string {
			return strings.Replace(pool, "}]", ", reservations: [{address: 10.0.0.255, namespace: prod, service: meant}]}]", 1)
		}
		c.configure(reserved(pool("10.0.0.0/24")))
		a := c.start("a")
		for _, name := range []string{"first", "second", "meant", "third"} {
			c.add(name)
			settle()
		}
		theirs := func(s *reports.SpeakerStatus) { // another installation's sees the same network
			within(s)
			s.Installation = "other/last-good"
		}
		c.says("n1", theirs)
		time.Sleep(2 * reportInterval)
		c.says("n2", theirs)
		time.Sleep(2 * reportInterval)
		c.want("first", "10.0.0.0 Allocated")
		c.want("second", "10.0.0.1 Allocated")
		c.want("meant", "10.0.0.255 Allocated")
		want := []string{"prod/first 10.0.0.0 the network address of 10.0.0.0/24", "prod/second 10.0.0.1 a gateway of node n1"}
		if got := c.unassignable(); !slices.Equal(got, want) {
			t.Errorf("the report says %q, want %q", got, want)
		}
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		c.start("b")
		c.remove("first")
		c.configure(reserved(pool("10.0.0.2-10.0.0.255")) + "release: [10.0.0.1]\n")
		time.Sleep(2 * reportInterval)
		if got := c.unassignable(); got != nil {
			t.Errorf("the report says %q", got)
		}
		c.wantEvents("meant", "Allocated")
		c.want("second", "10.0.0.3 Allocated")
		c.wantEvents("second", "Allocated", "NeverAssigned", "AddressLost", "Allocated")
	})
}
