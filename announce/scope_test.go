package announce_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/layer2"
)

// Only nodes that the pool selects announce its addresses, by each protocol; the other nodes know who owns them.
func TestPoolOnSomeNodes(t *testing.T) {
	all := []string{"a", "b", "c"}
	for _, tt := range []struct {
		name   string
		change func(*announce.View)
		owners []string // the owner is the first of them
		routed []string
	}{
		{"every node", func(*announce.View) {}, all, all},
		{"one", func(v *announce.View) { bindTo(v, "b") }, []string{"b"}, []string{"b"}},
		{"a node that may not", func(v *announce.View) {
			bindTo(v, "b")
			node(v, "b").OutOfService = true
		}, nil, nil},
		{"a node without endpoints", func(v *announce.View) {
			bindTo(v, "a")
			v.Services[0].Local = true
		}, nil, nil},
		{"a node that is no more", func(v *announce.View) { bindTo(v, "z") }, nil, nil},
		{"of two Services with one address", func(v *announce.View) {
			bindTo(v, "c")
			other := v.Services[0]
			other.Name, other.Endpoints = "default/other", nil
			v.Services = append(v.Services, other)
		}, []string{"c"}, []string{"c"}},
		{"an advertisement for another node", func(v *announce.View) {
			bindTo(v, "b")
			v.Pools[0].Advertisements = []announce.Advertisement{{Nodes: labelled("host", "a")}}
		}, []string{"b"}, nil},
	} {
		var claimed, routed []string
		for _, name := range all {
			v := cluster()
			v.Node = name
			v.Pools[0] = announce.Pool{Name: "all", Addresses: prefix("fd00:88::/64"), Layer2: true, BGP: true}
			v.Pools, v.Peers[0].Nodes = v.Pools[:1], nil
			v.Services[0].Addrs = []netip.Addr{ip6}
			tt.change(&v)
			p := announce.Decide(v)
			if len(p.Claims) > 0 {
				claimed = append(claimed, name)
			}
			if len(p.Routes) > 0 {
				routed = append(routed, name)
			}
			for _, verdict := range p.Verdicts {
				selected := v.Pools[0].Nodes.Matches(node(&v, name).Labels)
				if why := verdict.Reason; !selected && !node(&v, name).OutOfService && why != announce.NodeNotSelected {
					t.Errorf("%s: %s says %q of %s, want NodeNotSelected", tt.name, name, why, verdict.Protocol)
				}
				if want := layer2.Owner(ip6, tt.owners); verdict.Protocol == announce.Layer2 && verdict.Owner != want {
					t.Errorf("%s: %s says that %q is the owner, want %q", tt.name, name, verdict.Owner, want)
				}
			}
		}
		want := slices.DeleteFunc([]string{layer2.Owner(ip6, tt.owners)}, func(n string) bool { return n == "" })
		if !slices.Equal(claimed, want) || !slices.Equal(routed, tt.routed) {
			t.Errorf("%s: claimed by %v and routed to %v, want %v and %v", tt.name, claimed, routed, want, tt.routed)
		}
	}
}

// bindTo has the first pool select one node.
func bindTo(v *announce.View, name string) { v.Pools[0].Nodes = labelled("host", name) }
