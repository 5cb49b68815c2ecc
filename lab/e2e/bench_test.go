package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
)

// rounds is how many Services are measured, one after the other.
const rounds = 20

// BenchmarkAnnounce measures, for each protocol, the way of a new Service: from its creation to its address in
// the status, and to the network: the route in FRR's BGP table, or the first answer to ARP.
func BenchmarkAnnounce(b *testing.B) {
	c := cluster(b, lab.Dual)
	ctx := context.Background()
	if _, err := addon.Install(ctx, c, addon.Source{Chart: addon.Chart(root), Values: "testdata/bench.yaml"}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tidy(b, c) })
	if _, err := c.Kubectl(ctx, "create", "deployment", "bench", "--image", lab.WebImage, "--replicas", "3"); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Kubectl(ctx, "rollout", "status", "deployment/bench"); err != nil {
		b.Fatal(err)
	}
	b.Run("bgp", func(b *testing.B) {
		routed, done := router(b, c)
		defer done()
		measure(b, c, "routed", "route in FRR", routed)
	})
	b.Run("layer2", func(b *testing.B) {
		ask, done := asker(b, c)
		defer done()
		measure(b, c, "lan", "ARP answered", ask)
	})
}

// measure creates Services and prints how long each step took.
func measure(b *testing.B, c *lab.Cluster, pool, arrival string, arrived func(netip.Addr) bool) {
	client := clientOf(b, c)
	var status, network []time.Duration
	for i := range rounds {
		s, n := one(b, client, fmt.Sprintf("bench-%s-%d", pool, i), pool, arrived)
		status, network = append(status, s), append(network, n)
	}
	show(b, "created -> EXTERNAL-IP in the status", "Services", status)
	show(b, "created -> "+arrival, "Services", network)
}

func clientOf(b *testing.B, c *lab.Cluster) kubernetes.Interface {
	config, err := c.RESTConfig()
	if err != nil {
		b.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	return client
}

// one creates a Service and waits until the network delivers its address; then it is deleted again, and gone.
func one(b *testing.B, client kubernetes.Interface, name, pool string, arrived func(netip.Addr) bool) (status, network time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	services := client.CoreV1().Services(metav1.NamespaceDefault)
	events, err := services.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		b.Fatal(err)
	}
	defer events.Stop()
	began := time.Now()
	_, err = services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"network-lb.kontena.io/address-pool": pool}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "bench"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var addr netip.Addr
	for e := range events.ResultChan() {
		if s, ok := e.Object.(*corev1.Service); ok && e.Type != watch.Deleted && len(s.Status.LoadBalancer.Ingress) > 0 {
			addr, status = netip.MustParseAddr(s.Status.LoadBalancer.Ingress[0].IP), time.Since(began)
			break
		}
	}
	if !addr.IsValid() {
		b.Fatalf("%s got no address within a minute", name)
	}
	delivered(ctx, b, true, addr, arrived)
	network = time.Since(began)
	if err := services.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		b.Fatal(err)
	}
	delivered(ctx, b, false, addr, arrived)
	return status, network
}

// delivered waits until the network delivers an address, or does not any more.
func delivered(ctx context.Context, b *testing.B, want bool, addr netip.Addr, arrived func(netip.Addr) bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for arrived(addr) != want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.Fatalf("the network delivers %s: not %v within a minute", addr, want)
		}
	}
}

// router returns a function that says whether frr-1 has a route to an address.
func router(b *testing.B, c *lab.Cluster) (routed func(netip.Addr) bool, done func()) {
	vty, err := c.VTY(lab.FRR1, "bgpd")
	if err != nil {
		b.Fatal(err)
	}
	return func(a netip.Addr) bool {
		out, err := vty.Ask("show bgp ipv4 unicast " + a.String() + "/32 json")
		return err == nil && strings.Contains(out, `"paths"`)
	}, func() { vty.Close() }
}

// asker returns a function that asks for an address by ARP on the LAN, as the client, and says whether anybody
// answers within 5 ms.
func asker(b *testing.B, c *lab.Cluster) (ask func(netip.Addr) bool, done func()) {
	ns, err := c.Namespaces(lab.Client)
	if err != nil {
		b.Fatal(err)
	}
	var client *arp.Client
	if err := ns.Do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		client, err = arp.Dial(eth0)
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return func(a netip.Addr) bool {
		if err := client.SetDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			return false
		}
		if err := client.Request(a); err != nil {
			return false
		}
		for {
			p, _, err := client.Read()
			if err != nil {
				return false
			}
			if p.Operation == arp.OperationReply && p.SenderIP == a {
				return true
			}
		}
	}, func() { client.Close() }
}

// bench is a cluster to measure on.
type bench struct{ *lab.Cluster }

// kubectl returns what it prints.
func (c bench) kubectl(b *testing.B, args ...string) string {
	b.Helper()
	out, err := c.Kubectl(context.Background(), args...)
	c.do(b, err)
	return out
}

func (bench) do(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// until polls.
func (bench) until(b *testing.B, what string, done func() bool) {
	b.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); !done(); <-tick.C {
		if time.Now().After(deadline) {
			b.Fatalf("not within two minutes: %s", what)
		}
	}
}

// addrs waits for the two addresses of a Service, or the one that a Service of one family has.
func (c bench) addrs(b *testing.B, service string, count int) []netip.Addr {
	b.Helper()
	c.kubectl(b, "wait", "service/"+service, fmt.Sprintf("--for=jsonpath={.status.loadBalancer.ingress[%d].ip}", count-1), "--timeout=1m")
	var ips []struct{ IP netip.Addr }
	c.do(b, json.Unmarshal([]byte(c.kubectl(b, "get", "service", service, "--output=jsonpath={.status.loadBalancer.ingress}")), &ips))
	all := make([]netip.Addr, 0, len(ips))
	for _, i := range ips {
		all = append(all, i.IP)
	}
	return all
}

// install writes values and objects, and gives them to Helm and kubectl; what is there already is changed.
func (c bench) install(b *testing.B, values, objects string) {
	b.Helper()
	dir := b.TempDir()
	for file, text := range map[string]string{"values.yaml": values, "objects.yaml": objects} {
		c.do(b, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
	}
	_, err := addon.Install(context.Background(), c.Cluster, addon.Source{Chart: addon.Chart(root), Values: filepath.Join(dir, "values.yaml")})
	c.do(b, err)
	if objects != "" {
		c.kubectl(b, "apply", "--filename", filepath.Join(dir, "objects.yaml"))
	}
}

// show prints the least, the median and the greatest of the times that something took.
func show(b *testing.B, what, things string, times []time.Duration) {
	slices.Sort(times)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
	name := strings.TrimPrefix(b.Name()[strings.LastIndex(b.Name(), "/")+1:], "Benchmark")
	fmt.Printf("%-32s %-40s min %6s   median %6s   max %6s ms   (%d %s)\n", strings.ToLower(name), what,
		ms(times[0]), ms(times[len(times)/2]), ms(times[len(times)-1]), len(times), things)
}
