package rawsock_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

var (
	vip4, vip6 = netip.MustParseAddr("10.0.0.240"), netip.MustParseAddr("2001:db8::240")
	both       = []netip.Addr{vip4, vip6}
	elsewhere  = layer2.MAC{2, 0, 0, 0, 0xff, 0xff}
)

// network is a node with a responder, and a client on the same Ethernet: simulated, or of Linux's making.
type network interface {
	claim(t *testing.T, addrs ...netip.Addr)
	mac() layer2.MAC       // the node's
	setMAC(mac layer2.MAC) // of the node
	flap()                 // takes the node's interface down and up

	resolve(addr netip.Addr) (layer2.MAC, bool)  // the client forgets what it has, and asks all
	confirm(addr netip.Addr) bool                // the client asks the station that it has
	neighbor(addr netip.Addr) (layer2.MAC, bool) // what the client has
	learn(addr netip.Addr, mac layer2.MAC)       // has the client believe something
	eventually(done func() bool) bool
}

// testNetwork is what has to be so on any network.
func testNetwork(t *testing.T, n network) {
	answers := func(t *testing.T) {
		t.Helper()
		for _, a := range both {
			var got layer2.MAC
			if !n.eventually(func() bool { got, _ = n.resolve(a); return got == n.mac() }) {
				t.Errorf("%v is at %v, want %v", a, got, n.mac())
			}
			// An announcement can serve for the answer above, but not for this one.
			if !n.eventually(func() bool { return n.confirm(a) }) {
				t.Errorf("%v did not answer a question to it alone", a)
			}
		}
	}
	learnt := func(t *testing.T) {
		t.Helper()
		for _, a := range both {
			var got layer2.MAC
			if !n.eventually(func() bool { got, _ = n.neighbor(a); return got == n.mac() }) {
				t.Errorf("the client has %v for %v, want %v", got, a, n.mac())
			}
		}
	}
	silent := func(t *testing.T, addrs ...netip.Addr) {
		t.Helper()
		for _, a := range addrs {
			if mac, ok := n.resolve(a); ok {
				t.Errorf("%v answers, from %v", a, mac)
			}
		}
	}
	silent(t, vip4, vip6)
	t.Log("takeover")
	for _, a := range both {
		n.learn(a, elsewhere)
	}
	n.claim(t, both...)
	learnt(t)

	t.Log("answers")
	answers(t)
	silent(t, vip4.Next(), vip6.Next())

	t.Log("the interface flaps")
	for range 3 { // the later ones follow so closely that they may not be seen as such
		n.flap()
		answers(t)
	}

	t.Log("its MAC address changes")
	n.setMAC(layer2.MAC{2, 0, 0, 0, 0x77, 0x77})
	learnt(t)
	answers(t)

	t.Log("withdrawal")
	n.claim(t, vip6)
	silent(t, vip4)
	n.claim(t)
	silent(t, vip4, vip6)
}

// simulated is a network of layer2test's.
type simulated struct {
	lan       layer2test.LAN
	node      *layer2test.Node
	link      layer2.Link
	client    *layer2test.Client
	responder *layer2.Responder
}

func TestSimulated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{node: layer2test.NewNode(), link: layer2.Link{
			Index: 2, Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 5}, Up: true, Carrier: true, Broadcast: true,
			Addrs: []netip.Prefix{
				netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("2001:db8::5/64"),
				netip.MustParsePrefix("fe80::5/64"),
			},
		}}
		s.node.Plug(s.link, &s.lan)
		mac := layer2.MAC{2, 0, 0, 0, 0, 9}
		s.client = s.lan.Client(mac, netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("2001:db8::9"))
		s.responder = layer2.NewResponder(s.node, layer2.Options{})
		defer s.responder.Close()
		testNetwork(t, s)
	})
}

func (s *simulated) claim(t *testing.T, addrs ...netip.Addr) { claim(t, s.responder, addrs) }
func (s *simulated) mac() layer2.MAC                         { return s.link.MAC }

func (s *simulated) setMAC(mac layer2.MAC) {
	s.link.MAC = mac
	s.node.Plug(s.link, &s.lan)
}

func (s *simulated) flap() {
	down := s.link
	down.Up = false
	s.node.Plug(down, &s.lan)
	synctest.Wait()
	s.node.Plug(s.link, &s.lan)
	synctest.Wait()
}

func (s *simulated) resolve(addr netip.Addr) (layer2.MAC, bool)  { return s.client.Resolve(addr) }
func (s *simulated) confirm(addr netip.Addr) bool                { return s.client.Confirm(addr) }
func (s *simulated) neighbor(addr netip.Addr) (layer2.MAC, bool) { return s.client.Neighbor(addr) }
func (s *simulated) learn(addr netip.Addr, mac layer2.MAC)       { s.client.Learn(addr, mac) }

func (s *simulated) eventually(done func() bool) bool { return poll(done) }

// poll asks until it is so or ten seconds have passed.
func poll(done func() bool) bool {
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

func claim(t *testing.T, r *layer2.Responder, addrs []netip.Addr) {
	t.Helper()
	var claims []layer2.Claim
	for _, a := range addrs {
		claims = append(claims, layer2.Claim{Addr: a})
	}
	if err := r.Set(claims); err != nil {
		t.Fatal(err)
	}
}
