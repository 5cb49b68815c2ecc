package speaker

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/api/clientset"
	"github.com/kontena/network-lb/kube/document"
)

// many is how many Services a large cluster has; each has two endpoints.
const many = 5000

const large = `
address_pools:
- {name: routed, protocol: bgp, addresses: [10.1.0.0/16]}
- {name: lan, protocol: layer2, addresses: [10.2.0.0/16]}
peers: [{peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500}, {peer_address: 192.0.2.2, peer_asn: 64501, my_asn: 64500}]
`

// largeService is the i-th Service, as the API server has it, with an address in 10.NET.0.0/16.
func largeService(i, net int) *corev1.Service {
	o := service(fmt.Sprintf("10.%d.%d.%d", net, i/250, i%250+1))
	o.Name = fmt.Sprintf("service-%05d", i)
	return o
}

func largeSlice(i int, nodes ...string) *discoveryv1.EndpointSlice {
	name := fmt.Sprintf("service-%05d", i)
	return slice(name+"-x7k2p", name, nodes...)
}

// largeState holds many Services with addresses of one protocol, on three nodes.
func largeState(wake func(), net int) *state {
	s := newState(wake)
	for i, n := range []string{"a", "b", "c"} {
		s.nodeHandler().OnAdd(node(n, fmt.Sprint("10.0.0.", i+1)), true)
		s.podHandler().OnAdd(pod(n), true)
	}
	services, slices := s.serviceHandler(), s.sliceHandler()
	for i := range many {
		services.OnAdd(largeService(i, net), true)
		slices.OnAdd(largeSlice(i, "b", "c"), true)
	}
	return s
}

// BenchmarkTurn is a decision about 5,000 Services and what is done with it, after the endpoints of one have changed.
func BenchmarkTurn(b *testing.B) {
	for name, net := range map[string]int{"bgp": 1, "layer2": 2} {
		b.Run(name, func(b *testing.B) {
			v := document.Parse(large)
			if v.Err != nil {
				b.Fatal(v.Err)
			}
			var memory bgp.Memory
			routes := bgp.NewSpeaker(&memory, bgp.Options{})
			defer routes.Close(false)
			var claims recordedClaims
			s := New(Options{Client: clientset.Client(fake.NewClientset()), Node: "a", Namespace: "system", Routes: routes, Claims: &claims})
			s.state = largeState(s.poke, net)
			turn := func(cfg config.Config, i int) {
				nodes := []string{"b", "c"}
				s.state.sliceHandler().OnUpdate(nil, largeSlice(i%many, nodes[:1+i/many%2]...))
				s.turn(b.Context(), cfg)
			}
			turn(v.Config, 0)
			before := processor()
			for i := 1; b.Loop(); i++ {
				turn(v.Config, i)
			}
			b.ReportMetric(float64((processor()-before).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
			if n := len(memory.Routes(netip.MustParseAddr("192.0.2.1"))); net == 1 && n != many {
				b.Fatalf("%d routes", n)
			}
		})
	}
}

// processor is how long this process has had one.
func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never fails
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMemory is what 5,000 Services and their endpoints come to in the informers' caches, in the view and in the
// plan.
func BenchmarkMemory(b *testing.B) {
	v := document.Parse(large)
	before := heap()
	s := newState(func() {})
	var caches [2]cache.Store
	for i := range caches {
		caches[i] = cache.NewStore(cache.MetaNamespaceKeyFunc)
	}
	keep := func(store cache.Store, h cache.ResourceEventHandler, o any) {
		reduced, _ := s.reduce(o)
		if err := store.Add(reduced); err != nil {
			b.Fatal(err)
		}
		h.OnAdd(reduced, true)
	}
	s.nodeHandler().OnAdd(node("a", "10.0.0.1"), true)
	for i := range many {
		keep(caches[0], s.serviceHandler(), largeService(i, 1))
		keep(caches[1], s.sliceHandler(), largeSlice(i, strings.Clone("b"), strings.Clone("c")))
	}
	state := heap()
	view := s.view("a", "")
	view.Pools = pools(v.Config)
	plan := announce.Decide(view)
	after := heap()
	b.ReportMetric(state-before, "state-MiB")
	b.ReportMetric(after-before, "all-MiB")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(caches)
	runtime.KeepAlive(plan)
	runtime.KeepAlive(s)
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
