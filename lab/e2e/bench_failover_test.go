package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
)

// BenchmarkFailover measures how long clients on the LAN are without an answer when the node that answers for an
// address on layer 2 is lost in one way or another, also while the API server stands still.
//
// The Service's endpoint is on a node that never answers for it, so that what is lost is the way and not its end.
func BenchmarkFailover(b *testing.B) {
	c := cluster(b, lab.Dual)
	f := &failover{bench: bench{c}}
	b.Cleanup(func() { tidy(b, c) })
	f.kubectl(b, "label", "node", lab.Node3, excluded+"=")
	b.Cleanup(func() { f.kubectl(b, "label", "node", lab.Node3, excluded+"-") })
	for _, detection := range []string{"normal", "fast"} {
		b.Run(detection, func(b *testing.B) {
			f.install(b, detection)
			for _, away := range []bool{false, true} {
				for _, fault := range faults {
					name := fault.name
					if away {
						name += ", API server away"
					}
					b.Run(name, func(b *testing.B) { f.measure(b, detection, fault, away) })
				}
			}
		})
	}
}

const excluded = "node.kubernetes.io/exclude-from-external-load-balancers"

// fault is how a node is lost, and how it comes back.
type fault struct {
	name         string
	strike, mend func(f *failover, node string) error
	replace      bool // the speaker's Pod is made anew: one that ends again and again would be started later and later
}

var faults = []fault{
	{name: "nothing", strike: func(*failover, string) error { return nil }}, // how well the clients measure
	{name: "speaker killed", strike: (*failover).kill, replace: true},
	{name: "link down", strike: func(_ *failover, node string) error { return port(node, "down") },
		mend: func(_ *failover, node string) error { return port(node, "up") }},
	{name: "node frozen", strike: func(f *failover, node string) error { return signalAll(f.Cluster, node, "STOP") },
		mend: func(f *failover, node string) error { return signalAll(f.Cluster, node, "CONT") }},
	{name: "speaker stopped", strike: (*failover).terminate, replace: true},
}

// failover is a Service with its clients.
type failover struct {
	bench
	visitors []*visitor
}

func (f *failover) kill(node string) error {
	_, err := signal(context.Background(), f.Cluster, node, "KILL")
	return err
}

func (f *failover) terminate(node string) error {
	_, err := signal(context.Background(), f.Cluster, node, "TERM")
	return err
}

// install installs the addon and creates the Service, with a detection of this speed.
func (f *failover) install(b *testing.B, detection string) {
	b.Helper()
	f.bench.install(b, fmt.Sprintf("failure_detection: %s\naddress_pools:\n  - {name: lan, protocol: layer2, addresses: [%s, %q]}\n",
		detection, lab.LANPoolV4, lab.LANPoolV6), failoverObjects)
	f.kubectl(b, "rollout", "status", "deployment/web")
	f.visitors = nil
	for _, a := range f.addrs(b, "web", 2) {
		f.visitors = append(f.visitors, visit(b, f.Cluster, &visitor{host: lab.Client, addr: a}),
			visit(b, f.Cluster, &visitor{host: lab.BIRD1, addr: a, forgets: true}))
	}
}

const failoverObjects = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeName: ` + lab.Node3 + `
      containers: [{name: web, image: "` + lab.WebImage + `"}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`

// measure loses the owner of the addresses again and again.
func (f *failover) measure(b *testing.B, detection string, fault fault, away bool) {
	without := make([][]time.Duration, len(f.visitors))
	unserved := make([]int, len(f.visitors))
	for range rounds {
		node := f.settle(b)
		if away {
			f.do(b, signalAll(f.Cluster, lab.Control, "STOP"))
		}
		for _, v := range f.visitors {
			v.watch()
		}
		began := time.Now()
		f.do(b, fault.strike(f, node))
		f.until(b, "everybody has an answer", func() bool { return time.Since(began) > enough && f.served() })
		for i, v := range f.visitors {
			d, n := v.without()
			without[i], unserved[i] = append(without[i], d), unserved[i]+n
		}
		if away {
			f.do(b, signalAll(f.Cluster, lab.Control, "CONT"))
		}
		if fault.mend != nil {
			f.do(b, fault.mend(f, node))
		}
		if fault.replace {
			f.kubectl(b, "delete", "pod", "--namespace", addon.Namespace, "--selector", "app.kubernetes.io/component=speaker",
				"--field-selector", "spec.nodeName="+node, "--wait")
		}
	}
	for i, v := range f.visitors {
		family, knows := "IPv4", "warm"
		if v.addr.Is6() {
			family = "IPv6"
		}
		if v.forgets {
			knows = "forgets"
		}
		show(b, fmt.Sprintf("%s, %s %s, %d unserved", detection, family, knows, unserved[i]), "times", without[i])
	}
}

const (
	enough = 3 * time.Second // how long a fault lasts at least: longer than it takes to detect
	calm   = 3 * time.Second // for how long all is well before the next one
)

// settle waits until all is well, and returns the node that answers for all addresses.
func (f *failover) settle(b *testing.B) (owner string) {
	b.Helper()
	var since time.Time
	f.until(b, "all is well", func() bool {
		owners, _, well := f.owners()
		if !well || !f.served() || len(owners) > 1 {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		if well && len(owners) > 1 { // of two families: bring them together
			f.do(b, port(owners[0], "down"))
			f.until(b, "it has moved", func() bool {
				now, claims, _ := f.owners()
				return !slices.Contains(now, owners[0]) && claims == len(f.visitors)/2
			})
			f.do(b, port(owners[0], "up"))
		}
		owner = strings.Join(owners, " ")
		return !since.IsZero() && time.Since(since) > calm
	})
	return owner
}

// owners are the nodes whose speakers answer for addresses, for how many in all, and whether all know each other, and
// each address has one.
func (f *failover) owners() (nodes []string, claims int, well bool) {
	well = true
	for _, h := range lab.Nodes() {
		text, err := f.Exec(context.Background(), h.Name, "curl", "--silent", "--max-time", "1", "http://127.0.0.1:17473/status")
		var status struct {
			Layer2  struct{ Claims, Vetoes []struct{} }
			Members []struct{ Presence string }
		}
		if err != nil || json.Unmarshal([]byte(text), &status) != nil {
			well = false
			continue
		}
		alive := 0
		for _, m := range status.Members {
			if m.Presence == "Alive" {
				alive++
			}
		}
		well = well && alive == len(lab.Nodes()) && len(status.Layer2.Vetoes) == 0
		if n := len(status.Layer2.Claims); n > 0 {
			nodes, claims = append(nodes, h.Name), claims+n
		}
	}
	return nodes, claims, well && claims == len(f.visitors)/2
}

func (f *failover) served() bool {
	for _, v := range f.visitors {
		if !v.served() {
			return false
		}
	}
	return true
}
