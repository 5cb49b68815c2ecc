package announce

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/bgp"
)

// offer is what one advertisement of a pool comes to on this node.
type offer struct {
	Advertisement
	scope
	width
	load
	peers    map[string]bool
	blocked  bool   // this node has peers that it is for, and all are withheld
	others   []Node // while the gate is shut: those that announce what they may, in order of name
	heirs    []Node // while this node is emptied: those of them that go on
	assigned []assigned
}

// assigned is an address of the offer's pool that a Service has, and whether this node may announce it this way for it.
type assigned struct {
	addr netip.Addr
	may  bool
}

// compare orders by address, and those that may be announced before those of the same address that may not.
func (a assigned) compare(b assigned) int {
	if c := a.addr.Compare(b.addr); c != 0 || a.may == b.may {
		return c
	}
	if a.may {
		return -1
	}
	return 1
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
		o := &offer{Advertisement: a, scope: d.scopeOf(p.Nodes, a.Nodes), peers: map[string]bool{}}
		for _, peer := range d.peers {
			if o.isFor(peer.Title()) {
				o.peers[peer.Title()] = true
			}
		}
		o.blocked = slices.ContainsFunc(d.withheld, func(p Peer) bool { return o.isFor(p.Title()) })
		o.load = load{node: d.own.Weight, ready: map[netip.Addr]int{}, sums: map[netip.Prefix]int{}}
		if d.shut {
			o.others = d.announcing(o)
		}
		if d.view.Stage != Staying {
			o.heirs = d.heirs(o)
		}
		offers = append(offers, o)
	}
	return offers
}

// isFor reports whether a peer is advertised to.
func (o *offer) isFor(peer string) bool { return len(o.Peers) == 0 || slices.Contains(o.Peers, peer) }

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
			d.weigh(o, s, addr)
		}
		o.assigned = append(o.assigned, assigned{addr, why == ""})
		// The reason of the advertisement that comes nearest to yes says most.
		if best != "" && (why == "" || best == NotConfigured || best == NodeNotSelected && why != NotConfigured || why == BeyondMaxNodes) {
			best = why
		}
	}
	return best
}

// offered says why this node does not announce an address in the way of one advertisement; empty: it does.
func (d *decision) offered(o *offer, s Service, addr netip.Addr) Reason {
	why, nodes := d.may(s, addr, o.scope)
	if why != "" {
		return why
	}
	switch {
	case len(o.peers) > 0 && d.shut && !d.view.Announced[addr] && inCommon(o.others, o.rivals(addr, nodes)):
		return DataPathNotReady
	case len(o.peers) > 0 && o.MaxNodes > 0 && !o.chosen[addr]:
		return BeyondMaxNodes
	case d.view.Stage == Withdrawing && inCommon(o.heirs, o.rivals(addr, nodes)):
		return NodeDraining
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

// spoken is a prefix that an offer advertises: by itself, or broken, as a host route that is left of an aggregate.
type spoken struct {
	prefix netip.Prefix
	broken bool
	offer  int
}

// compare orders by prefix, and then as the offers are heard.
func (a spoken) compare(b spoken) int {
	if c := cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), a.prefix.Bits()-b.prefix.Bits()); c != 0 {
		return c
	}
	if a.broken != b.broken {
		if a.broken {
			return 1
		}
		return -1
	}
	return a.offer - b.offer
}

// speak adds what an offer advertises: the prefixes that it has by itself, aggregates and host routes, and the host routes
// that are left of aggregates in which this node may not announce every assigned address. It comes mostly in order, and
// several times where several addresses have it together.
func (o *offer) speak(all []spoken, offer int) []spoken {
	slices.SortFunc(o.assigned, assigned.compare)
	// Of an address that several Services have the first is left: it may be announced if it may for one of them.
	o.assigned = slices.CompactFunc(o.assigned, func(a, b assigned) bool { return a.addr == b.addr })
	incomplete := map[netip.Prefix]bool{}
	for _, a := range o.assigned {
		if p := o.prefix(a.addr); !a.may && !p.IsSingleIP() {
			incomplete[p] = true
		}
	}
	for _, a := range o.assigned {
		if !a.may {
			continue
		}
		p := o.prefix(a.addr)
		broken := incomplete[p]
		if broken {
			p = netip.PrefixFrom(a.addr, a.addr.BitLen())
		}
		all = append(all, spoken{p, broken, offer})
		if o.Weight == ByEndpoints {
			o.sums[p] += o.ready[a.addr]
		}
	}
	return all
}

// advertise returns the routes of all offers, and which of them are aggregates.
func (d *decision) advertise() (routes []bgp.Route, aggregates []netip.Prefix) {
	offers, most := slices.Concat(d.offers...), 0
	for _, o := range offers {
		most += len(o.assigned)
	}
	all := make([]spoken, 0, most)
	for i, o := range offers {
		all = o.speak(all, i)
	}
	slices.SortFunc(all, spoken.compare)
	all = slices.Compact(all)
	routes = make([]bgp.Route, 0, len(all))
	var now, last []*offer // of a prefix and of the one before, and what came of those: neighbours are mostly alike
	var same []bgp.Route
	for len(all) > 0 {
		prefix := all[0].prefix
		for now = now[:0]; len(all) > 0 && all[0].prefix == prefix; all = all[1:] {
			now = append(now, offers[all[0].offer])
		}
		if !slices.Equal(now, last) || slices.ContainsFunc(now, func(o *offer) bool { return o.Weight == ByEndpoints }) {
			last, same = slices.Clone(now), d.merge(now, prefix)
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

// merge returns what the offers of a prefix say together to each peer of this node: one route for all peers that
// are told the same.
func (d *decision) merge(offers []*offer, prefix netip.Prefix) []bgp.Route {
	var routes []bgp.Route
	told := 0
	for _, peer := range d.peers {
		var r bgp.Route
		heard := false
		for _, o := range offers {
			if !o.peers[peer.Title()] {
				continue
			}
			said := bgp.Route{LocalPref: o.LocalPref, MED: o.MED, Prepend: o.Prepend, Communities: o.Communities, Bandwidth: o.bandwidth(prefix)}
			r, _ = r.Merge(said) // where they contradict each other the earlier one counts
			heard = true
		}
		if !heard {
			continue
		}
		r = d.said(r)
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
