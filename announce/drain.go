package announce

import (
	"slices"

	"github.com/kontena/network-lb/bgp"
)

// Stage is how far the drain of a node has come: how it is emptied before it goes, without a connection being refused.
type Stage uint8

// The stages, in their order.
const (
	// Staying is a node that is not being emptied, or waits for others to be.
	Staying Stage = iota
	// Leaving is one whose routes ask to be replaced (bgp.Route.Leaving), and whose addresses on layer 2 go to others.
	Leaving
	// Withdrawing is one that has had the time for that: it announces only what no other node does.
	Withdrawing
	// Left is one that announces nothing more, whoever else does.
	Left
)

// Drains reports whether the node is to be emptied: somebody wants that, or it has one of the taints.
func (n Node) Drains(taints []string) bool {
	return n.Drain || slices.ContainsFunc(n.Taints, func(key string) bool { return slices.Contains(taints, key) })
}

// drains is Drains for the view's nodes.
func (d *decision) drains(n Node) bool { return n.Drains(d.view.DrainTaints) }

// staying returns the nodes that nobody wants emptied.
func (d *decision) staying(nodes []Node) []Node {
	return slices.DeleteFunc(slices.Clone(nodes), d.drains)
}

// heirs returns the nodes, but for this one, that announce what an offer has for them and go on doing so, in order of name:
// this one may go then. Their speakers are Ready, and at least one of their sessions is up, as far as is known.
func (d *decision) heirs(o *offer) []Node {
	return slices.DeleteFunc(d.staying(d.announcing(o)), func(n Node) bool { return !n.Speaker || n.NoSession || d.members[n.Name].draining() })
}

// Alone reports whether there is no other node to announce by BGP what this one does, should it leave.
func Alone(v View) bool {
	v.Stage = Leaving
	for _, offers := range newDecision(v).offers {
		for _, o := range offers {
			if len(o.heirs) > 0 {
				return false
			}
		}
	}
	return true
}

// said is what a node that is being emptied says of a route.
func (d *decision) said(r bgp.Route) bgp.Route {
	if d.view.Stage == Staying {
		return r
	}
	return r.Leaving()
}
