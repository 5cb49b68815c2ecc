package announce

import (
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/layer2"
)

// meetGate closes this node's data path gate, if the node is Unproven, unless more than half of the nodes fail: then what
// fails is not these nodes, and an address that nobody announces helps nobody. It takes note of the members that are so.
func (d *decision) meetGate() {
	there, failing := 0, 0
	for _, n := range d.view.Nodes {
		is, fails := d.forwards(n)
		if is {
			there++
		}
		if fails {
			failing++
		}
		if m := d.members[n.Name]; fails && (n.Name == d.view.Node || m != nil && m.Unproven) {
			d.unproven[n.Name] = true
		}
	}
	if 2*failing > there {
		clear(d.unproven)
	}
	d.shut = d.unproven[d.view.Node]
}

// forwards says of a node whether it is there, and whether it was not seen to forward: as its speaker tells, and where nobody
// has met that one as the cluster does. A speaker is not Ready while it finds out.
func (d *decision) forwards(n Node) (there, fails bool) {
	m := d.members[n.Name]
	switch {
	case n.Name == d.view.Node:
		return true, d.view.Unproven
	case m == nil || m.Presence == Missing:
		there = n.Ready && (n.Speaker || n.Pod)
		return there, there && !n.Speaker
	}
	there = m.Presence == Alive
	return there, there && m.Known && m.Unproven
}

// announcing returns the nodes, but for this one, that announce what an offer has for them, as far as is known.
func (d *decision) announcing(o *offer) []Node {
	var out []Node
	for _, n := range d.connected(o) {
		m := d.members[n.Name]
		met := m != nil && m.Presence != Missing
		switch {
		case n.Name == d.view.Node:
		case met && m.Presence == Alive && m.Known && !m.Starting && !d.unproven[n.Name], !met && n.Ready && n.Speaker:
			out = append(out, n)
		}
	}
	return out
}

// isNext reports whether this node would own an address on layer 2 in place of another one, if it were not Unproven.
func (d *decision) isNext(addr netip.Addr, owner string, candidates among, group share) bool {
	if !group.rebalance && slices.Contains(d.holders[addr], owner) || d.members[owner].restarting() {
		return false
	}
	return layer2.Owner(addr, names(group.most(candidates.gated))) == d.view.Node
}

// inCommon reports whether two lists of nodes, both in order of name, have one in common.
func inCommon(a, b []Node) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Name == b[0].Name:
			return true
		case a[0].Name < b[0].Name:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}
