// Package subnets knows the subnets that this node is in, and the routers by which it leaves them: addresses there
// that no Service should have.
package subnets

import "net/netip"

// Network is where a node is. It lists each thing once, in order.
type Network struct {
	// Subnets of the node's addresses, but for those of the loopback, link-local ones, and addresses that stand alone.
	Subnets []netip.Prefix
	// Gateways are the next hops of the main table's default routes, but for link-local ones.
	Gateways []netip.Addr
}
