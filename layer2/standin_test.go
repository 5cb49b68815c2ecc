package layer2_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontena/network-lb/layer2"
)

// While a node's speaker restarts another answers with its MAC address; it announces nothing, and sends its frames
// from its own. When it takes the address over, it says so.
func TestStandIn(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		restarting := layer2.MAC{2, 0, 0, 0, 0, 0x42}
		claims := []layer2.Claim{{Addr: vip4, MAC: restarting, AnswerPing: true}, {Addr: vip6, MAC: restarting}}
		if err := l.responder.Set(claims); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if f := l.Frames(); len(f) > 0 {
			t.Errorf("it announces in another's name: %+v", f[0])
		}
		l.answered(t, restarting, vip4, vip6)
		for _, f := range l.Frames() {
			if f.Source != l.eth0.MAC {
				t.Errorf("a frame is sent from %v: %+v", f.Source, f)
			}
		}
		// What the restarting node says of the address is no conflict.
		again := l.Client(restarting, netip.MustParseAddr("10.0.0.42"), netip.MustParseAddr("2001:db8::42"))
		again.Announce(vip4)
		synctest.Wait()
		if s := l.responder.Status(); s.Links[0].Conflicts > 0 {
			t.Errorf("status %+v", s)
		}
		l.set(t, vip4, vip6)
		time.Sleep(50 * time.Millisecond) // the announcements of two addresses take turns
		for _, a := range []netip.Addr{vip4, vip6} {
			if mac, _ := l.client.Neighbor(a); mac != l.eth0.MAC {
				t.Errorf("taken over, but the client has %v for %v", mac, a)
			}
		}
		time.Sleep(10 * time.Second)
		l.Frames()
		if err := l.responder.Set(append(claims, layer2.Claim{Addr: vip4})); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		for _, f := range l.Frames() {
			if f.Sender.IP == vip6 {
				t.Errorf("it announces again what it answers in another's name: %+v", f)
			}
		}
		l.answered(t, l.eth0.MAC, vip4) // claimed as its own too
		l.answered(t, restarting, vip6)
		if err := l.responder.Set([]layer2.Claim{{Addr: vip4, MAC: layer2.Broadcast}}); err == nil {
			t.Error("a broadcast address stands for a node")
		}
	})
}

// A claim can be changed into answering pings, and is not announced anew.
func TestAnswersPing(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		l.set(t, vip4, vip6)
		time.Sleep(10 * time.Second)
		for _, a := range []netip.Addr{vip4, vip6} {
			if l.client.Ping(a) {
				t.Errorf("%v answers a ping", a)
			}
		}
		l.Frames()
		if err := l.responder.Set([]layer2.Claim{{Addr: vip4, AnswerPing: true}, {Addr: vip6, AnswerPing: true}}); err != nil {
			t.Fatal(err)
		}
		if f := l.Frames(); len(f) > 0 {
			t.Errorf("the change sent %+v", f[0])
		}
		for _, a := range []netip.Addr{vip4, vip6} {
			if !l.client.Ping(a) {
				t.Errorf("%v does not answer a ping", a)
			}
		}
		l.silent(t, vip4.Next())
		if s := l.responder.Status().Links[0]; s.Pongs != 2 {
			t.Errorf("status %+v", s)
		}
		// A flood is answered up to the rate.
		l.Frames()
		const second = 1000
		for range 3 * second {
			go l.client.Ping(vip4)
			time.Sleep(time.Second / second)
		}
		if n := len(l.Frames()); n < 3*200 || n > 4*200 {
			t.Errorf("%d of %d pings in three seconds were answered", n, 3*second)
		}
		l.node.Loose = true
		for name, q := range map[string]layer2.Frame{
			"from everywhere": {Source: clientMAC, Destination: l.eth0.MAC, Sender: layer2.Host{IP: netip.IPv4Unspecified()}},
			"from a group":    {Source: clientMAC, Destination: l.eth0.MAC, Sender: layer2.Host{IP: netip.MustParseAddr("224.0.0.1")}},
			"from all":        {Source: clientMAC, Destination: l.eth0.MAC, Sender: layer2.Host{IP: netip.MustParseAddr("255.255.255.255")}},
			"to all":          {Source: clientMAC, Destination: layer2.Broadcast, Sender: layer2.Host{IP: addr4}},
			"from itself":     {Source: clientMAC, Destination: l.eth0.MAC, Sender: layer2.Host{IP: vip4}},
		} {
			time.Sleep(5 * time.Second)
			q.Kind, q.Target.IP = layer2.EchoRequest, vip4
			if f, ok := l.client.Ask(q); ok {
				t.Errorf("a ping %s is answered: %+v", name, f)
			}
		}
	})
}

// An address on a device of this machine is answered by the kernel too, unless it is told not to; pings are left to it.
func TestKernelAnswers(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		ipvs := layer2.Link{Index: 9, Name: "kube-ipvs0", MAC: layer2.MAC{2, 0, 0, 0, 0, 9}, Addrs: prefixes("10.0.0.240/32", "2001:db8::240/128")}
		l.node.Plug(ipvs, nil)
		if err := l.responder.Set([]layer2.Claim{{Addr: vip4, AnswerPing: true}, {Addr: vip6}, {Addr: vip4.Next()}}); err != nil {
			t.Fatal(err)
		}
		l.answered(t, l.eth0.MAC, vip4, vip6)
		for _, tt := range []struct {
			name   string
			ignore int
			on     []string // addresses of eth0
			want   map[netip.Addr]bool
		}{
			{"arp_ignore 0", 0, nil, map[netip.Addr]bool{vip4: true}},
			{"arp_ignore 1", 1, nil, nil},
			{"arp_ignore 2", 2, nil, nil},
			{"arp_ignore 3", 3, nil, map[netip.Addr]bool{vip4: true}},
			{"arp_ignore 8", 8, []string{"10.0.0.240/32"}, nil},
			{"arp_ignore 1, on the interface", 1, []string{"10.0.0.240/32", "2001:db8::240/128"}, map[netip.Addr]bool{vip4: true, vip6: true}},
		} {
			l.node.Plug(with(l.eth0, func(l *layer2.Link) {
				l.ARPIgnore, l.Addrs = tt.ignore, append(slices.Clone(l.Addrs), prefixes(tt.on...)...)
			}), &l.LAN)
			synctest.Wait()
			for _, c := range l.responder.Status().Claims {
				if got := slices.Equal(c.KernelAnswersARP, []string{"eth0"}); got != tt.want[c.Addr] {
					t.Errorf("%s: %v: %v", tt.name, c.Addr, c.KernelAnswersARP)
				}
			}
		}
		if l.client.Ping(vip4) {
			t.Error("a ping is answered that the kernel answers too")
		}
		l.node.Unplug(9)
		l.node.Plug(l.eth0, &l.LAN)
		synctest.Wait()
		if !l.client.Ping(vip4) {
			t.Error("no ping is answered when the address is no longer the kernel's")
		}
	})
}
