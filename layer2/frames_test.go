package layer2

import (
	"net/netip"
	"testing"
)

var (
	ours   = MAC{2, 0, 0, 0, 0, 1}
	theirs = MAC{2, 0, 0, 0, 0, 9}
	wire   = MAC{2, 0, 0, 0, 0, 8}

	vip4, vip6   = netip.MustParseAddr("10.0.0.240"), netip.MustParseAddr("2001:db8::240")
	peer4, peer6 = netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("fe80::9")
)

func TestAnswer(t *testing.T) {
	all, self4, self6 := netip.MustParseAddr("ff02::1"), Host{vip4, ours}, Host{vip6, ours}
	group := netip.MustParseAddr("ff02::1:ff00:240")
	arp := Frame{
		Link: 3, Kind: ARPRequest, Source: theirs, Destination: Broadcast,
		Sender: Host{peer4, theirs}, Target: Host{IP: vip4},
	}
	arpReply := Frame{
		Link: 3, Kind: ARPReply, Source: ours, Destination: theirs, Sender: self4, Target: Host{peer4, theirs},
	}
	ns := Frame{
		Link: 3, Kind: NeighborSolicitation, Source: theirs, Destination: MAC{0x33, 0x33, 0xff, 0, 2, 0x40},
		Sender: Host{peer6, theirs}, Target: Host{IP: vip6}, To: group,
	}
	na := Frame{
		Link: 3, Kind: NeighborAdvertisement, Source: ours, Destination: theirs,
		Sender: Host{IP: vip6}, Target: self6, To: peer6, Solicited: true,
	}
	change := func(f Frame, change func(*Frame)) Frame {
		change(&f)
		return f
	}
	for name, tt := range map[string]struct{ q, want Frame }{
		"ARP": {arp, arpReply},
		"ARP, unicast": {
			change(arp, func(f *Frame) { f.Destination = ours }), arpReply,
		},
		"ARP probe": {
			change(arp, func(f *Frame) { f.Sender.IP = netip.IPv4Unspecified() }),
			change(arpReply, func(f *Frame) { f.Target.IP = netip.IPv4Unspecified() }),
		},
		"ARP through a virtual router's MAC": {
			change(arp, func(f *Frame) { f.Source = wire }), arpReply,
		},
		"solicitation": {ns, na},
		"solicitation, unicast": {
			change(ns, func(f *Frame) { f.Destination, f.To = ours, vip6 }), na,
		},
		"solicitation without link-layer option": {
			change(ns, func(f *Frame) { f.Source, f.Sender.MAC = wire, MAC{} }),
			change(na, func(f *Frame) { f.Destination = wire }),
		},
		"duplicate address detection": {
			change(ns, func(f *Frame) { f.Sender = Host{IP: netip.IPv6Unspecified()} }),
			change(na, func(f *Frame) {
				f.Destination, f.To, f.Solicited, f.Override = MAC{0x33, 0x33, 0, 0, 0, 1}, all, false, true
			}),
		},
	} {
		if !asks(tt.q) {
			t.Errorf("%s: not taken for a question", name)
		}
		if got := answer(tt.q, ours, ours); got != tt.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, tt.want)
		}
	}
	for name, q := range map[string]Frame{
		"an announcement":             change(arp, func(f *Frame) { f.Sender.IP = vip4 }),
		"an ARP reply":                change(arp, func(f *Frame) { f.Kind = ARPReply }),
		"a broadcast sender":          change(arp, func(f *Frame) { f.Sender.MAC = Broadcast }),
		"a sender without address":    change(arp, func(f *Frame) { f.Sender.MAC = MAC{} }),
		"an advertisement":            change(ns, func(f *Frame) { f.Kind = NeighborAdvertisement }),
		"a multicast link layer":      change(ns, func(f *Frame) { f.Sender.MAC = allNodesMAC }),
		"a multicast source":          change(ns, func(f *Frame) { f.Source = allNodesMAC }),
		"a source that is the target": change(ns, func(f *Frame) { f.Sender.IP = vip6 }),
	} {
		if asks(q) {
			t.Errorf("%s is taken for a question", name)
		}
	}
}

func TestGratuitous(t *testing.T) {
	self4, self6 := Host{vip4, ours}, Host{vip6, ours}
	want := []Frame{
		{Link: 3, Kind: ARPRequest, Source: ours, Destination: Broadcast, Sender: self4, Target: Host{IP: vip4}},
		{Link: 3, Kind: ARPReply, Source: ours, Destination: Broadcast, Sender: self4, Target: self4},
		{
			Link: 3, Kind: NeighborAdvertisement, Source: ours, Destination: MAC{0x33, 0x33, 0, 0, 0, 1},
			Sender: Host{IP: vip6}, Target: self6, To: netip.MustParseAddr("ff02::1"), Override: true,
		},
	}
	got := append(gratuitous(3, self4), gratuitous(3, self6)...)
	if len(got) != len(want) {
		t.Fatalf("got %d frames, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("frame %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
	if n := framesPerRound(vip4) + framesPerRound(vip6); n != len(want) {
		t.Errorf("framesPerRound counts %d, want %d", n, len(want))
	}
}

func TestGiven(t *testing.T) {
	na := Frame{
		Kind: NeighborAdvertisement, Source: wire, Sender: Host{IP: peer6}, Target: Host{vip6, theirs}, To: allNodes,
	}
	unnamed := na
	unnamed.Target.MAC = MAC{}
	for name, tt := range map[string]struct {
		f    Frame
		want Host
		ok   bool
	}{
		"request":                   {Frame{Kind: ARPRequest, Sender: Host{peer4, theirs}, Target: Host{IP: vip4}}, Host{peer4, theirs}, true},
		"reply":                     {Frame{Kind: ARPReply, Sender: Host{vip4, theirs}, Target: Host{peer4, ours}}, Host{vip4, theirs}, true},
		"ARP probe":                 {Frame{Kind: ARPRequest, Sender: Host{netip.IPv4Unspecified(), theirs}, Target: Host{IP: vip4}}, Host{}, false},
		"no station":                {Frame{Kind: ARPReply, Sender: Host{vip4, Broadcast}}, Host{}, false},
		"advertisement":             {na, Host{vip6, theirs}, true},
		"advertisement without MAC": {unnamed, Host{vip6, wire}, true},
		"solicitation":              {Frame{Kind: NeighborSolicitation, Sender: Host{vip6, theirs}}, Host{}, false},
		"ping":                      {Frame{Kind: EchoRequest, Source: theirs, Sender: Host{vip4, theirs}}, Host{}, false},
	} {
		if got, ok := given(tt.f); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}
