// Command bgp-announce advertises one address to one router, until it is interrupted. It needs no privilege.
//
//	bgp-announce ROUTER ITS-ASN OUR-ASN ADDRESS
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strconv"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/gobgp"
	"github.com/kontena/network-lb/bgp/neigh"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var own neigh.Resolver // of our addresses on the way to the router: the next hops
	engine := gobgp.New(gobgp.Options{NodeName: "bgp-announce", Local: own.Local})
	go func() { _ = own.Watch(ctx, engine.AddressesChanged) }()
	err := run(ctx, engine, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, engine bgp.Engine, args []string, out io.Writer) error {
	if len(args) != 4 {
		return errors.New("write bgp-announce ROUTER ITS-ASN OUR-ASN ADDRESS")
	}
	router, err1 := netip.ParseAddr(args[0])
	peerASN, err2 := strconv.ParseUint(args[1], 10, 32)
	myASN, err3 := strconv.ParseUint(args[2], 10, 32)
	address, err4 := netip.ParseAddr(args[3])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	speaker := bgp.NewSpeaker(engine, bgp.Options{})
	defer speaker.Close(false) // takes the route back
	peer := bgp.Peer{Address: router, PeerASN: uint32(peerASN), MyASN: uint32(myASN)}
	route := bgp.Route{Prefix: netip.PrefixFrom(address, address.BitLen())}
	if err := speaker.Set([]bgp.Peer{peer}, []bgp.Route{route}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-speaker.Changed():
			s := speaker.Status()[0]
			fmt.Fprintln(out, s.Peer.Name, s.State, s.IPv4.Sent+s.IPv6.Sent, s.Reason)
		}
	}
}
