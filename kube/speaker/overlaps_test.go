package speaker

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/ipam"
)

// A node that others go before goes on for a second, once; any other reason counts at once.
func TestOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := netip.MustParseAddr("10.9.0.1")
		pool, err := ipam.ParseRange("10.9.0.0/24")
		if err != nil {
			t.Fatal(err)
		}
		view := func(self string, others ...string) announce.View {
			v := announce.View{Node: self, Peers: []announce.Peer{{Peer: bgp.Peer{Name: "tor"}}},
				Pools: []announce.Pool{{Addresses: pool, BGP: true, Advertisements: []announce.Advertisement{{MaxNodes: 1}}}},
				Services: []announce.Service{{Name: "prod/web", Allocated: true, Addrs: []netip.Addr{addr},
					Endpoints: map[string]announce.Endpoints{self: {V4: announce.Count{Ready: 1}}}}}}
			for _, name := range append(others, self) {
				v.Nodes = append(v.Nodes, announce.Node{Name: name, Ready: true, Speaker: true})
			}
			return v
		}
		first, second := "a", "b" // as the hash has it
		if len(announce.Decide(view(first, second)).Routes) == 0 {
			first, second = second, first
		}
		alone, beyond := view(second), view(second, first)
		empty := view(second, first)
		empty.Services[0].Endpoints = nil

		var woken atomic.Int32
		o := overlaps{wake: func() { woken.Add(1) }}
		var last *announce.Plan
		turn := func(v announce.View, want bool) {
			t.Helper()
			p := o.decide(v, last, time.Now())
			if got := len(p.Routes) > 0; got != want {
				t.Errorf("advertised: %v, want %v; the verdicts are %+v", got, want, p.Verdicts)
			}
			last = &p
		}
		turn(beyond, false) // it never was
		turn(alone, true)
		turn(beyond, true)
		time.Sleep(overlap / 2)
		turn(beyond, true)
		turn(empty, false)
		turn(beyond, true) // the second is not over
		time.Sleep(overlap / 2)
		synctest.Wait()
		if woken.Load() != 1 {
			t.Errorf("woken %d times, want once", woken.Load())
		}
		turn(beyond, false)
		turn(beyond, false)
		turn(alone, true)
		turn(beyond, true) // it begins anew
		time.Sleep(overlap)
		turn(alone, true)
		time.Sleep(overlap)
		turn(beyond, true)
		time.Sleep(overlap)
		turn(beyond, false)
		alone.Pools[0].Advertisements = nil
		turn(alone, true)
		if o.until != nil {
			t.Errorf("without a limit there is still %v", o.until)
		}
	})
}
