package announce

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/bgp"
)

// offer is what one advertisement of a pool comes to on this node.
type offer struct {
	Advertisement
	among   []Node // the eligible nodes that it selects
	here    bool   // it selects this node, whether that is eligible or not
	peers   map[string]bool
	blocked bool // this node has peers that it is for, and all are withheld
	// assigned are the pool's addresses that Services have, and whether this node may announce them this way.
	assigned map[netip.Addr]bool
}

// offersOf returns what the advertisements of a pool come to on this node.
func (d *decision) offersOf(p Pool) []*offer {
	if !p.BGP {
		return nil
	}
	all := p.Advertisements
	if len(all) == 0 {
		all = []Advertisement{{}}
	}
	offers := make([]*offer, 0, len(all))
	for _, a := range all {
		o := &offer{Advertisement: a, peers: map[string]bool{}, assigned: map[netip.Addr]bool{}}
		for _, n := range d.eligible {
			if a.Nodes.Matches(n.Labels) {
				o.among = append(o.among, n)
			}
		}
		i := slices.IndexFunc(d.view.Nodes, func(n Node) bool { return n.Name == d.view.Node })
		o.here = i >= 0 && a.Nodes.Matches(d.view.Nodes[i].Labels)
		isFor := func(peer string) bool { return len(a.Peers) == 0 || slices.Contains(a.Peers, peer) }
		for _, peer := range d.peers {
			if isFor(peer.Title()) {
				o.peers[peer.Title()] = true
			}
		}
		o.blocked = slices.ContainsFunc(d.withheld, func(p Peer) bool { return isFor(p.Title()) })
		offers = append(offers, o)
	}
	return offers
}

// bgp decides on one address of a Service, and notes it with each of the pool's offers.
func (d *decision) bgp(offers []*offer, s Service, addr netip.Addr) Reason {
	if !s.Allocated {
		return NotAllocated
	}
	best := NotConfigured
	for _, o := range offers {
		why := NotConfigured
		if o.Services.Matches(s.Labels) {
			why = d.offered(o, s, addr)
		}
		o.assigned[addr] = o.assigned[addr] || why == ""
		// The reason of the advertisement that comes nearest to yes says most.
		if best != "" && (why == "" || best == NotConfigured || best == NodeNotSelected && why != NotConfigured) {
			best = why
		}
	}
	return best
}

// offered says why this node does not announce an address in the way of one advertisement; empty: it does.
func (d *decision) offered(o *offer, s Service, addr netip.Addr) Reason {
	if d.self == "" && !o.here {
		return NodeNotSelected
	}
	if why, _ := d.may(s, addr, o.among); why != "" {
		return why
	}
	switch {
	case len(o.peers) > 0:
		return ""
	case o.blocked:
		return NoSession
	}
	return NodeNotSelected
}

// prefix is what an address is advertised in.
func (o *offer) prefix(addr netip.Addr) netip.Prefix {
	bits := o.Length4
	if addr.Is6() {
		bits = o.Length6
	}
	if bits <= 0 || bits > addr.BitLen() {
		bits = addr.BitLen()
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// prefixes returns what an offer advertises: the prefixes that it has by itself, aggregates and host routes, and the
// host routes that are left of aggregates in which this node may not announce every assigned address.
func (o *offer) prefixes() (own, broken map[netip.Prefix]bool) {
	own, broken = map[netip.Prefix]bool{}, map[netip.Prefix]bool{}
	incomplete := map[netip.Prefix]bool{}
	for addr, may := range o.assigned {
		if !may {
			incomplete[o.prefix(addr)] = true
		}
	}
	for addr, may := range o.assigned {
		switch p := o.prefix(addr); {
		case may && !incomplete[p]:
			own[p] = true
		case may:
			broken[netip.PrefixFrom(addr, addr.BitLen())] = true
		}
	}
	return own, broken
}

// speaking are the offers that advertise one prefix, the order being that in which they are heard.
type speaking struct{ own, broken []*offer }

// advertise returns the routes of all offers, and which of them are aggregates.
func (d *decision) advertise() (routes []bgp.Route, aggregates []netip.Prefix) {
	all := map[netip.Prefix]*speaking{}
	of := func(p netip.Prefix) *speaking {
		if all[p] == nil {
			all[p] = &speaking{}
		}
		return all[p]
	}
	for _, offers := range d.offers {
		for _, o := range offers {
			own, broken := o.prefixes()
			for p := range own {
				of(p).own = append(of(p).own, o)
			}
			for p := range broken {
				of(p).broken = append(of(p).broken, o)
			}
		}
	}
	order := func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) }
	var last []*offer // of the prefix before, and what came of them: neighbours are mostly alike
	var same []bgp.Route
	for _, prefix := range slices.SortedFunc(maps.Keys(all), order) {
		offers := append(slices.Clip(all[prefix].own), all[prefix].broken...)
		if last == nil || !slices.Equal(offers, last) {
			last, same = offers, d.merge(offers)
		}
		for _, r := range same {
			r.Prefix = prefix
			routes = append(routes, r)
		}
		if !prefix.IsSingleIP() {
			aggregates = append(aggregates, prefix)
		}
	}
	return routes, aggregates
}

// merge returns what the offers of one prefix say together to each peer of this node: one route for all peers that
// are told the same.
func (d *decision) merge(offers []*offer) []bgp.Route {
	var routes []bgp.Route
	told := 0
	for _, peer := range d.peers {
		var r bgp.Route
		heard := false
		for _, o := range offers {
			if !o.peers[peer.Title()] {
				continue
			}
			said := bgp.Route{LocalPref: o.LocalPref, MED: o.MED, Prepend: o.Prepend, Communities: o.Communities}
			r, _ = r.Merge(said) // where they contradict each other the earlier one counts
			heard = true
		}
		if !heard {
			continue
		}
		told++
		i := slices.IndexFunc(routes, r.Same)
		if i < 0 {
			i, routes = len(routes), append(routes, r)
		}
		routes[i].Peers = append(routes[i].Peers, peer.Title())
	}
	if len(routes) == 1 && told == len(d.peers) {
		routes[0].Peers = nil
	}
	return routes
}
