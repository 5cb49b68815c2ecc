package bfd_test

import (
	"context"
	"encoding/json"
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

// A process hands its session over to the next one, and the router sees nothing of it.
func ExampleSession_Suspend() {
	router := bfd.Listen(bfd.Options{}) // and, in this example, the node too
	defer router.Close()
	here, there := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.84.2")
	up := make(chan bool, 10)
	tell := func(s bfd.Status) {
		if s.State == bfd.Up {
			up <- true
		}
	}
	seen, err := router.Open(bfd.Config{Local: there, Remote: here}, func(bfd.Status) {})
	if err != nil {
		fmt.Println(err)
		return
	}
	node, err := router.Open(bfd.Config{Local: here, Remote: there}, tell)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-up
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	saved, err := node.Suspend(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	file, _ := json.Marshal([]bfd.Saved{saved})

	var resume []bfd.Saved
	_ = json.Unmarshal(file, &resume) // in the next process, for bfd.Options
	fmt.Println(len(resume), "session to resume; the router says", seen.Status().State, "and waits for", seen.Status().Detection)
	// Output:
	// 1 session to resume; the router says Up and waits for 30s
}
