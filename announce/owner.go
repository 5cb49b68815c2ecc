package announce

import (
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/layer2"
)

// meet looks at the members. This node's own speaker is there, and past its start: it decides.
func (d *decision) meet() {
	if d.view.Members == nil {
		return
	}
	d.members = make(map[string]*Member, len(d.view.Members))
	for _, m := range d.view.Members {
		if m.Node == d.view.Node {
			m.Presence, m.Known, m.Starting = Alive, true, false
		}
		d.members[m.Node] = &m
	}
	d.reach = newReach(d.view)
	d.holders = map[netip.Addr][]string{}
	for name, m := range d.members {
		if m.Presence == Alive && m.Known && !m.Restarting {
			note(d.holders, m.Held, name)
		}
	}
	d.meetRestarts()
}

// note adds a name to those of each of the addresses.
func note(names map[netip.Addr][]string, addrs []netip.Addr, name string) {
	for _, addr := range addrs {
		names[addr] = append(names[addr], name)
	}
}

// among are the nodes of which one is to own an address.
type among struct {
	nodes []Node
	gated []Node          // those that it would be, were none Unproven; nil: they are the same
	names map[string]bool // of both; nil: not needed
}

// layer2 says why this node does not answer for an address of a Service; empty: it does. owner is the node that is to,
// and standIn another one that does meanwhile.
func (d *decision) layer2(pool int, s Service, addr netip.Addr) (why Reason, owner, standIn string) {
	why, nodes := d.may(s, addr, d.pools[pool])
	group := share{nodes: nodes, whole: !s.Local && nodes != nil, rebalance: s.Rebalance}
	if all, shared := d.shared[addr]; shared && s.Allocated {
		group = all // for each of the Services, or it would have several owners
	}
	candidates := d.candidates(pool, addr, group)
	owner, standIn = d.owner(pool, addr, candidates, group)
	d.stand(pool, addr, owner, standIn)
	switch other, answered := d.view.Answered[addr]; {
	case why != "":
	case owner == d.view.Node && answered:
		why, owner = NotOwner, other
	case owner == d.view.Node, d.handsOver(pool, addr, owner, group):
	case d.shut && d.isNext(addr, owner, candidates, group):
		why = DataPathNotReady
	case candidates.names[d.view.Node], d.members == nil, d.view.Silent, d.members[d.view.Node].restarting():
		why = NotOwner
	case d.members[d.view.Node].draining() && d.reach.of(pool, addr)[d.view.Node] > none:
		why = NodeDraining
	default:
		why = NoInterface
	}
	return why, owner, standIn
}

// handsOver reports whether this node still answers for an address that it is to give to another one, which has not
// taken it yet. Of several that hold it the first by hash goes on.
func (d *decision) handsOver(pool int, addr netip.Addr, to string, group share) bool {
	holders := d.holders[addr]
	if d.view.Silent || !slices.Contains(holders, d.view.Node) || slices.Contains(holders, to) || !d.members[d.view.Node].Draining && !group.rebalance {
		return false
	}
	levels := d.reach.of(pool, addr)
	var able []string
	for _, n := range group.nodes {
		if slices.Contains(holders, n.Name) && levels[n.Name] > none {
			able = append(able, n.Name)
		}
	}
	return layer2.Owner(addr, able) == d.view.Node
}

func (m *Member) draining() bool   { return m != nil && m.Draining }
func (m *Member) restarting() bool { return m != nil && m.Restarting }

// candidates returns the nodes of which one is to own an address, of those that may announce it: they can be trusted to
// answer, and have an interface for it. Where all are being emptied, these are better than none.
func (d *decision) candidates(pool int, addr netip.Addr, group share) among {
	at := spot{pool: pool} // without members all addresses of a pool are the same
	if d.members != nil {
		at = d.reach.spot(pool, addr)
	}
	out, ok := d.whole[at]
	if ok && group.whole {
		return out
	}
	if d.members == nil {
		if out.nodes = alive(d.staying(group.nodes)); len(out.nodes) == 0 {
			out.nodes = alive(group.nodes)
		}
		if group.whole {
			d.whole[at] = out
		}
		return out
	}
	staying := make([]Node, 0, len(group.nodes))
	for _, n := range group.nodes {
		if !d.members[n.Name].draining() {
			staying = append(staying, n)
		}
	}
	out = d.able(pool, addr, staying)
	if len(out.nodes) == 0 && len(staying) < len(group.nodes) {
		out = d.able(pool, addr, group.nodes)
	}
	if group.whole {
		d.whole[at] = out
	}
	return out
}

// able returns those of the nodes that have an interface for the address and stand; where none stands those that are
// Unproven, and where there is none either all that nobody has met. Besides others these may go on with what they hold.
func (d *decision) able(pool int, addr netip.Addr, nodes []Node) among {
	standing, unproven, unmet := d.standing(nodes)
	out := among{nodes: d.reach.best(pool, addr, standing), names: map[string]bool{}}
	if len(unproven) > 0 {
		if out.gated = d.reach.best(pool, addr, slices.Concat(standing, unproven)); len(out.nodes) == 0 {
			out.nodes = out.gated
		}
	} else if len(standing) == 0 {
		out.nodes = d.reach.best(pool, addr, unmet)
	}
	for _, n := range slices.Concat(out.nodes, out.gated) {
		out.names[n.Name] = true
	}
	return out
}

// standing returns the nodes whose speakers are alive and know what to announce, and those whose speakers nobody has
// met, as far as the cluster says that they work; apart from them those that are Unproven; and all that nobody has met.
func (d *decision) standing(nodes []Node) (standing, unproven, unmet []Node) {
	for _, n := range nodes {
		switch m := d.members[n.Name]; {
		case d.view.Silent && n.Name == d.view.Node:
		case m != nil && m.Presence == Alive:
			switch {
			case !m.Known, m.Starting, m.Restarting:
			case d.unproven[n.Name]:
				unproven = append(unproven, n)
			default:
				standing = append(standing, n)
			}
		case m == nil || m.Presence == Missing:
			unmet = append(unmet, n)
			if n.Ready && n.Speaker {
				standing = append(standing, n)
			}
		}
	}
	return standing, unproven, unmet
}

// owner returns the candidate that answers for the address: the one that already does. Where none does, or it is to
// move, it is the one that comes first by hash of those that may announce it for most of its Services, and where
// several do, as after a network was whole again, the one of them that comes first. What nobody else has taken of a
// node whose speaker restarts stays there, with another one that stands in.
func (d *decision) owner(pool int, addr netip.Addr, candidates among, group share) (owner, standIn string) {
	var able []string
	for _, name := range d.holders[addr] {
		if candidates.names[name] {
			able = append(able, name)
		}
	}
	if len(able) > 0 && !group.rebalance {
		return layer2.Owner(addr, able), ""
	}
	if len(able) == 0 {
		if owner, standIn, ok := d.restarter(pool, addr, candidates, group); ok {
			return owner, standIn
		}
	}
	return layer2.Owner(addr, names(group.most(candidates.nodes))), ""
}

// alive returns the nodes that can be trusted to answer as far as the cluster says: those that are Ready and run a
// speaker; where there is none, those that run a speaker, and then all, because an address without an owner helps
// nobody.
func alive(nodes []Node) []Node {
	var running, ready []Node
	for _, n := range nodes {
		if n.Speaker {
			running = append(running, n)
			if n.Ready {
				ready = append(ready, n)
			}
		}
	}
	switch {
	case len(ready) > 0:
		return ready
	case len(running) > 0:
		return running
	}
	return nodes
}

func names(nodes []Node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Name
	}
	return out
}
