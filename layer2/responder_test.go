package layer2_test

import (
	"errors"
	"net"
	"net/netip"
	"path"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

var (
	vip4, vip6 = netip.MustParseAddr("10.0.0.240"), netip.MustParseAddr("2001:db8::240")
	addr4      = netip.MustParseAddr("10.0.0.9")
	addr6      = netip.MustParseAddr("2001:db8::9")
	clientMAC  = layer2.MAC{2, 0, 0, 0, 1, 9}
)

// lan is a network with one node, whose interface is eth0, and a client.
type lan struct {
	layer2test.LAN
	eth0      layer2.Link
	node      *layer2test.Node
	client    *layer2test.Client
	responder *layer2.Responder
}

// onLAN runs a test on a network of its own, in simulated time.
func onLAN(t *testing.T, test func(t *testing.T, l *lan)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lan{eth0: link(2, "eth0", "10.0.0.5/24", "fe80::5/64", "2001:db8::5/64"), node: layer2test.NewNode()}
		l.node.Plug(l.eth0, &l.LAN)
		l.client = l.Client(clientMAC, addr4, addr6)
		l.responder = layer2.NewResponder(l.node, layer2.Options{})
		defer l.responder.Close()
		test(t, l)
	})
}

func (l *lan) set(t *testing.T, addrs ...netip.Addr) {
	t.Helper()
	var claims []layer2.Claim
	for _, a := range addrs {
		claims = append(claims, layer2.Claim{Addr: a})
	}
	if err := l.responder.Set(claims); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (l *lan) answered(t *testing.T, want layer2.MAC, addrs ...netip.Addr) {
	t.Helper()
	for _, a := range addrs {
		if got, ok := l.client.Resolve(a); !ok || got != want {
			t.Errorf("%v is at %v (%v), want %v", a, got, ok, want)
		}
	}
}

func (l *lan) silent(t *testing.T, addrs ...netip.Addr) {
	t.Helper()
	for _, a := range addrs {
		if got, ok := l.client.Resolve(a); ok {
			t.Errorf("%v answered, from %v", a, got)
		}
	}
}

func TestAnswersClaimedAddressesOnly(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		l.silent(t, vip4, vip6)
		l.set(t, vip4, vip6)
		l.answered(t, l.eth0.MAC, vip4, vip6)
		l.silent(t, vip4.Next(), vip6.Next())
		for _, a := range []netip.Addr{vip4, vip6} {
			if !l.client.Confirm(a) {
				t.Errorf("%v did not answer a question to it alone", a)
			}
		}
		s := l.responder.Status().Links[0]
		if s.Name != "eth0" || s.Addresses != 2 || s.Requests != 4 || s.Answers != 4 || s.Errors != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// What the transport delivers beyond what it has to is not answered.
func TestAnswersNothingElse(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		l.node.Loose = true
		l.set(t, vip4, vip6)
		l.answered(t, l.eth0.MAC, vip4, vip6)
		l.silent(t, vip4.Next())
		l.set(t, vip6)
		l.silent(t, vip4)
		l.answered(t, l.eth0.MAC, vip6)
	})
}

func TestWithdrawalIsSilent(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		l.set(t, vip4, vip6)
		time.Sleep(1100 * time.Millisecond) // between two rounds
		l.Frames()
		l.set(t)
		l.silent(t, vip4, vip6)
		time.Sleep(time.Hour)
		if f := l.Frames(); len(f) > 0 {
			t.Errorf("sent %d frames after withdrawing, first %+v", len(f), f[0])
		}
		if got := l.node.Listening(2); len(got) > 0 {
			t.Errorf("still listens for %v", got)
		}
	})
}

func TestAnnouncesOnTaking(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		start := time.Now()
		l.set(t, vip4)
		time.Sleep(5 * time.Second)
		var at []time.Duration
		for _, f := range l.Frames() {
			if f.Destination != layer2.Broadcast || f.Sender != (layer2.Host{IP: vip4, MAC: l.eth0.MAC}) {
				t.Errorf("sent %+v", f)
			}
			if f.Kind == layer2.ARPRequest {
				at = append(at, f.At.Sub(start))
			}
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 100 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms}; !slices.Equal(at, want) {
			t.Errorf("announced after %v, want %v", at, want)
		}
		for range 3 {
			l.set(t, vip4, vip4)
		}
		if f := l.Frames(); len(f) > 0 {
			t.Errorf("the same claims again sent %d frames", len(f))
		}
		l.set(t, vip4, vip6)
		for _, f := range l.Frames() {
			if f.Kind != layer2.NeighborAdvertisement || f.Target.IP != vip6 || !f.Override || f.Solicited {
				t.Errorf("taking another address sent %+v", f)
			}
		}
		time.Sleep(70 * time.Second)
		refreshed := map[netip.Addr]int{}
		for _, f := range l.Frames() {
			if f.At.Sub(start) > 15*time.Second {
				refreshed[f.Sender.IP]++
			}
		}
		if refreshed[vip4] != 2 || refreshed[vip6] != 1 {
			t.Errorf("refreshes in a minute: %v", refreshed)
		}
	})
}

// A client that knows another node's address learns ours from the announcement alone.
func TestTakeover(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		other := layer2test.NewNode()
		eth0 := link(7, "eth0", "10.0.0.6/24", "fe80::6/64", "2001:db8::6/64")
		other.Plug(eth0, &l.LAN)
		successor := layer2.NewResponder(other, layer2.Options{})
		defer successor.Close()

		l.set(t, vip4, vip6)
		l.answered(t, l.eth0.MAC, vip4, vip6)
		l.set(t)
		if err := successor.Set([]layer2.Claim{{Addr: vip4}, {Addr: vip6}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // the announcements of two addresses take turns
		for _, a := range []netip.Addr{vip4, vip6} {
			if got, _ := l.client.Neighbor(a); got != eth0.MAC {
				t.Errorf("the client has %v for %v, want %v", got, a, eth0.MAC)
			}
		}
	})
}

func TestFollowsInterfaces(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		l.node.Unplug(2)
		l.set(t, vip4, vip6)
		l.silent(t, vip4, vip6)
		var none *layer2.NoInterfaceError
		for _, c := range l.responder.Status().Claims {
			if len(c.Interfaces) > 0 || !errors.As(c.Err, &none) {
				t.Errorf("status %+v", c)
			}
		}

		l.node.Plug(l.eth0, &l.LAN)
		synctest.Wait()
		l.answered(t, l.eth0.MAC, vip4, vip6)
		for _, c := range l.responder.Status().Claims {
			if !slices.Equal(c.Interfaces, []string{"eth0"}) || c.Err != nil {
				t.Errorf("status %+v", c)
			}
		}

		time.Sleep(10 * time.Second)
		moved := with(l.eth0, func(l *layer2.Link) { l.MAC[5] = 0x77 })
		l.node.Plug(moved, &l.LAN)
		synctest.Wait()
		if got, _ := l.client.Neighbor(vip4); got != moved.MAC {
			t.Errorf("after the MAC changed the client has %v", got)
		}
		l.answered(t, moved.MAC, vip4, vip6)

		time.Sleep(10 * time.Second)
		l.node.Plug(with(moved, func(l *layer2.Link) { l.Carrier = false }), &l.LAN)
		time.Sleep(2 * time.Minute)
		l.Frames()
		l.node.Plug(moved, &l.LAN)
		synctest.Wait()
		if len(l.Frames()) == 0 {
			t.Error("nothing was announced when the carrier came back")
		}

		for what, change := range map[string]func(*layer2.Link){
			"the carrier was away too shortly to be seen": func(l *layer2.Link) { l.Epoch++ },
			"a problem was solved":                        func(l *layer2.Link) { l.Problem = "" },
		} {
			problem := with(moved, func(l *layer2.Link) { l.Problem = "no room" })
			l.node.Plug(problem, &l.LAN)
			time.Sleep(10 * time.Second)
			l.Frames()
			l.node.Plug(with(problem, change), &l.LAN)
			synctest.Wait()
			if len(l.Frames()) == 0 {
				t.Errorf("nothing was announced when %s", what)
			}
		}

		l.node.Plug(with(moved, func(l *layer2.Link) { l.Name = "lan0" }), &l.LAN)
		synctest.Wait()
		if got := l.responder.Status().Claims[0].Interfaces; !slices.Equal(got, []string{"lan0"}) {
			t.Errorf("after the rename it is answered on %v", got)
		}
		l.answered(t, moved.MAC, vip4, vip6)
	})
}

// An address is answered on the interfaces where it is claimed, and one's trouble is not the other's.
func TestInterfacesAreApart(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		var second layer2test.LAN
		eth1 := link(3, "eth1", "192.168.7.5/24", "fe80::6/64")
		l.node.Plug(eth1, &second)
		client := second.Client(clientMAC, netip.MustParseAddr("192.168.7.9"))
		there := netip.MustParseAddr("192.168.7.240")
		l.set(t, vip4, there)
		l.silent(t, there)
		l.answered(t, l.eth0.MAC, vip4)
		if mac, _ := client.Resolve(there); mac != eth1.MAC {
			t.Errorf("%v is at %v", there, mac)
		}
		l.node.Plug(with(eth1, func(l *layer2.Link) { l.Up = false }), &second)
		synctest.Wait()
		l.Frames()
		l.answered(t, l.eth0.MAC, vip4)
		if err := l.responder.Set([]layer2.Claim{{Addr: there, Interfaces: []string{"eth*"}}}); err != nil {
			t.Fatal(err)
		}
		l.answered(t, l.eth0.MAC, there)
	})
}

func TestSetReportsBadClaims(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		err := l.responder.Set([]layer2.Claim{
			{}, {Addr: netip.MustParseAddr("224.0.0.1")}, {Addr: vip6, Interfaces: []string{"eth[0"}}, {Addr: vip4},
		})
		if !errors.Is(err, path.ErrBadPattern) {
			t.Errorf("error %v", err)
		}
		var all interface{ Unwrap() []error }
		if !errors.As(err, &all) || len(all.Unwrap()) != 3 {
			t.Errorf("errors %v, want three", err)
		}
		l.answered(t, l.eth0.MAC, vip4)
		l.silent(t, vip6)
	})
}

func TestClose(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		l.set(t, vip4)
		l.Frames()
		for range 2 {
			if err := l.responder.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.responder.Set(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Set after Close: %v", err)
		}
		l.silent(t, vip4)
		time.Sleep(time.Minute)
		if f := l.Frames(); len(f) > 0 {
			t.Errorf("sent %d frames after Close", len(f))
		}
	})
}
