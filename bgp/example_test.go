package bgp_test

import (
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/bgp"
)

// A Speaker is told everything that is wanted, and works it out with an Engine; here a simulated one.
func Example() {
	network := new(bgp.Memory)
	speaker := bgp.NewSpeaker(network, bgp.Options{})
	router := netip.MustParseAddr("10.0.0.1")

	peers := []bgp.Peer{{Name: "tor1", Address: router, PeerASN: 64501, MyASN: 64500}}
	routes := []bgp.Route{{Prefix: netip.MustParsePrefix("10.20.0.5/32")}}
	if err := speaker.Set(peers, routes); err != nil {
		fmt.Println(err)
	}
	for range speaker.Changed() {
		if s := speaker.Status()[0]; s.IPv4.Sent == 1 {
			fmt.Println(s.Peer.Name, s.State, network.Routes(router))
			break
		}
	}
	speaker.Close(false)
	fmt.Println(network.Routes(router))
	// Output:
	// tor1 Established [10.20.0.5/32]
	// []
}
