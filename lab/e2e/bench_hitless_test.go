package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
)

// BenchmarkHitless counts what clients lose while things change: requests on new connections, 200 a second, and
// connections that stay, 50, on layer 2 and by BGP through FRR and BIRD, with BFD.
func BenchmarkHitless(b *testing.B) {
	h := &hitless{bench: bench{cluster(b, lab.Dual)}}
	b.Cleanup(func() { tidy(b, h.Cluster) })
	h.install(b, hitlessValues, hitlessObjects)
	h.kubectl(b, "rollout", "status", "deployment/web")
	h.begin(b)
	for _, c := range changes {
		b.Run(c.name, func(b *testing.B) { h.measure(b, c) })
	}
}

const hitlessValues = `
address_pools:
  - {name: lan, protocol: layer2, addresses: [` + lab.LANPoolV4 + `]}
  - {name: routed, protocol: bgp, addresses: [` + lab.BGPPoolV4 + `]}
peers:
  - {name: tor-1, peer_address: 10.88.0.21, peer_asn: 64501, my_asn: 64500, bfd_profile: fast, hold_time: 90s}
  - {name: tor-2, peer_address: 10.88.0.22, peer_asn: 64502, my_asn: 64500, bfd_profile: fast, hold_time: 90s}
  - {name: tor-3, peer_address: 10.88.0.31, peer_asn: 64503, my_asn: 64500, bfd_profile: fast, hold_time: 90s}
bfd_profiles: [{name: fast, receive_interval: 300ms, transmit_interval: 300ms, detect_multiplier: 3}]
`

// One Pod on each node, which goes on for a while when it is told to end, as one that ends well does.
const hitlessObjects = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      containers: [{name: web, image: "` + lab.WebImage + `", env: [{name: LINGER, value: 15s}]}]
---
apiVersion: v1
kind: Service
metadata: {name: lan, annotations: {network-lb.kontena.io/address-pool: lan}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: frr, annotations: {network-lb.kontena.io/address-pool: routed}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: bird, annotations: {network-lb.kontena.io/address-pool: routed}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

// hitless is three Services, each with a load on its own way.
type hitless struct {
	bench
	addrs map[string]netip.Addr // of the Services
	loads map[string]*load
	lost  string // node
}

// ways are the Services, in the order in which they are shown.
var ways = []string{"lan", "frr", "bird"}

// begin starts the loads: from the LAN, from behind the FRR routers, and from behind the BIRD router.
func (h *hitless) begin(b *testing.B) {
	h.addrs = map[string]netip.Addr{}
	for _, way := range ways {
		h.addrs[way] = h.bench.addrs(b, way, 1)[0]
	}
	bird := h.addrs["bird"].String()
	_, err := h.Exec(b.Context(), lab.Far, "ip", "route", "replace", bird+"/32", "via", "10.90.0.31")
	h.do(b, err)
	b.Cleanup(func() { _, _ = h.Exec(context.Background(), lab.Far, "ip", "route", "del", bird+"/32") })
	h.spread(b)
	var loads []string
	for _, way := range ways {
		host := lab.Far
		if way == "lan" {
			host = lab.Client
		}
		loads = append(loads, way, host, h.addrs[way].String())
	}
	h.loads, err = startLoads(h.Cluster, loads)
	for _, l := range h.loads {
		b.Cleanup(l.stop)
	}
	h.do(b, err)
}

// spread waits until every router has all nodes as next hops.
func (h *hitless) spread(b *testing.B) {
	b.Helper()
	for _, router := range []string{lab.FRR1, lab.FRR2, lab.BIRD1} {
		h.until(b, router+" has the routes of all nodes", func() bool {
			out, err := h.Exec(context.Background(), router, "ip", "route", "show", h.addrs["frr"].String(), "proto", "bgp")
			if router == lab.BIRD1 {
				out, err = h.Exec(context.Background(), router, "ip", "route", "show", h.addrs["bird"].String())
			}
			return err == nil && strings.Count(out, "via 10.88.0.1") == len(lab.Nodes())
		})
	}
}

// change is something that happens in a cluster. It returns when it is over. What prepares and mends is not counted.
type change struct {
	name                  string
	prepare, happen, mend func(h *hitless, b *testing.B)
}

var changes = []change{
	{name: "nothing, for 10 s", happen: func(*hitless, *testing.B) { time.Sleep(10 * time.Second) }}, // how well the clients count
	{name: "all speakers replaced", happen: func(h *hitless, b *testing.B) { h.replace(b, "daemonset/network-lb-speaker") }},
	{name: "controllers replaced", happen: func(h *hitless, b *testing.B) { h.replace(b, "deployment/network-lb-controller") }},
	{name: "each node drained and back", happen: (*hitless).drain},
	{name: "a range more, by helm upgrade", happen: (*hitless).upgrade, mend: (*hitless).downgrade},
	{name: "a speaker killed", happen: (*hitless).kill, mend: (*hitless).renew},
	// Without Local the Pod of the lost node gets its share for as long as the cluster takes it for ready, some 40 s.
	{name: "Local, a node lost", prepare: (*hitless).local, happen: (*hitless).lose, mend: (*hitless).find},
	{name: "API server away for 60 s, a speaker restarted", happen: (*hitless).away, mend: (*hitless).renew},
	{name: "Local, the endpoints of a node end", prepare: (*hitless).local, happen: (*hitless).end, mend: (*hitless).cluster},
}

const (
	runs       = 5  // of each
	mostErrors = 10 // that are shown of each
)

func (h *hitless) measure(b *testing.B, c change) {
	failed, cut, broken := map[string][]int{}, map[string][]int{}, map[string][]int{}
	slowest := map[string]time.Duration{}
	var lost []string
	for range runs {
		if c.prepare != nil {
			c.prepare(h, b)
		}
		h.do(b, h.ForgetConnections()) // broken ones that lead to Pods that are gone, for who gets their port next
		h.settle(b)
		c.happen(h, b)
		time.Sleep(time.Second)
		for _, way := range ways {
			got, err := h.loads[way].count()
			h.do(b, err)
			failed[way] = append(failed[way], got.Failed)
			cut[way] = append(cut[way], got.Cut)
			broken[way] = append(broken[way], got.Broken)
			slowest[way] = max(slowest[way], got.Slowest)
			for _, e := range got.Errors {
				if !strings.Contains(e, longLivedError) {
					lost = append(lost, way+" "+e)
				}
			}
		}
		if c.mend != nil {
			c.mend(h, b)
		}
	}
	for _, way := range ways {
		fmt.Printf("%-60s %-5s failed %-16s cut %-16s broken %-16s of %d, slowest %d ms (%d runs)\n", c.name, way,
			spanOf(failed[way]), spanOf(cut[way]), spanOf(broken[way]), longLived, slowest[way].Milliseconds(), runs)
	}
	for _, e := range lost[:min(len(lost), mostErrors)] {
		fmt.Println("  " + e)
	}
}

func spanOf(counts []int) string {
	slices.Sort(counts)
	return fmt.Sprintf("%d/%d/%d", counts[0], counts[len(counts)/2], counts[len(counts)-1])
}

// settle waits until all Pods run, all routes are there, and the loads lose nothing any more.
func (h *hitless) settle(b *testing.B) {
	b.Helper()
	for _, what := range []string{"daemonset/network-lb-speaker", "deployment/network-lb-controller"} {
		h.kubectl(b, "rollout", "status", "--namespace", addon.Namespace, what, "--timeout=3m")
	}
	h.kubectl(b, "rollout", "status", "deployment/web", "--timeout=3m")
	h.spread(b)
	var since time.Time
	h.until(b, "all clients have their answers", func() bool {
		for _, way := range ways {
			got, err := h.loads[way].count()
			h.do(b, err)
			if got.Failed+got.Cut+got.Broken > 0 || got.Open < longLived {
				since = time.Time{}
			}
		}
		if since.IsZero() {
			since = time.Now()
		}
		return time.Since(since) > settled
	})
}

func (h *hitless) replace(b *testing.B, what string) {
	h.kubectl(b, "rollout", "restart", "--namespace", addon.Namespace, what)
	h.kubectl(b, "rollout", "status", "--namespace", addon.Namespace, what, "--timeout=4m")
}

// owner is the node that answers for the address on the LAN.
func (h *hitless) owner(b *testing.B) (node string) {
	b.Helper()
	h.until(b, "one node answers on the LAN", func() bool {
		out, err := answers(b.Context(), h.Cluster, h.addrs["lan"].String())
		node = strings.TrimSpace(out)
		return err == nil && len(strings.Fields(node)) == 1
	})
	return node
}

// drain empties each node in turn, and has it back.
func (h *hitless) drain(b *testing.B) {
	for _, n := range lab.Nodes() {
		h.kubectl(b, "annotate", "node", n.Name, "network-lb.kontena.io/drain=yes")
		h.until(b, n.Name+" is drained", func() bool {
			return h.kubectl(b, "get", "speaker", n.Name, "--output=jsonpath={.status.drain.state}") == "Drained"
		})
		h.kubectl(b, "annotate", "node", n.Name, "network-lb.kontena.io/drain-")
		h.spread(b)
	}
}

func (h *hitless) upgrade(b *testing.B) {
	h.install(b, strings.Replace(hitlessValues, lab.BGPPoolV4, lab.BGPPoolV4+", 10.89.1.0/24", 1), "")
	time.Sleep(3 * time.Second)
}

func (h *hitless) downgrade(b *testing.B) { h.install(b, hitlessValues, "") }

// kill kills the speaker that answers on the LAN, and waits until the node's next one is ready.
func (h *hitless) kill(b *testing.B) {
	node := h.owner(b)
	_, err := signal(b.Context(), h.Cluster, node, "KILL")
	h.do(b, err)
	time.Sleep(enough)
	h.kubectl(b, "rollout", "status", "--namespace", addon.Namespace, "daemonset/network-lb-speaker", "--timeout=3m")
}

// renew has all speakers made anew: a container that ends again and again would be started later and later.
func (h *hitless) renew(b *testing.B) { h.replace(b, "daemonset/network-lb-speaker") }

// lose takes the cable out of the node that answers on the LAN, and stops all that runs there.
func (h *hitless) lose(b *testing.B) {
	h.lost = h.owner(b)
	h.do(b, signalAll(h.Cluster, h.lost, "STOP"))
	h.do(b, port(h.lost, "down"))
	time.Sleep(10 * time.Second)
}

func (h *hitless) find(b *testing.B) {
	h.do(b, port(h.lost, "up"))
	h.do(b, signalAll(h.Cluster, h.lost, "CONT"))
	h.cluster(b)
}

// away stops the API server for a minute, in which the speaker that answers on the LAN ends and its container is started
// again.
func (h *hitless) away(b *testing.B) {
	node := h.owner(b)
	h.do(b, signalAll(h.Cluster, lab.Control, "STOP"))
	time.Sleep(5 * time.Second)
	_, err := signal(b.Context(), h.Cluster, node, "TERM")
	h.do(b, err)
	time.Sleep(55 * time.Second)
	h.do(b, signalAll(h.Cluster, lab.Control, "CONT"))
	time.Sleep(5 * time.Second)
}

func (h *hitless) local(b *testing.B)   { h.policy(b, "Local") }
func (h *hitless) cluster(b *testing.B) { h.policy(b, "Cluster") }

func (h *hitless) policy(b *testing.B, policy string) {
	for _, way := range ways {
		h.kubectl(b, "patch", "service", way, "--patch", `{"spec":{"externalTrafficPolicy":"`+policy+`"}}`)
	}
}

// end deletes the Pod on the node that answers on the LAN; it goes on for 15 s.
func (h *hitless) end(b *testing.B) {
	h.kubectl(b, "delete", "pod", "--selector", "app=web", "--field-selector", "spec.nodeName="+h.owner(b), "--wait")
	h.kubectl(b, "rollout", "status", "deployment/web", "--timeout=3m")
}
