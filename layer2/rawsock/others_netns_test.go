//go:build linux

package rawsock_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"

	"github.com/kontena/network-lb/layer2"
)

// A machine that has a claimed address too is heard, told of, and answered by a single frame.
func TestNetnsConflict(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.claim(t, both...)
		w.responder.SetSpeakers(nil)
		w.settled(18)
		r := w.record()
		w.must("ip addr add 10.0.0.240/24 dev eth0")
		w.must("ip addr add 2001:db8::240/64 dev eth0 nodad")
		heard := func(addr netip.Addr) {
			t.Helper()
			select {
			case c := <-w.conflicts:
				if c.Addr != addr || c.MAC != w.clientMAC() || c.Interface != "eth0" || c.Speaker != "" {
					t.Errorf("told %+v", c)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("nothing was told of the conflict about %v", addr)
			}
		}
		w.must("arping -A -c 1 -I eth0 10.0.0.240")
		heard(vip4)
		w.must("arping -U -c 2 -I eth0 10.0.0.240")
		w.onNode("ndisc6 -1 2001:db8::240 eth0") // the client answers this machine
		heard(vip6)
		if !poll(func() bool {
			requests, replies, _ := r.announced(vip4, w.mac())
			_, _, advertisements := r.announced(vip6, w.mac())
			return requests == 1 && replies == 0 && advertisements == 1
		}) {
			t.Error("the addresses were not defended by one frame each")
		}
		for _, c := range w.responder.Status().Claims {
			if len(c.Conflicts) != 1 || c.Conflicts[0].MAC != w.clientMAC() || c.Conflicts[0].Frames == 0 {
				t.Errorf("status %+v", c)
			}
		}
		if s := w.link("eth0"); s.Conflicts < 3 {
			t.Errorf("%d conflicts counted, want 3 or more", s.Conflicts)
		}
		w.responder.SetSpeakers(map[layer2.MAC]string{w.clientMAC(): "node-b"})
		w.must("arping -A -c 1 -I eth0 10.0.0.240")
		if c := <-w.conflicts; c.Speaker != "node-b" || c.Addr != vip4 {
			t.Errorf("told %+v", c)
		}
	})
}

// The kernel of a machine that has an address answers a probe for it, and believes of it what it did before.
func TestNetnsProbe(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		taken4, taken6 := netip.MustParseAddr("10.0.0.77"), netip.MustParseAddr("2001:db8::77")
		for _, a := range []string{"10.0.0.77/24", "2001:db8::77/64", "10.0.0.78/24", "2001:db8::78/64"} {
			w.must("ip addr add " + a + " dev eth0 nodad")
		}
		for _, a := range both {
			w.learn(a, elsewhere)
		}
		start := time.Now()
		results, err := w.responder.Probe(t.Context(), layer2.ProbeOptions{},
			layer2.Claim{Addr: taken4}, layer2.Claim{Addr: taken6}, layer2.Claim{Addr: vip4}, layer2.Claim{Addr: vip6})
		t.Logf("probed in %v", time.Since(start).Round(time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		client := []layer2.Answer{{MAC: w.clientMAC(), Interface: "eth0"}}
		for i, want := range [][]layer2.Answer{client, client, nil, nil} {
			if got := results[i]; got.Err != nil || !slices.Equal(got.Answers, want) {
				t.Errorf("found %+v, want %+v", got, want)
			}
		}
		for _, a := range both {
			if mac, _ := w.neighbor(a); mac != elsewhere {
				t.Errorf("the client has %v for %v now", mac, a)
			}
		}
		if s := w.link("eth0"); s.Probes != 12 || s.Gratuitous != 0 || s.Errors != 0 {
			t.Errorf("status %+v", s)
		}
		if mac, ok := w.resolve(vip4); ok {
			t.Errorf("an address that was only probed for answers, from %v", mac)
		}
	})
}

// People's ping finds the address if it may, with whole packets.
func TestNetnsPing(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.claim(t, both...)
		ping := func(args string, addr netip.Addr) bool {
			_, ok := w.onClient("ping -n -c 2 -i 0.2 -W 1 " + args + " " + addr.String())
			return ok
		}
		for _, a := range both {
			if ping("", a) {
				t.Errorf("%v answers a ping unasked", a)
			}
		}
		if err := w.responder.Set([]layer2.Claim{{Addr: vip4, AnswerPing: true}, {Addr: vip6, AnswerPing: true}}); err != nil {
			t.Fatal(err)
		}
		for _, a := range both {
			for _, args := range []string{"", "-s 1400", "-s 17", "-t 255"} {
				if !ping(args, a) {
					t.Errorf("%v does not answer ping %s", a, args)
				}
			}
			if ping("-s 3000", a) {
				t.Errorf("%v answers a ping in pieces", a)
			}
		}
		if !ping("-R", vip4) { // with options
			t.Error("a ping with IP options is not answered")
		}
		if s := w.link("eth0"); s.Pongs < 18 || s.Errors > 0 {
			t.Errorf("status %+v", s)
		}
		w.claim(t, both...)
		for _, a := range both {
			if ping("", a) {
				t.Errorf("%v answers a ping when it may no longer", a)
			}
		}
	})
}

// In another node's name: its MAC address is in the answer, and nowhere else, so that the switch keeps its port.
func TestNetnsStandIn(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		restarting := layer2.MAC{2, 0, 0, 0, 0, 0x42}
		if err := w.responder.Set([]layer2.Claim{{Addr: vip4, MAC: restarting}, {Addr: vip6, MAC: restarting}}); err != nil {
			t.Fatal(err)
		}
		for _, a := range both {
			if mac, _ := w.resolve(a); mac != restarting {
				t.Errorf("%v is at %v, want %v", a, mac, restarting)
			}
		}
		out := w.ip("netns exec " + w.middle + " bridge fdb show br br0")
		if strings.Contains(out, restarting.String()) || !strings.Contains(out, w.mac().String()) {
			t.Errorf("the switch has learnt\n%s", out)
		}
		if s := w.link("eth0"); s.Gratuitous > 0 {
			t.Errorf("status %+v", s)
		}
		w.claim(t, both...)
		for _, a := range both {
			if !poll(func() bool { mac, _ := w.neighbor(a); return mac == w.mac() }) {
				t.Errorf("%v was taken over, and the client does not know", a)
			}
		}
	})
}

// A solicitation without its sender's link-layer address is answered to the station that the frame came from (RFC 4861
// §7.2.4), multicast or not.
func TestNetnsNoLinkLayerOption(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.claim(t, vip6)
		w.settled(6)
		r := w.record()
		client, from, ours := w.clientMAC(), netip.MustParseAddr("2001:db8::9"), w.mac()
		for i, to := range []netip.Addr{vip6, netip.MustParseAddr("ff02::1:ff00:240")} {
			body, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{TargetAddress: vip6}, from, to)
			if err != nil {
				t.Fatal(err)
			}
			station := ours
			if to.IsMulticast() {
				station = layer2.MAC{0x33, 0x33, 0xff, 0, 2, 0x40}
			}
			f := slices.Concat(station[:], client[:], []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(body)), 58, 255},
				from.AsSlice(), to.AsSlice(), body)
			if _, err := r.conn.WriteTo(f, &packet.Addr{HardwareAddr: station[:]}); err != nil {
				t.Fatal(err)
			}
			if !poll(func() bool { return r.advertised(client, vip6, ours) == i+1 }) {
				t.Errorf("a solicitation to %v was not answered", to)
			}
		}
	})
}

// advertised counts the advertisements sent to one station, solicited and not overriding, that say that addr is at mac.
func (r *recorder) advertised(to layer2.MAC, addr netip.Addr, mac layer2.MAC) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.frames {
		if len(f) == 86 && bytes.Equal(f[:6], to[:]) && f[54] == 136 && f[58] == 0x40 &&
			bytes.Equal(f[62:78], addr.AsSlice()) && bytes.Equal(f[80:86], mac[:]) {
			n++
		}
	}
	return n
}

// A neighbour in use that grows stale is probed by its kernel, alone, and is reachable again; it is never lost.
func TestNetnsReachableAgain(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.patient()
		w.claim(t, both...)
		w.settled(18)
		for _, family := range []string{"ipv4", "ipv6"} {
			w.must("sysctl -qw net." + family + ".neigh.eth0.base_reachable_time_ms=500")
			w.must("sysctl -qw net." + family + ".neigh.eth0.delay_first_probe_time=1")
		}
		for _, a := range both {
			w.resolve(a)
			renewed, seen := 0, []string{}
			if !poll(func() bool {
				w.send(a)
				_, state := w.entry(a)
				if len(state) == 1 && (len(seen) == 0 || seen[len(seen)-1] != state[0]) {
					if seen = append(seen, state[0]); state[0] == "REACHABLE" {
						renewed++
					}
				}
				return renewed >= 3
			}) {
				t.Errorf("%v was not reachable again: %v", a, seen)
			}
			if slices.Contains(seen, "FAILED") || slices.Contains(seen[1:], "INCOMPLETE") {
				t.Errorf("%v was lost: %v", a, seen)
			}
			s := w.link("eth0")
			t.Logf("%v: %v; %d requests, %d answers, %d errors, %d drops", a, seen, s.Requests, s.Answers, s.Errors, s.Drops)
		}
	})
}
