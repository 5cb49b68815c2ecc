package announce_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/selector"
)

func labelled(key, value string) selector.Any {
	s, err := selector.New(map[string]string{key: value}, nil)
	if err != nil {
		panic(err)
	}
	return selector.Any{s}
}

// routed is a view with two nodes that have two peers, a pool that is announced by BGP, and a Service with an
// endpoint on each node for every address.
func routed(advertisements []announce.Advertisement, addrs ...string) announce.View {
	v := announce.View{
		Node: "a",
		Nodes: []announce.Node{
			{Name: "a", Ready: true, Speaker: true, Labels: map[string]string{"rack": "one"}},
			{Name: "b", Ready: true, Speaker: true, Labels: map[string]string{"rack": "two"}},
		},
		Pools: []announce.Pool{{Name: "routed", Addresses: either{prefix("10.89.0.0/16"), prefix("fd00:89::/64")}, BGP: true,
			Advertisements: advertisements}},
		Peers: []announce.Peer{{Peer: bgp.Peer{Name: "tor1"}}, {Peer: bgp.Peer{Name: "tor2"}}},
	}
	for i, a := range addrs {
		v.Services = append(v.Services, announce.Service{Name: fmt.Sprint("default/s", i), Allocated: true,
			Labels: map[string]string{"n": fmt.Sprint(i)}, Addrs: []netip.Addr{netip.MustParseAddr(a)},
			Endpoints: map[string]announce.Endpoints{"a": ready(1), "b": ready(1)}})
	}
	return v
}

type either []announce.AddressSet

func (e either) Contains(a netip.Addr) bool {
	return slices.ContainsFunc(e, func(s announce.AddressSet) bool { return s.Contains(a) })
}

// advertised is a plan's routes, aggregates, and the reasons that differ from "announced".
func advertised(p announce.Plan) string {
	var lines []string
	for _, r := range p.Routes {
		line := r.Prefix.String()
		if r.LocalPref.Set {
			line += fmt.Sprint(" localpref=", r.LocalPref)
		}
		if r.MED.Set {
			line += fmt.Sprint(" med=", r.MED)
		}
		if r.Prepend > 0 {
			line += fmt.Sprint(" prepend=", r.Prepend)
		}
		for _, c := range r.Communities {
			line += " " + c.String()
		}
		if r.Bandwidth > 0 {
			line += fmt.Sprintf(" weight=%.0f", r.Bandwidth/bgp.Mbps)
		}
		if r.Peers != nil {
			line += " to " + strings.Join(r.Peers, ",")
		}
		lines = append(lines, line)
	}
	for _, a := range p.Aggregates {
		lines = append(lines, "unreachable "+a.String())
	}
	for _, v := range p.Verdicts {
		if v.Reason != "" {
			lines = append(lines, fmt.Sprint(v.Addr, " ", v.Reason))
		}
	}
	return strings.Join(lines, "\n")
}

// community 1:n.
func comm(n uint32) bgp.Community { return bgp.StandardCommunity(1<<16 | n) }

func local(s *announce.Service, nodes ...string) {
	s.Local, s.Endpoints = true, map[string]announce.Endpoints{}
	for _, n := range nodes {
		s.Endpoints[n] = ready(1)
	}
}

var advertisements = []struct {
	name   string
	all    []announce.Advertisement
	addrs  string
	change func(v *announce.View)
	want   string
}{
	{"none is a host route to everybody", nil, "10.89.0.1 fd00:89::1", nil, "10.89.0.1/32\nfd00:89::1/128"},
	{"the zero one too", []announce.Advertisement{{}}, "10.89.0.1 fd00:89::1", nil, "10.89.0.1/32\nfd00:89::1/128"},
	{"attributes", []announce.Advertisement{{LocalPref: bgp.Some(0), MED: bgp.Some(5), Prepend: 2, Communities: []bgp.Community{comm(2), comm(1)}}},
		"10.89.0.1", nil, "10.89.0.1/32 localpref=0 med=5 prepend=2 1:1 1:2"},
	{"to one peer", []announce.Advertisement{{Peers: []string{"tor2"}}}, "10.89.0.1", nil, "10.89.0.1/32 to tor2"},
	{"to each peer its own", []announce.Advertisement{{Peers: []string{"tor2"}, MED: bgp.Some(2)}, {Peers: []string{"tor1"}, MED: bgp.Some(1)}},
		"10.89.0.1", nil, "10.89.0.1/32 med=1 to tor1\n10.89.0.1/32 med=2 to tor2"},
	{"more to one of them", []announce.Advertisement{{Communities: []bgp.Community{comm(1)}}, {Peers: []string{"tor1"}, Communities: []bgp.Community{comm(2)}}},
		"10.89.0.1", nil, "10.89.0.1/32 1:1 1:2 to tor1\n10.89.0.1/32 1:1 to tor2"},
	{"two for the same peers are one route", []announce.Advertisement{{Prepend: 1, Communities: []bgp.Community{comm(1)}},
		{Prepend: 3, Communities: []bgp.Community{comm(2), comm(1)}, LocalPref: bgp.Some(7)}}, "10.89.0.1", nil, "10.89.0.1/32 localpref=7 prepend=3 1:1 1:2"},
	{"the earlier one counts", []announce.Advertisement{{MED: bgp.Some(9)}, {MED: bgp.Some(1), LocalPref: bgp.Some(3)}, {LocalPref: bgp.Some(4)}},
		"10.89.0.1", nil, "10.89.0.1/32 localpref=3 med=9"},
	{"a peer of another node", []announce.Advertisement{{Peers: []string{"tor2"}}}, "10.89.0.1", func(v *announce.View) {
		v.Peers[1].Nodes = labelled("rack", "two")
	}, "10.89.0.1 NodeNotSelected"},
	{"the peer has a problem", []announce.Advertisement{{Peers: []string{"tor2"}}}, "10.89.0.1", func(v *announce.View) {
		v.Peers[1].Problem = "no password"
	}, "10.89.0.1 NoSession"},
	{"one of the peers has a problem", nil, "10.89.0.1", func(v *announce.View) { v.Peers[1].Problem = "no password" }, "10.89.0.1/32"},

	{"the node is selected", []announce.Advertisement{{Nodes: labelled("rack", "one")}}, "10.89.0.1", nil, "10.89.0.1/32"},
	{"the node is not selected", []announce.Advertisement{{Nodes: labelled("rack", "two")}}, "10.89.0.1", nil, "10.89.0.1 NodeNotSelected"},
	{"selected by one of two", []announce.Advertisement{{Nodes: labelled("rack", "two"), MED: bgp.Some(1)}, {MED: bgp.Some(2), Nodes: labelled("rack", "one")}},
		"10.89.0.1", nil, "10.89.0.1/32 med=2"},
	{"the nearest reason", []announce.Advertisement{{Services: labelled("n", "9")}, {Nodes: labelled("rack", "two")}, {}}, "10.89.0.1",
		func(v *announce.View) { v.Services[0].Endpoints = nil }, "10.89.0.1 NoEndpoints"},
	{"an unselected node's endpoints do not count", []announce.Advertisement{{Nodes: labelled("rack", "one")}}, "10.89.0.1", func(v *announce.View) {
		local(&v.Services[0], "b")
		v.Services[0].Endpoints["a"] = terminating(1)
	}, "10.89.0.1/32"},
	{"a selected node's do", nil, "10.89.0.1", func(v *announce.View) {
		local(&v.Services[0], "b")
		v.Services[0].Endpoints["a"] = terminating(1)
	}, "10.89.0.1 NoLocalEndpoints"},
	{"a barred node", []announce.Advertisement{{Nodes: labelled("rack", "two")}}, "10.89.0.1", func(v *announce.View) { v.Nodes[0].OutOfService = true },
		"10.89.0.1 NodeOutOfService"},
	{"Services are selected", []announce.Advertisement{{Services: labelled("n", "1")}}, "10.89.0.1 10.89.0.2", nil, "10.89.0.2/32\n10.89.0.1 NotConfigured"},
	{"Services are selected by one of two", []announce.Advertisement{{MED: bgp.Some(1)}, {Services: labelled("n", "1"), Prepend: 1}},
		"10.89.0.1 10.89.0.2", nil, "10.89.0.1/32 med=1\n10.89.0.2/32 med=1 prepend=1"},

	{"aggregates", []announce.Advertisement{{Length4: 24, Length6: 64}}, "10.89.0.1 10.89.0.9 10.89.3.1 fd00:89::1", nil,
		"10.89.0.0/24\n10.89.3.0/24\nfd00:89::/64\nunreachable 10.89.0.0/24\nunreachable 10.89.3.0/24\nunreachable fd00:89::/64"},
	{"aggregate and host routes", []announce.Advertisement{{Length4: 24}, {MED: bgp.Some(1)}}, "10.89.0.1", nil,
		"10.89.0.0/24\n10.89.0.1/32 med=1\nunreachable 10.89.0.0/24"},
	{"two aggregates", []announce.Advertisement{{Length4: 24, Peers: []string{"tor1"}}, {Length4: 16, Peers: []string{"tor2"}}}, "10.89.0.1", nil,
		"10.89.0.0/16 to tor2\n10.89.0.0/24 to tor1\nunreachable 10.89.0.0/16\nunreachable 10.89.0.0/24"},
	{"broken up where not all may be announced", []announce.Advertisement{{Length4: 24, MED: bgp.Some(3)}}, "10.89.0.1 10.89.0.2 10.89.0.3 10.89.3.1",
		func(v *announce.View) { local(&v.Services[1], "b") },
		"10.89.0.1/32 med=3\n10.89.0.3/32 med=3\n10.89.3.0/24 med=3\nunreachable 10.89.3.0/24\n10.89.0.2 NoLocalEndpoints"},
	{"whole where the local endpoints are here", []announce.Advertisement{{Length4: 24}}, "10.89.0.1 10.89.0.2",
		func(v *announce.View) { local(&v.Services[1], "a", "b") }, "10.89.0.0/24\nunreachable 10.89.0.0/24"},
	{"a shared address that one Service may have announced", []announce.Advertisement{{Length4: 24}}, "10.89.0.1 10.89.0.1",
		func(v *announce.View) { v.Services[0].Endpoints = nil }, "10.89.0.0/24\nunreachable 10.89.0.0/24\n10.89.0.1 NoEndpoints"},
	{"an address that is not allocated is not assigned", []announce.Advertisement{{Length4: 24}}, "10.89.0.1 10.89.0.2",
		func(v *announce.View) { v.Services[1].Allocated = false }, "10.89.0.0/24\nunreachable 10.89.0.0/24\n10.89.0.2 NotAllocated"},
	{"nothing inside", []announce.Advertisement{{Length4: 24}}, "10.89.0.1", func(v *announce.View) { v.Services[0].Endpoints = nil }, "10.89.0.1 NoEndpoints"},
	{"an aggregate for some of the Services", []announce.Advertisement{{Length4: 24, Services: labelled("n", "0")}}, "10.89.0.1 10.89.0.2", nil,
		"10.89.0.1/32\n10.89.0.2 NotConfigured"},
	{"what is broken up yields to what is meant for host routes", []announce.Advertisement{{Length4: 24, LocalPref: bgp.Some(100), Communities: []bgp.Community{comm(1)}},
		{LocalPref: bgp.Some(200)}}, "10.89.0.1 10.89.0.2", func(v *announce.View) { local(&v.Services[1], "b") },
		"10.89.0.1/32 localpref=200 1:1\n10.89.0.2 NoLocalEndpoints"},
	{"no peer for the aggregate", []announce.Advertisement{{Length4: 24, Peers: []string{"gone"}}}, "10.89.0.1", nil, "10.89.0.1 NodeNotSelected"},
	{"lengths that an address does not have", []announce.Advertisement{{Length4: 64, Length6: 200}}, "10.89.0.1 fd00:89::1", nil, "10.89.0.1/32\nfd00:89::1/128"},
}

func TestAdvertisements(t *testing.T) {
	for _, tt := range advertisements {
		t.Run(tt.name, func(t *testing.T) {
			v := routed(tt.all, strings.Fields(tt.addrs)...)
			if tt.change != nil {
				tt.change(&v)
			}
			if got := advertised(announce.Decide(v)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			slices.Reverse(v.Peers)
			slices.Reverse(v.Nodes)
			if got := advertised(announce.Decide(v)); got != tt.want {
				t.Errorf("in another order\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// What is advertised to each peer covers exactly the addresses that may be announced, and nothing that another node
// alone may announce; routes merge into no other ones.
func TestAdvertisedIsWhatMayBe(t *testing.T) {
	for length := 28; length <= 32; length++ {
		for bits := range 64 {
			var addrs []string
			for i := range 6 {
				addrs = append(addrs, fmt.Sprint("10.89.0.", 13+i))
			}
			v := routed([]announce.Advertisement{{Length4: length}}, addrs...)
			may := map[netip.Addr]bool{}
			for i := range v.Services {
				if bits>>i&1 == 0 {
					local(&v.Services[i], "b")
				} else {
					may[v.Services[i].Addrs[0]] = true
				}
			}
			reached := map[netip.Addr]bool{}
			for _, r := range announce.Decide(v).Routes {
				for _, s := range v.Services {
					if r.Prefix.Contains(s.Addrs[0]) {
						reached[s.Addrs[0]] = true
					}
				}
			}
			if !maps.Equal(reached, may) {
				t.Fatalf("length %d, %06b: reached %v, may %v", length, bits, reached, may)
			}
		}
	}
}
