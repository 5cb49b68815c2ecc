package announce

import (
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/layer2"
)

// meetRestarts looks at the members that restart, and at those that stand in for them.
func (d *decision) meetRestarts() {
	d.restarts, d.seconds = map[netip.Addr][]string{}, map[netip.Addr][]string{}
	d.places = map[netip.Addr][]layer2.Claim{}
	for name, m := range d.members {
		if m.Known && m.Restarting {
			note(d.restarts, m.Held, name)
		}
		if m.Known && m.Presence == Alive {
			note(d.seconds, m.Standing, name)
		}
	}
}

// restarter returns the node whose speaker restarts and answered for an address that nobody else holds, and who stands
// in. ok is false where there is no such node, or where one could take the address over and none can stand in.
func (d *decision) restarter(pool int, addr netip.Addr, candidates among, group share) (owner, standIn string, ok bool) {
	var able []string
	for _, name := range d.restarts[addr] {
		i := slices.IndexFunc(group.nodes, func(n Node) bool { return n.Name == name })
		if i < 0 {
			continue
		}
		best := d.reach.best(pool, addr, append(slices.Clone(candidates.nodes), group.nodes[i]))
		if slices.ContainsFunc(best, func(n Node) bool { return n.Name == name }) {
			able = append(able, name)
		}
	}
	if len(able) == 0 {
		return "", "", false
	}
	owner = layer2.Owner(addr, able)
	standIn = d.standIn(pool, addr, owner, group.most(candidates.nodes))
	return owner, standIn, standIn != "" || len(candidates.nodes) == 0
}

// standIn returns who answers in a node's place: the next owner, or where that cannot, anybody of the pool.
// Where the packets go to does not depend on who answers, so that endpoints do not matter.
func (d *decision) standIn(at int, addr netip.Addr, owner string, next []Node) string {
	places := d.reach.places(at, addr, owner)
	if who := first(addr, next, places); who != "" {
		return who
	}
	pool := d.pools[at].nodes
	staying := slices.DeleteFunc(slices.Clone(pool), func(n Node) bool { return d.members[n.Name].draining() })
	for _, nodes := range [][]Node{staying, pool} {
		standing, unproven, _ := d.standing(nodes) // nothing comes to an Unproven one for that
		if who := first(addr, slices.Concat(standing, unproven), places); who != "" {
			return who
		}
	}
	return ""
}

// first returns the first by hash of the nodes that have a place.
func first(addr netip.Addr, nodes []Node, places map[string][]layer2.Claim) string {
	var able []string
	for _, n := range nodes {
		if len(places[n.Name]) > 0 {
			able = append(able, n.Name)
		}
	}
	return layer2.Owner(addr, able)
}

// stand has this node answer for an address in its owner's place, if it is the one that stands in. One that did until now
// goes on until the one that is to has begun.
func (d *decision) stand(pool int, addr netip.Addr, owner, standIn string) {
	self := d.view.Node
	if !d.members[owner].restarting() || owner == self || d.view.Silent {
		return
	}
	if standIn != self && (!slices.Contains(d.seconds[addr], self) || slices.Contains(d.seconds[addr], standIn)) {
		return
	}
	claims := slices.Clone(d.reach.places(pool, addr, owner)[self])
	for i := range claims {
		claims[i].Addr = addr
	}
	d.places[addr] = claims
}

// place is where and for whom others could answer.
type place struct {
	spot
	of string
}

// places returns for each node, as far as its speaker has told, how it would answer for an address in another one's place:
// on an interface in a subnet of that of the other, or of the same name where they have none, with that one's MAC
// address. The claims are without the address.
func (r *reach) places(pool int, addr netip.Addr, of string) map[string][]layer2.Claim {
	at := place{r.spot(pool, addr), of}
	all, ok := r.stood[at]
	if ok {
		return all
	}
	all = map[string][]layer2.Claim{}
	claim := layer2.Claim{Addr: addr, Interfaces: r.view.Pools[pool].Interfaces}
	theirs := r.links(of, claim)
	for _, m := range r.view.Members {
		if m.Node == of {
			continue
		}
		for _, own := range r.links(m.Node, claim) {
			if i := slices.IndexFunc(theirs, func(l layer2.Link) bool { return together(own, l) }); i >= 0 {
				all[m.Node] = append(all[m.Node], layer2.Claim{Interfaces: []string{own.Name}, MAC: theirs[i].MAC})
			}
		}
	}
	r.stood[at] = all
	return all
}

// links are the interfaces with carrier on which a node would answer, as far as its speaker has told.
func (r *reach) links(node string, claim layer2.Claim) []layer2.Link {
	i := slices.IndexFunc(r.view.Members, func(m Member) bool { return m.Node == node })
	if i < 0 || !r.view.Members[i].Known && node != r.view.Node {
		return nil
	}
	chosen, _ := layer2.Choose(r.view.Members[i].Links, claim, r.exclude) // its error is that there is none
	return slices.DeleteFunc(chosen, func(l layer2.Link) bool { return !l.Carrier })
}

// together reports whether two interfaces are in one network.
func together(a, b layer2.Link) bool {
	global := func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() }
	if !slices.ContainsFunc(a.Addrs, global) && !slices.ContainsFunc(b.Addrs, global) {
		return a.Name == b.Name
	}
	return slices.ContainsFunc(a.Addrs, func(p netip.Prefix) bool {
		return global(p) && slices.ContainsFunc(b.Addrs, func(q netip.Prefix) bool { return p.Masked() == q.Masked() })
	})
}
