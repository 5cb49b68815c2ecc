package announce

import (
	"cmp"
	"net/netip"
	"slices"
)

// share is which nodes may announce an address, for one Service or for several that have it together.
type share struct {
	nodes     []Node         // for one of the Services at least, in order of name
	whole     bool           // they are all that are eligible
	votes     map[string]int // for how many, by node; nil: there is one
	rebalance bool           // one of them asks for that
}

// most returns, of some of the nodes, those that may announce the address for most of the Services.
func (s share) most(nodes []Node) []Node {
	if s.votes == nil {
		return nodes
	}
	most := 0
	for _, n := range nodes {
		most = max(most, s.votes[n.Name])
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n Node) bool { return s.votes[n.Name] < most })
}

// held is an address that a Service has.
type held struct {
	addr    netip.Addr
	service int // its place in the view
}

// sharers returns who may announce each address that several Services have. The Services may have different
// candidates, such as while the endpoints of one are not known yet; still one node is to own it on layer 2.
func (d *decision) sharers() map[netip.Addr]share {
	all := make([]held, 0, len(d.view.Services)) // to sort one list makes less to tidy up than to fill a map, each time
	for i, s := range d.view.Services {
		if !s.Allocated {
			continue
		}
		for _, addr := range s.Addrs {
			all = append(all, held{addr, i})
		}
	}
	slices.SortFunc(all, func(a, b held) int { return cmp.Or(a.addr.Compare(b.addr), a.service-b.service) })
	shares := map[netip.Addr]share{}
	for len(all) > 0 {
		addr, n := all[0].addr, 1
		for n < len(all) && all[n].addr == addr {
			n++
		}
		if n > 1 {
			if pool := d.poolOf(addr); pool >= 0 {
				shares[addr] = d.common(pool, addr, all[:n])
			}
		}
		all = all[n:]
	}
	return shares
}

// common returns who may announce an address of a pool for one of the Services.
func (d *decision) common(pool int, addr netip.Addr, services []held) share {
	out := share{votes: map[string]int{}}
	for _, h := range services {
		s := d.view.Services[h.service]
		_, candidates := d.may(s, addr, d.pools[pool])
		for _, n := range candidates {
			out.votes[n.Name]++
		}
		out.rebalance = out.rebalance || s.Rebalance
	}
	for _, n := range d.eligible {
		if out.votes[n.Name] > 0 {
			out.nodes = append(out.nodes, n)
		}
	}
	return out
}
