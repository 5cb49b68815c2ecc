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
	d.reach, d.whole = newReach(d.view), map[spot]among{}
	d.holders = map[netip.Addr][]string{}
	for name, m := range d.members {
		if m.Presence == Alive && m.Known {
			for _, addr := range m.Held {
				d.holders[addr] = append(d.holders[addr], name)
			}
		}
	}
}

// among are the nodes of which one is to own an address.
type among struct {
	nodes []Node
	names map[string]bool // nil: not needed
}

// layer2 says why this node does not answer for an address of a Service; empty: it does. owner is the node that is to.
func (d *decision) layer2(pool int, s Service, addr netip.Addr) (why Reason, owner string) {
	why, nodes := d.may(s, addr, d.eligible)
	group := share{nodes: nodes, whole: !s.Local && nodes != nil, rebalance: s.Rebalance}
	if all, shared := d.shared[addr]; shared && s.Allocated {
		group = all // for each of the Services, or it would have several owners
	}
	candidates := d.candidates(pool, addr, group)
	owner = d.owner(addr, candidates, group)
	switch other, answered := d.view.Answered[addr]; {
	case why != "":
	case owner == d.view.Node && answered:
		why, owner = NotOwner, other
	case owner == d.view.Node, d.handsOver(pool, addr, owner, group):
	case candidates.names[d.view.Node], d.members == nil:
		why = NotOwner
	case d.members[d.view.Node].draining() && d.reach.of(pool, addr)[d.view.Node] > none:
		why = NodeDraining
	default:
		why = NoInterface
	}
	return why, owner
}

// handsOver reports whether this node still answers for an address that it is to give to another one, which has not
// taken it yet. Of several that hold it the first by hash goes on.
func (d *decision) handsOver(pool int, addr netip.Addr, to string, group share) bool {
	holders := d.holders[addr]
	if !slices.Contains(holders, d.view.Node) || slices.Contains(holders, to) || !d.members[d.view.Node].Draining && !group.rebalance {
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

func (m *Member) draining() bool { return m != nil && m.Draining }

// candidates returns the nodes of which one is to own an address, of those that may announce it: they can be trusted to
// answer, and have an interface for it. Where all are being emptied, these are better than none.
func (d *decision) candidates(pool int, addr netip.Addr, group share) among {
	if d.members == nil {
		return among{nodes: alive(group.nodes)}
	}
	at := d.reach.spot(pool, addr)
	out, ok := d.whole[at]
	if ok && group.whole {
		return out
	}
	staying := make([]Node, 0, len(group.nodes))
	for _, n := range group.nodes {
		if !d.members[n.Name].draining() {
			staying = append(staying, n)
		}
	}
	out = among{nodes: d.reach.best(pool, addr, d.standing(staying)), names: map[string]bool{}}
	if len(out.nodes) == 0 && len(staying) < len(group.nodes) {
		out.nodes = d.reach.best(pool, addr, d.standing(group.nodes))
	}
	for _, n := range out.nodes {
		out.names[n.Name] = true
	}
	if group.whole {
		d.whole[at] = out
	}
	return out
}

// standing returns the nodes whose speakers are alive and know what to announce, and those whose speakers nobody has
// met, as far as the cluster says that they work; where that leaves none, all that nobody has met.
func (d *decision) standing(nodes []Node) []Node {
	var standing, unmet []Node
	for _, n := range nodes {
		switch m := d.members[n.Name]; {
		case m != nil && m.Presence == Alive:
			if m.Known && !m.Starting {
				standing = append(standing, n)
			}
		case m == nil || m.Presence == Missing:
			unmet = append(unmet, n)
			if n.Ready && n.Speaker {
				standing = append(standing, n)
			}
		}
	}
	if len(standing) == 0 {
		return unmet
	}
	return standing
}

// owner returns the candidate that answers for the address: the one that already does. Where none does, or it is to
// move, it is the one that comes first by hash of those that may announce it for most of its Services, and where
// several do, as after a network was whole again, the one of them that comes first.
func (d *decision) owner(addr netip.Addr, candidates among, group share) string {
	if !group.rebalance {
		var able []string
		for _, name := range d.holders[addr] {
			if candidates.names[name] {
				able = append(able, name)
			}
		}
		if len(able) > 0 {
			return layer2.Owner(addr, able)
		}
	}
	return layer2.Owner(addr, names(group.most(candidates.nodes)))
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
