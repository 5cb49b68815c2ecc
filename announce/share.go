package announce

import (
	"net/netip"
	"slices"
)

// sharers returns, for each address that several Services have, the nodes of which one is to own it on layer 2. The
// Services may have different candidates, such as while the endpoints of one are not known yet.
func (d *decision) sharers() map[netip.Addr][]Node {
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
	nodes := make(map[netip.Addr][]Node, len(together))
	for addr, services := range together {
		nodes[addr] = d.common(addr, services)
	}
	return nodes
}

// common returns, of the living nodes that may announce an address for one of the Services, those that may for most.
func (d *decision) common(addr netip.Addr, services []int) []Node {
	votes, most := map[string]int{}, 0
	for _, i := range services {
		_, candidates := d.may(d.view.Services[i], addr, d.eligible)
		for _, n := range candidates {
			votes[n.Name]++
		}
	}
	var able []Node
	for _, n := range d.eligible {
		if votes[n.Name] > 0 {
			able = append(able, n)
		}
	}
	living := alive(able)
	for _, n := range living {
		most = max(most, votes[n.Name])
	}
	return slices.DeleteFunc(slices.Clone(living), func(n Node) bool { return votes[n.Name] < most })
}
