package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontena/network-lb/lab"
)

// BenchmarkFresh measures how long connections to a new Service fail although the router has the route already: kube-proxy
// gathers changes before it programs them. node-1 alone has a session with frr-1, which is the client too.
func BenchmarkFresh(b *testing.B) {
	c := cluster(b, lab.Dual)
	ctx := context.Background()
	b.Cleanup(func() { tidy(b, c) })
	if _, err := c.Kubectl(ctx, "create", "deployment", "bench", "--image", lab.WebImage, "--replicas", "3"); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Kubectl(ctx, "rollout", "status", "deployment/bench"); err != nil {
		b.Fatal(err)
	}
	k := watchKernel(b, c, lab.FRR1)
	benchInstall(b, c, "")
	host, err := c.Namespaces(lab.FRR1)
	if err != nil {
		b.Fatal(err)
	}
	connect := func(target string) error {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		conn, err := host.DialContext(ctx, "tcp", target)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	var routed, failing []time.Duration
	failed := 0
	for i := range rounds {
		name := fmt.Sprint("fresh-", i)
		written, addr := createService(b, c, name)
		announced := k.until(b, addr, true)
		last := announced
		for time.Since(last) < 3*time.Second {
			if connect(addr.String()+":80") != nil {
				failed++
				last = time.Now()
			}
			time.Sleep(10 * time.Millisecond)
		}
		routed, failing = append(routed, max(0, announced.Sub(written))), append(failing, last.Sub(announced))
		if _, err := c.Kubectl(ctx, "delete", "service", name); err != nil {
			b.Fatal(err)
		}
		k.until(b, addr, false)
	}
	show(b, "status seen -> route in FRR's kernel", "Services", routed)
	show(b, fmt.Sprintf("route in FRR's kernel -> last connection that failed (of %d)", failed), "Services", failing)
}
