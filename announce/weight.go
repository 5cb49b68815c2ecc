package announce

import (
	"net/netip"

	"github.com/kontena/network-lb/bgp"
)

// Weight is what a node's share of the traffic of an address depends on, where routers take note of it.
type Weight uint8

// The weights.
const (
	Unweighted  Weight = iota // nothing is said: each node gets as much as another
	ByEndpoints               // how many ready endpoints the address' Services have on the node
	ByNode                    // the node's own Weight
)

// MaxWeight is the most that a node's weight can be. As a bandwidth it fits into the 32 bits that routers have for one.
const MaxWeight = 30_000

// bandwidth is what a weight becomes on the way to routers: they compare one with another, so that the unit does not
// matter. It is never 0, which would be no weight; a node that advertises gets something.
func bandwidth(weight int) bgp.Bandwidth {
	return bgp.Bandwidth(min(max(weight, 1), MaxWeight)) * bgp.Mbps
}

// load is what the weights of an offer are worked out from.
type load struct {
	node  int                  // this node's weight
	ready map[netip.Addr]int   // the ready endpoints on it, by the Services' addresses ...
	sums  map[netip.Prefix]int // ... and by what these are advertised in
}

// weigh takes note of the endpoints of a Service on this node.
func (d *decision) weigh(o *offer, s Service, addr netip.Addr) {
	if o.Weight == ByEndpoints {
		o.ready[addr] += s.Endpoints[d.view.Node].of(addr).Ready
	}
}

// bandwidth is what the offer says of a prefix; 0: nothing.
func (o *offer) bandwidth(p netip.Prefix) bgp.Bandwidth {
	switch o.Weight {
	case ByEndpoints:
		return bandwidth(o.sums[p])
	case ByNode:
		return bandwidth(o.load.node)
	}
	return 0
}
