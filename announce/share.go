package announce

import (
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

// sharers returns who may announce each address that several Services have. The Services may have different
// candidates, such as while the endpoints of one are not known yet; still one node is to own it on layer 2.
func (d *decision) sharers() map[netip.Addr]share {
	first := map[netip.Addr]int{}
	together := map[netip.Addr][]int{}
	for i, s := range d.view.Services {
		if !s.Allocated {
			continue
		}
		for _, addr := range s.Addrs {
			if j, shared := first[addr]; !shared {
				first[addr] = i
			} else if together[addr] == nil {
				together[addr] = []int{j, i}
			} else {
				together[addr] = append(together[addr], i)
			}
		}
	}
	shares := make(map[netip.Addr]share, len(together))
	for addr, services := range together {
		if pool := d.poolOf(addr); pool >= 0 {
			shares[addr] = d.common(pool, addr, services)
		}
	}
	return shares
}

// common returns who may announce an address of a pool for one of the Services.
func (d *decision) common(pool int, addr netip.Addr, services []int) share {
	out := share{votes: map[string]int{}}
	for _, i := range services {
		s := d.view.Services[i]
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
