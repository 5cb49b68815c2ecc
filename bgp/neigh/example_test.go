package neigh_test

import (
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/neigh"
)

func Example() {
	var own neigh.Resolver
	own.Prefer([]netip.Addr{netip.MustParseAddr("192.0.2.7")}) // the node's InternalIP

	local, err := own.Local(bgp.Peer{Address: netip.MustParseAddr("127.0.0.1")})
	fmt.Println(local.Interface, local.Source, local.IPv6.IsValid(), err)
	// Output:
	// lo 127.0.0.1 false <nil>
}
