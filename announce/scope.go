package announce

import (
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/selector"
)

// scope is the nodes that a pool, or one of its advertisements, is for.
type scope struct {
	nodes []Node // those of them that may announce, in order of name
	here  bool   // this node is one of them, whether it may announce or not
}

// scopeOf returns the nodes that all of some selectors select.
func (d *decision) scopeOf(selectors ...selector.Any) scope {
	selected := func(n Node) bool {
		return !slices.ContainsFunc(selectors, func(s selector.Any) bool { return !s.Matches(n.Labels) })
	}
	out := scope{here: slices.ContainsFunc(d.view.Nodes, func(n Node) bool { return n.Name == d.view.Node && selected(n) })}
	for _, n := range d.eligible {
		if selected(n) {
			out.nodes = append(out.nodes, n)
		}
	}
	return out
}

// poolOf returns the index of the pool that an address is in, -1 where it is in none.
func (d *decision) poolOf(addr netip.Addr) int {
	return slices.IndexFunc(d.view.Pools, func(p Pool) bool { return p.Addresses.Contains(addr) })
}
