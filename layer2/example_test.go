package layer2_test

import (
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

// A node answers for an address, and a client on the same network finds it. On a real network the transport is
// rawsock.Open's.
func ExampleResponder() {
	var lan layer2test.LAN
	node := layer2test.NewNode()
	node.Plug(layer2.Link{
		Index: 2, Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 5}, Up: true, Carrier: true, Broadcast: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24")},
	}, &lan)
	client := lan.Client(layer2.MAC{2, 0, 0, 0, 0, 9}, netip.MustParseAddr("10.0.0.9"))

	responder := layer2.NewResponder(node, layer2.Options{})
	defer responder.Close()
	addr := netip.MustParseAddr("10.0.0.240")
	if err := responder.Set([]layer2.Claim{{Addr: addr}}); err != nil {
		fmt.Println(err)
	}
	mac, ok := client.Resolve(addr)
	fmt.Println(mac, ok)
	// Output: 02:00:00:00:00:05 true
}
