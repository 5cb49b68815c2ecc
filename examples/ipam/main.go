// Command ipam gives addresses to virtual machines: one that comes back gets the address that it had, guests of one
// tenant have at most two, and the gateway is nobody's. It reads "up VM TENANT" and "down VM" from its input.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kontena/network-lb/ipam"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	network, err := ipam.ParseRange("192.0.2.0/29")
	if err != nil {
		return err
	}
	gateway, err := ipam.ParseRange("192.0.2.1")
	if err != nil {
		return err
	}
	addresses, err := ipam.Options{Never: []ipam.Range{gateway}}.New([]ipam.Pool{{
		Name:            "guests",
		Ranges:          []ipam.Range{network},
		StickyTTL:       24 * time.Hour,
		MaxPerNamespace: 2,
		Reservations:    []ipam.Reservation{{Address: network.From, Owner: "dns"}},
	}})
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var verb, vm, tenant string
		if n, _ := fmt.Sscan(lines.Text(), &verb, &vm, &tenant); n < 2 {
			return fmt.Errorf("reading %q: write up VM TENANT, or down VM", lines.Text())
		}
		var changes []ipam.Change
		if verb == "up" {
			changes = addresses.Assign(ipam.Request{
				Owner: ipam.Owner(vm), Namespace: tenant, Families: ipam.SingleIPv4, Since: time.Now(),
			})
		} else {
			changes = addresses.Release(ipam.Owner(vm))
		}
		for _, c := range changes { // also of machines that waited, and are served now
			switch {
			case c.Err != nil:
				fmt.Fprintf(out, "%s waits: %v\n", c.Owner, c.Err)
			case c.After.V4.IsValid():
				fmt.Fprintf(out, "%s has %s\n", c.Owner, c.After.V4)
			default:
				fmt.Fprintf(out, "%s left %s\n", c.Owner, c.Before.V4)
			}
		}
	}
	return nil
}
