package announce_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/layer2"
)

// fabric is a view of nodes in zones with one Service, of which at most some nodes advertise the address.
func fabric(most int, by string, zones ...string) announce.View {
	v := announce.View{
		Pools: []announce.Pool{{Name: "routed", Addresses: prefix("10.89.0.0/16"), BGP: true,
			Advertisements: []announce.Advertisement{{MaxNodes: most, SpreadBy: by}}}},
		Peers: []announce.Peer{{Peer: bgp.Peer{Name: "tor1"}}},
		Services: []announce.Service{{Name: "default/web", Allocated: true, Addrs: []netip.Addr{ip4},
			Endpoints: map[string]announce.Endpoints{"": ready(1)}}},
	}
	for i, zone := range zones {
		v.Nodes = append(v.Nodes, announce.Node{Name: fmt.Sprintf("n%02d", i), Ready: true, Speaker: true, Labels: map[string]string{"zone": zone}})
	}
	return v
}

// advertisers are the nodes that advertise something.
func advertisers(v announce.View) (names []string) {
	for _, n := range v.Nodes {
		v.Node = n.Name
		if len(announce.Decide(v).Routes) > 0 {
			names = append(names, n.Name)
		}
	}
	return names
}

// Exactly as many nodes as may advertise do, spread as evenly as the zones allow; a node that leaves, or comes, changes
// one place at most.
func TestMaxNodes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		zones := make([]string, 1+random.IntN(12))
		for i := range zones {
			zones[i] = string("abcd"[random.IntN(4)])
		}
		most, by := 1+random.IntN(len(zones)), []string{"", "zone"}[random.IntN(2)]
		v := fabric(most, by, zones...)
		v.Services[0].Addrs[0] = netip.AddrFrom4([4]byte{10, 89, byte(random.IntN(256)), 1})
		before := advertisers(v)
		if len(before) != most {
			t.Fatalf("%d of the nodes in %v are to advertise, and %v do", most, zones, before)
		}
		if by != "" {
			even(t, v, before)
		}
		if most == 1 {
			var all []string
			for _, n := range v.Nodes {
				all = append(all, n.Name)
			}
			if owner := layer2.Owner(v.Services[0].Addrs[0], all); before[0] != owner {
				t.Fatalf("%s advertises alone, and on layer 2 %s would be the owner", before[0], owner)
			}
		}
		gone := random.IntN(len(v.Nodes))
		name := v.Nodes[gone].Name
		switch random.IntN(3) {
		case 0:
			v.Nodes = slices.Delete(v.Nodes, gone, gone+1)
		case 1:
			v.Nodes[gone].NetworkUnavailable = true
		case 2:
			v.Nodes[gone].Speaker = false
		}
		after := advertisers(v)
		after = slices.DeleteFunc(after, func(n string) bool { return n == name }) // its speaker may be there all the same
		lost := slices.DeleteFunc(slices.Clone(before), func(n string) bool { return n == name || slices.Contains(after, n) })
		come := slices.DeleteFunc(after, func(n string) bool { return slices.Contains(before, n) })
		if len(lost) > 0 || len(come) > 1 || len(come) == 1 && !slices.Contains(before, name) {
			t.Fatalf("%d of %v by %q: without %s, %v do no longer and %v do in addition", most, zones, by, name, lost, come)
		}
	}
}

// even fails unless no zone has two more advertisers than another one that has nodes left.
func even(t *testing.T, v announce.View, advertisers []string) {
	t.Helper()
	all, chosen := map[string]int{}, map[string]int{}
	for _, n := range v.Nodes {
		all[n.Labels["zone"]]++
		if slices.Contains(advertisers, n.Name) {
			chosen[n.Labels["zone"]]++
		}
	}
	for zone := range all {
		for other := range all {
			if chosen[zone] > chosen[other]+1 && chosen[other] < all[other] {
				t.Fatalf("of the nodes in zones %v, %v advertise", all, chosen)
			}
		}
	}
}

// Addresses are shared out among the nodes about evenly.
func TestMaxNodesShareOut(t *testing.T) {
	v := fabric(2, "zone", "a", "a", "b", "b", "c")
	count := map[string]int{}
	service := v.Services[0]
	v.Services = nil
	for i := range 1000 {
		s := service
		s.Name, s.Addrs = fmt.Sprint("default/s", i), []netip.Addr{netip.AddrFrom4([4]byte{10, 89, byte(i >> 8), byte(i)})}
		v.Services = append(v.Services, s)
	}
	for _, n := range v.Nodes {
		v.Node = n.Name
		count[n.Name] = len(announce.Decide(v).Routes)
	}
	for name, n := range count {
		if n < 250 || n > 750 {
			t.Errorf("%s advertises %d of 1000 addresses: %v", name, n, count)
		}
	}
}

// A node that was restarted a moment ago keeps its place, and one that is not selected by any peer has none.
func TestMaxNodesCount(t *testing.T) {
	v := fabric(2, "", "a", "a", "a", "a")
	before := advertisers(v)
	for i := range v.Nodes {
		if v.Nodes[i].Name == before[0] {
			v.Nodes[i].Speaker, v.Nodes[i].Returning = false, true
		}
	}
	if after := advertisers(v); !slices.Equal(after, before) {
		t.Errorf("%v advertised, and while %s restarts %v do", before, before[0], after)
	}
	for i := range v.Nodes {
		v.Nodes[i].Returning = false
	}
	if after := advertisers(v); len(after) != 3 || !slices.Contains(after, before[0]) {
		t.Errorf("%v advertised, and when the speaker of %s does not come back in the cluster's eyes %v do", before, before[0], after)
	}
	v.Peers[0].Nodes = labelled("zone", "b")
	v.Nodes[3].Labels = map[string]string{"zone": "b"}
	if after := advertisers(v); !slices.Equal(after, []string{"n03"}) {
		t.Errorf("only n03 has a session, and %v advertise", after)
	}
}

// BenchmarkDecideMaxNodes is for 5,000 addresses on 100 nodes, of which 8 advertise each.
func BenchmarkDecideMaxNodes(b *testing.B) {
	v := fabric(8, "zone", slices.Repeat([]string{"a", "b", "c", "d"}, 25)...)
	v.Node = "n00"
	service := v.Services[0]
	v.Services = nil
	for i := range 5000 {
		s := service
		s.Name, s.Addrs = fmt.Sprint("default/s", i), []netip.Addr{netip.AddrFrom4([4]byte{10, 89, byte(i >> 8), byte(i)})}
		v.Services = append(v.Services, s)
	}
	for b.Loop() {
		if n := len(announce.Decide(v).Routes); n < 200 || n > 600 {
			b.Fatalf("%d routes", n)
		}
	}
}

// Whatever the Services are, each address is advertised by as many nodes as may and are wanted, and by no other one.
func TestMaxNodesReach(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		v := fabric(1+random.IntN(4), []string{"", "zone"}[random.IntN(2)], "a", "a", "b", "b", "c")
		v.Pools[0].Advertisements[0].Length4 = 28 + random.IntN(5)
		v.Services = nil
		may := map[netip.Addr]map[string]bool{}
		for i := range 1 + random.IntN(12) {
			addr := netip.AddrFrom4([4]byte{10, 89, 0, byte(random.IntN(24))})
			s := announce.Service{Name: fmt.Sprint("default/s", i), Allocated: true, Addrs: []netip.Addr{addr}, Local: random.IntN(3) == 0,
				Endpoints: map[string]announce.Endpoints{}}
			for _, n := range v.Nodes {
				if random.IntN(3) == 0 {
					s.Endpoints[n.Name] = ready(1)
				}
			}
			v.Services = append(v.Services, s)
			if may[addr] == nil {
				may[addr] = map[string]bool{}
			}
			for _, n := range v.Nodes {
				if _, here := s.Endpoints[n.Name]; here || !s.Local && len(s.Endpoints) > 0 {
					may[addr][n.Name] = true
				}
			}
		}
		reached := map[netip.Addr][]string{}
		for _, n := range v.Nodes {
			v.Node = n.Name
			for _, r := range announce.Decide(v).Routes {
				for addr := range may {
					if r.Prefix.Contains(addr) {
						reached[addr] = append(reached[addr], n.Name)
					}
				}
			}
		}
		for addr, nodes := range may {
			want := min(len(nodes), v.Pools[0].Advertisements[0].MaxNodes)
			if len(reached[addr]) != want || slices.ContainsFunc(reached[addr], func(n string) bool { return !nodes[n] }) {
				t.Fatalf("%+v of %+v: %s may be advertised by %v and is by %v", v.Pools[0].Advertisements[0], v.Services, addr, nodes, reached[addr])
			}
		}
	}
}
