package announce_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/layer2"
)

// together is a view in which two Services have both addresses of a cluster.
func together(node string, change func(web, other *announce.Service)) announce.View {
	v := cluster()
	v.Node = node
	other := v.Services[0]
	other.Name = "default/other"
	other.Endpoints = map[string]announce.Endpoints{"b": ready(2), "c": ready(2)}
	v.Services = append(v.Services, other)
	change(&v.Services[0], &v.Services[1])
	return v
}

// TestSharedAddress: one node owns an address that two Services have, whichever may be announced from where, and the
// routes go where either may be.
func TestSharedAddress(t *testing.T) {
	all := []string{"a", "b", "c"}
	for _, tt := range []struct {
		name   string
		change func(web, other *announce.Service)
		owners []string // the owner is the first of them
		routed []string // of a and b, which have a peer
	}{
		{"both can be", func(_, _ *announce.Service) {}, all, []string{"a", "b"}},
		{"the first has no endpoints", func(web, _ *announce.Service) { web.Endpoints = nil }, all, []string{"a", "b"}},
		{"the second has none", func(_, other *announce.Service) { other.Endpoints = nil }, all, []string{"a", "b"}},
		{"neither has any", func(web, other *announce.Service) { web.Endpoints, other.Endpoints = nil, nil }, nil, nil},
		{"the second is not allocated", func(_, other *announce.Service) { other.Allocated = false }, all, []string{"a", "b"}},
		{"the same nodes", func(web, other *announce.Service) { web.Local, other.Local = true, true }, []string{"b", "c"}, []string{"b"}},
		{"a node that both may use", func(web, other *announce.Service) {
			web.Local, other.Local = true, true
			web.Endpoints = map[string]announce.Endpoints{"a": ready(1), "b": ready(1)}
		}, []string{"b"}, []string{"a", "b"}},
		{"no node in common", func(web, other *announce.Service) {
			web.Local, other.Local = true, true
			web.Endpoints = map[string]announce.Endpoints{"a": ready(1)}
			other.Endpoints = map[string]announce.Endpoints{"c": ready(1)}
		}, []string{"a", "c"}, []string{"a"}},
	} {
		want := []string{}
		if owner := layer2.Owner(ip6, tt.owners); owner != "" {
			want = append(want, owner)
		}
		claimed, routed := []string{}, []string(nil)
		for _, node := range all {
			p := announce.Decide(together(node, tt.change))
			for _, c := range p.Claims {
				if c.Addr == ip6 {
					claimed = append(claimed, node)
				}
			}
			if len(p.Routes) > 0 {
				routed = append(routed, node)
			}
			if len(p.Routes) > 1 || len(p.Routes) == 1 && p.Routes[0].Prefix != netip.PrefixFrom(ip4, 32) {
				t.Errorf("%s: the routes of %s are %v", tt.name, node, p.Routes)
			}
		}
		if !slices.Equal(claimed, want) || !slices.Equal(routed, tt.routed) {
			t.Errorf("%s: claimed by %v and routed to %v, want %v and %v", tt.name, claimed, routed, want, tt.routed)
		}
	}
}

// A dead node owns no shared address either, although it is the one that both Services may use.
func TestSharedAddressOfADeadNode(t *testing.T) {
	for _, name := range []string{"a", "b", "c"} {
		v := together(name, func(web, other *announce.Service) {
			web.Local, other.Local = true, true
			web.Endpoints = map[string]announce.Endpoints{"b": ready(1), "c": ready(1)}
			other.Endpoints = map[string]announce.Endpoints{"b": ready(2)}
		})
		node(&v, "b").Ready = false
		if got := len(announce.Decide(v).Claims) > 0; got != (name == "c") {
			t.Errorf("%s claims the address: %v", name, got)
		}
	}
}
