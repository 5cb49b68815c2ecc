//go:build linux

package rawsock_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mdlayher/packet"

	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/layer2"
)

// An address on the loopback of this machine is answered by its kernel too, until arp_ignore forbids it; that is seen
// and reported.
func TestNetnsKernelAnswersARP(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		reported := func(want ...string) func() bool {
			return func() bool {
				claims := w.responder.Status().Claims
				return len(claims) == 2 && slices.Equal(claims[0].KernelAnswersARP, want) && len(claims[1].KernelAnswersARP) == 0
			}
		}
		kernel := func() bool { // with nobody else to answer
			t.Helper()
			w.claim(t)
			out, ok := w.onClient("arping -c 2 -w 1 -f -I eth0 10.0.0.240")
			w.claim(t, both...)
			return ok && strings.Contains(out, strings.ToUpper(w.mac().String()))
		}
		w.claim(t, both...)
		if !reported()() || kernel() {
			t.Error("the kernel answers for an address that it does not have")
		}
		w.ip("addr add 10.0.0.240/32 dev lo")
		w.ip("addr add 2001:db8::240/128 dev lo") // which is no trouble
		if !poll(reported("eth0")) || !kernel() {
			t.Errorf("status %+v", w.responder.Status().Claims)
		}
		w.onNode("sysctl -qw net.ipv4.conf.eth0.arp_ignore=1")
		w.ip("addr add 10.9.9.9/32 dev lo") // has it looked at now, not half a minute later
		if !poll(reported()) || kernel() {
			t.Errorf("status %+v", w.responder.Status().Claims)
		}
	})
}

// An interface that is renamed is answered on as before, and known by its new name.
func TestNetnsRenamed(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.claim(t, both...)
		w.resolve(vip4)
		ours := w.mac()
		w.ip("link set eth0 down")
		w.ip("link set eth0 name lan7")
		w.ip("link set lan7 up")
		for _, a := range both {
			if !poll(func() bool { mac, _ := w.resolve(a); return mac == ours && w.confirm(a) }) {
				t.Errorf("%v is not answered after the rename", a)
			}
		}
		named := func(claim layer2.Claim, want ...string) {
			t.Helper()
			if err := w.responder.Set([]layer2.Claim{claim}); err != nil {
				t.Fatal(err)
			}
			if !poll(func() bool { return slices.Equal(w.responder.Status().Claims[0].Interfaces, want) }) {
				t.Errorf("%v is answered on %v, want %v", claim, w.responder.Status().Claims[0].Interfaces, want)
			}
		}
		named(layer2.Claim{Addr: vip4}, "lan7")
		named(layer2.Claim{Addr: vip4, Interfaces: []string{"eth*"}})
		named(layer2.Claim{Addr: vip4, Interfaces: []string{"lan*"}}, "lan7")
		named(layer2.Claim{Addr: vip4, Interfaces: []string{"*"}}, "lan7")
		if w.link("lo").Requests > 0 {
			t.Error("it listened on the loopback")
		}
	})
}

// An interface on which questions pour in, one on which IPv6 is off and one that comes and goes disturb no other. What
// the kernel had no room for is counted.
func TestNetnsBadInterfaces(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.patient()
		for _, line := range []string{
			"link add storm type veth peer name storm0 netns " + w.middle, "addr add 10.1.0.5/24 dev storm",
			"link add flat type veth peer name flat0 netns " + w.middle, "addr add 10.2.0.5/24 dev flat",
			"link set storm up", "link set flat up",
			"-n " + w.middle + " link set storm0 up", "-n " + w.middle + " link set flat0 up",
		} {
			w.ip(line)
		}
		w.onNode("sysctl -qw net.ipv6.conf.flat.disable_ipv6=1")
		claims := []layer2.Claim{
			{Addr: vip4, Interfaces: []string{"*"}}, {Addr: vip6, Interfaces: []string{"*"}}, {Addr: netip.MustParseAddr("10.1.0.240")},
		}
		if err := w.responder.Set(claims); err != nil {
			t.Fatal(err)
		}
		var stop atomic.Bool
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			storm(t, w.middle, "storm0", netip.MustParseAddr("10.1.0.240"), &stop)
		}()
		if !poll(func() bool { return w.link("storm").Drops > 0 }) {
			t.Error("no drops were counted")
		}
		for range 5 {
			w.ip("link set flat down")
			w.ip("link set flat up")
			for _, a := range both {
				if mac, _ := w.resolve(a); mac != w.mac() || !w.confirm(a) {
					t.Errorf("%v is at %v", a, mac)
				}
			}
		}
		stop.Store(true)
		<-ended
		s := w.link("storm")
		t.Logf("of %d questions %d were answered, %d had no room", s.Requests, s.Answers, s.Drops)
		if eth0 := w.link("eth0"); eth0.Drops > 0 || eth0.Errors > 0 {
			t.Errorf("status %+v", eth0)
		}
	})
}

// storm asks for addr as fast as it can.
func storm(t *testing.T, namespace, ifname string, addr netip.Addr, stop *atomic.Bool) {
	var conn *packet.Conn
	nstest.Do(t, namespace, func() {
		ifi, err := net.InterfaceByName(ifname)
		if err == nil {
			conn, err = packet.Listen(ifi, packet.Raw, 0x88b5 /* for experiments: nothing comes in */, nil)
		}
		if err != nil {
			t.Error(err)
		}
	})
	defer conn.Close()
	from := layer2.MAC{2, 0, 0, 0, 0, 0x99}
	f := arpRequest(from, netip.MustParseAddr("10.1.0.9"), addr)
	for !stop.Load() {
		_, _ = conn.WriteTo(f, &packet.Addr{HardwareAddr: layer2.Broadcast[:]})
	}
}

// arpRequest is the bytes of a question to all.
func arpRequest(mac layer2.MAC, from, to netip.Addr) []byte {
	return slices.Concat(layer2.Broadcast[:], mac[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1},
		mac[:], from.AsSlice(), make([]byte, 6), to.AsSlice(), make([]byte, 18))
}
