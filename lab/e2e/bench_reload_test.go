package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
)

// BenchmarkReload measures the way of a changed configuration to the network: a Service waits for an address, the
// document gets a range more, and FRR has the route to it.
func BenchmarkReload(b *testing.B) {
	c := cluster(b, lab.Dual)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if _, err := addon.Install(ctx, c, addon.Source{Chart: addon.Chart(root), Values: "testdata/bench-reload.yaml"}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tidy(b, c) })
	if _, err := c.Kubectl(ctx, "create", "deployment", "bench", "--image", lab.WebImage); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Kubectl(ctx, "rollout", "status", "deployment/bench"); err != nil {
		b.Fatal(err)
	}
	routed, done := router(b, c)
	defer done()
	client := clientOf(b, c)
	wait(ctx, b, client, 0)
	addr := netip.MustParseAddr("10.89.0.0")
	delivered(ctx, b, true, addr, routed) // the first Service has the only address
	var times []time.Duration
	for i := range rounds {
		wait(ctx, b, client, i+1)
		addr = addr.Next()
		began := grow(ctx, b, client, addr)
		delivered(ctx, b, true, addr, routed)
		times = append(times, time.Since(began))
	}
	show(b, "ConfigMap written -> route in FRR", "changes", times)
}

// wait creates a Service, and waits until the controller has said something about it.
func wait(ctx context.Context, b *testing.B, client kubernetes.Interface, n int) {
	name := fmt.Sprintf("bench-%d", n)
	services := client.CoreV1().Services(metav1.NamespaceDefault)
	events, err := services.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		b.Fatal(err)
	}
	defer events.Stop()
	_, err = services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "bench"},
			Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for e := range events.ResultChan() {
		if s, ok := e.Object.(*corev1.Service); ok && len(s.Status.Conditions) > 0 {
			return
		}
	}
	b.Fatalf("the controller says nothing about %s", name)
}

// grow adds an address to the pool in the ConfigMap, and returns when it did so.
func grow(ctx context.Context, b *testing.B, client kubernetes.Interface, addr netip.Addr) time.Time {
	maps := client.CoreV1().ConfigMaps(addon.Namespace)
	config, err := maps.Get(ctx, addon.Release+"-config", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	const first = "- 10.89.0.0/32\n"
	text := config.Data["config.yaml"]
	at := strings.Index(text, first)
	if at < 0 {
		b.Fatalf("the document has no %q:\n%s", first, text)
	}
	indent := text[strings.LastIndex(text[:at], "\n")+1 : at]
	at += len(first)
	config.Data["config.yaml"] = text[:at] + indent + "- " + addr.String() + "\n" + text[at:]
	began := time.Now()
	if _, err := maps.Update(ctx, config, metav1.UpdateOptions{}); err != nil {
		b.Fatal(err)
	}
	return began
}
