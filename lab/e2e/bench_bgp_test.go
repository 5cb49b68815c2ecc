package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
)

// BenchmarkBGP measures how fast a router's kernel learns what has happened to a node: node-1 alone has a session with
// frr-1, so that the route is there or is not.
func BenchmarkBGP(b *testing.B) {
	c := cluster(b, lab.Dual)
	ctx := context.Background()
	b.Cleanup(func() { tidy(b, c) })
	if _, err := c.Kubectl(ctx, "create", "deployment", "bench", "--image", lab.WebImage, "--replicas", "3"); err != nil {
		b.Fatal(err)
	}
	k := watchKernel(b, c, lab.FRR1)
	b.Run("service", func(b *testing.B) {
		benchInstall(b, c, "")
		benchStatus(b, c, k)
	})
	b.Run("killed", func(b *testing.B) {
		benchInstall(b, c, "graceful_restart: {enabled: false}")
		addr := benchService(b, c, k)
		var gone []time.Duration
		for range rounds {
			began := time.Now()
			if _, err := signal(ctx, c, lab.Node1, "KILL"); err != nil {
				b.Fatal(err)
			}
			gone = append(gone, k.until(b, addr, false).Sub(began))
			// A container that crashes again and again is started later and later; another Pod is not.
			if _, err := c.Kubectl(ctx, "delete", "pod", "--namespace", addon.Namespace, "--selector", "app.kubernetes.io/component=speaker",
				"--field-selector", "spec.nodeName="+lab.Node1, "--grace-period=0", "--force"); err != nil {
				b.Fatal(err)
			}
			k.until(b, addr, true)
		}
		show(b, "speaker killed, no graceful restart -> gone", "times", gone)
	})
	for _, interval := range []string{"300ms", "100ms"} {
		b.Run("cut/"+interval, func(b *testing.B) {
			benchInstall(b, c, "bfd_profile: fast}\nbfd_profiles:\n  - {name: fast, receive_interval: "+interval+", transmit_interval: "+interval)
			addr := benchService(b, c, k)
			benchCut(b, c, k, lab.Node1, "link down, BFD "+interval+" x 3 -> gone", addr, 0)
		})
	}
	b.Run("back", func(b *testing.B) {
		benchInstall(b, c, "bfd_profile: fast}\nbfd_profiles:\n  - {name: fast")
		addr := benchService(b, c, k)
		benchCut(b, c, k, lab.FRR1, "", addr, 10*time.Second)
	})
}

// benchInstall installs a pool and a peer with some more keys.
func benchInstall(b *testing.B, c *lab.Cluster, keys string) {
	b.Helper()
	if keys != "" {
		keys = ", " + keys
	}
	values := filepath.Join(b.TempDir(), "values.yaml")
	text := "address_pools:\n  - {name: routed, protocol: bgp, addresses: [10.89.0.0/24]}\npeers:\n" +
		"  - {peer_address: 10.88.0.21, peer_asn: 64501, my_asn: 64500, hold_time: 90s, node_selectors: [{match_labels: {kubernetes.io/hostname: node-1}}]" + keys + "}\n"
	if err := os.WriteFile(values, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	if _, err := addon.Install(context.Background(), c, addon.Source{Chart: addon.Chart(root), Values: values}); err != nil {
		b.Fatal(err)
	}
}

// benchService creates the Service if it is not there, and returns its address when the router has the route to it.
func benchService(b *testing.B, c *lab.Cluster, k *kernel) netip.Addr {
	b.Helper()
	var addr netip.Addr
	s, err := clientOf(b, c).CoreV1().Services(metav1.NamespaceDefault).Get(b.Context(), "bench", metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, addr = createService(b, c, "bench")
	case err != nil:
		b.Fatal(err)
	default:
		addr = netip.MustParseAddr(s.Status.LoadBalancer.Ingress[0].IP)
	}
	k.until(b, addr, true)
	return addr
}

// createService creates a Service and returns when its status was seen, and its address.
func createService(b *testing.B, c *lab.Cluster, name string) (time.Time, netip.Addr) {
	b.Helper()
	services := clientOf(b, c).CoreV1().Services(metav1.NamespaceDefault)
	events, err := services.Watch(b.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		b.Fatal(err)
	}
	defer events.Stop()
	if _, err := services.Create(b.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "bench"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	for e := range events.ResultChan() {
		if s, ok := e.Object.(*corev1.Service); ok && len(s.Status.LoadBalancer.Ingress) > 0 {
			return time.Now(), netip.MustParseAddr(s.Status.LoadBalancer.Ingress[0].IP)
		}
	}
	b.Fatalf("%s got no address", name)
	return time.Time{}, netip.Addr{}
}

// benchStatus measures the way from the status to the router's kernel.
func benchStatus(b *testing.B, c *lab.Cluster, k *kernel) {
	var times []time.Duration
	for i := range rounds {
		written, addr := createService(b, c, fmt.Sprint("bench-", i))
		times = append(times, max(0, k.until(b, addr, true).Sub(written)))
		if _, err := c.Kubectl(b.Context(), "delete", "service", fmt.Sprint("bench-", i)); err != nil {
			b.Fatal(err)
		}
		k.until(b, addr, false)
	}
	show(b, "status seen -> route in FRR's kernel", "Services", times)
}

// benchCut takes a host's cable out and puts it back: with away, that long afterwards, and then it is the way back that
// is measured.
func benchCut(b *testing.B, c *lab.Cluster, k *kernel, host, what string, addr netip.Addr, away time.Duration) {
	var gone, back []time.Duration
	b.Cleanup(func() { _ = port(host, "up") }) // it is, if all went well
	for range rounds {
		bfdUp(b, c)
		began := time.Now()
		if err := port(host, "down"); err != nil {
			b.Fatal(err)
		}
		if away == 0 {
			gone = append(gone, k.until(b, addr, false).Sub(began))
		} else {
			time.Sleep(away)
			k.forget() // a router whose own link is down loses its routes without a word
		}
		began = time.Now()
		if err := port(host, "up"); err != nil {
			b.Fatal(err)
		}
		back = append(back, k.until(b, addr, true).Sub(began))
	}
	if what != "" {
		show(b, what, "times", gone)
	}
	if away > 0 {
		show(b, fmt.Sprintf("router back after %s -> route is back", away), "times", back)
	}
}

// bfdUp waits until frr-1 says that its BFD session with node-1 is up.
func bfdUp(b *testing.B, c *lab.Cluster) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out, err := c.FRR(b.Context(), lab.FRR1, "show bfd peer 10.88.0.11 local-address 10.88.0.21 interface eth0")
		if err == nil && strings.Contains(out, "Status: up") {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("BFD is not up: %s (%v)", out, err)
		}
	}
}

// kernel follows the routes of a router.
type kernel struct {
	updates chan netlink.RouteUpdate
	has     map[netip.Addr]bool
}

func watchKernel(b *testing.B, c *lab.Cluster, router string) *kernel {
	k := &kernel{make(chan netlink.RouteUpdate, 1024), map[netip.Addr]bool{}}
	done := make(chan struct{})
	b.Cleanup(func() { close(done) })
	ns, err := c.Namespaces(router)
	if err == nil {
		err = ns.Do(func() error { return netlink.RouteSubscribe(k.updates, done) })
	}
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// forget drops what the kernel has said so far.
func (k *kernel) forget() {
	for len(k.updates) > 0 {
		<-k.updates
	}
	clear(k.has)
}

// until waits until the kernel has a route to an address, or has none, and returns when it heard of it.
func (k *kernel) until(b *testing.B, addr netip.Addr, want bool) time.Time {
	b.Helper()
	enough := time.After(3 * time.Minute)
	for k.has[addr] != want {
		select {
		case u := <-k.updates:
			if u.Dst == nil {
				continue
			}
			if to, ok := netip.AddrFromSlice(u.Dst.IP); ok {
				k.has[to.Unmap()] = u.Type == unix.RTM_NEWROUTE
			}
		case <-enough:
			b.Fatalf("the route to %s: not %v within three minutes", addr, want)
		}
	}
	return time.Now()
}
