package gobgp_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/gobgp"
	"github.com/kontena/network-lb/bgp/neigh"
)

// One address is advertised to one router, from a process that needs no privilege.
func Example() {
	var own neigh.Resolver
	engine := gobgp.New(gobgp.Options{NodeName: "node1", Local: own.Local})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { _ = own.Watch(ctx, engine.AddressesChanged) }()

	speaker := bgp.NewSpeaker(engine, bgp.Options{})
	defer speaker.Close(false)
	err := speaker.Set(
		[]bgp.Peer{{Name: "tor1", Address: netip.MustParseAddr("127.0.0.1"), Port: 1, PeerASN: 64501, MyASN: 64500}},
		[]bgp.Route{{Prefix: netip.MustParsePrefix("10.20.0.5/32")}},
	)
	if err != nil {
		fmt.Println(err)
	}
	for range speaker.Changed() {
		if s := speaker.Status()[0]; s.State == bgp.Connect { // nobody is there
			fmt.Println(s.Peer.Name, s.State, s.IPv4.Wanted, "wanted,", s.IPv4.Sent, "sent")
			return
		}
	}
	// Output:
	// tor1 Connect 1 wanted, 0 sent
}
