package bfd_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/kontena/network-lb/bgp/bfd"
)

// Two systems watch each other; here both are this process, on two loopback addresses.
func Example() {
	manager := bfd.Listen(bfd.Options{})
	defer manager.Close()

	here, there := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.84.1")
	changes := make(chan bfd.Status, 10)
	fast := bfd.Parameters{Receive: 50 * time.Millisecond, Transmit: 50 * time.Millisecond}
	_, err := manager.Open(bfd.Config{Local: here, Remote: there, Parameters: fast}, func(s bfd.Status) { changes <- s })
	if err != nil {
		fmt.Println(err)
		return
	}
	router, err := manager.Open(bfd.Config{Local: there, Remote: here, Parameters: fast}, func(bfd.Status) {})
	if err != nil {
		fmt.Println(err)
		return
	}
	for s := range changes {
		switch {
		case s.State == bfd.Up:
			fmt.Println("up")
			router.Close() // by intent: no reason to give the router up
		case s.State == bfd.Down:
			fmt.Printf("down, dead: %v, the router says: %v\n", s.Dead, s.RemoteDiagnostic)
			return
		}
	}
	// Output:
	// up
	// down, dead: false, the router says: administratively down
}
