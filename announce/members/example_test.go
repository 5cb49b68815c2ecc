package members_test

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/announce/members/memberstest"
)

// Two speakers find each other; the first sees what the second one holds.
func Example() {
	var network memberstest.Network // leave it out for the machine's own
	start := func(node, addr string) *members.Membership {
		m, err := members.Open(members.Options{
			Node: node, Addr: netip.MustParseAddr(addr), Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}, Network: &network,
		})
		if err != nil {
			panic(err)
		}
		return m
	}
	first, second := start("worker-1", "10.0.0.1"), start("worker-2", "10.0.0.2")
	defer first.Close(false)
	defer second.Close(true)
	second.Set(members.State{Held: []netip.Addr{netip.MustParseAddr("10.0.0.240")}})
	first.SetPeers([]members.Peer{{Node: "worker-2", Addr: netip.MustParseAddr("10.0.0.2")}})
	for {
		v, changed := first.View()
		if len(v.Members) == 2 && v.Silent == nil { // the first exchange is over
			if other := v.Members[1]; other.Presence == members.Alive && other.Known {
				fmt.Println(other.Node, other.Presence, other.State.Held)
				return
			}
		}
		<-changed
	}
	// Output:
	// worker-2 Alive [10.0.0.240]
}
