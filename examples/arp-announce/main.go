// Command arp-announce answers for one address on one interface, until it is interrupted: ARP for IPv4, neighbour
// discovery for IPv6. It needs CAP_NET_RAW.
//
//	arp-announce INTERFACE ADDRESS
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"

	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/rawsock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	transport, err := rawsock.Open(rawsock.Options{})
	if err == nil {
		err = run(ctx, transport, os.Args[1:], os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, transport layer2.Transport, args []string, out io.Writer) error {
	responder := layer2.NewResponder(transport, layer2.Options{
		OnConflict: func(c layer2.Conflict) { fmt.Fprintln(out, c.MAC, "has", c.Addr, "too") },
	})
	defer responder.Close()
	if len(args) != 2 {
		return errors.New("write arp-announce INTERFACE ADDRESS")
	}
	address, err := netip.ParseAddr(args[1])
	if err != nil {
		return err
	}
	claim := layer2.Claim{Addr: address, Interfaces: args[:1]}
	found, err := responder.Probe(ctx, layer2.ProbeOptions{}, claim)
	switch {
	case err != nil:
		return err
	case found[0].Err != nil:
		return found[0].Err
	case len(found[0].Answers) > 0:
		return fmt.Errorf("%v is taken by %v", address, found[0].Answers[0].MAC)
	}
	responder.SetSpeakers(nil) // there are none: the address is defended against everybody
	if err := responder.Set([]layer2.Claim{claim}); err != nil {
		return err
	}
	fmt.Fprintln(out, "answering for", address, "on", responder.Status().Claims[0].Interfaces)
	<-ctx.Done()
	return nil
}
