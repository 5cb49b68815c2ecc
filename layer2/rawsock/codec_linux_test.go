package rawsock

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/kontena/network-lb/layer2"
)

var (
	ours, theirs = layer2.MAC{2, 0, 0, 0, 0, 1}, layer2.MAC{2, 0, 0, 0, 0, 9}
	vip4, vip6   = netip.MustParseAddr("10.0.0.240"), netip.MustParseAddr("2001:db8::240")
	peer4, peer6 = netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("2001:db8::9")
)

func request() layer2.Frame {
	return layer2.Frame{
		Kind: layer2.ARPRequest, Source: theirs, Destination: layer2.Broadcast,
		Sender: layer2.Host{IP: peer4, MAC: theirs}, Target: layer2.Host{IP: vip4},
	}
}

func solicitation() layer2.Frame {
	return layer2.Frame{
		Kind: layer2.NeighborSolicitation, Source: theirs, Destination: layer2.MAC{0x33, 0x33, 0xff, 0, 2, 0x40},
		Sender: layer2.Host{IP: peer6, MAC: theirs}, Target: layer2.Host{IP: vip6},
		To: netip.MustParseAddr("ff02::1:ff00:240"),
	}
}

func advertisement() layer2.Frame {
	return layer2.Frame{
		Kind: layer2.NeighborAdvertisement, Source: theirs, Destination: ours, Sender: layer2.Host{IP: peer6},
		Target: layer2.Host{IP: peer6, MAC: theirs}, To: vip6, Solicited: true, Override: true,
	}
}

func ping(from, to netip.Addr) layer2.Frame {
	return layer2.Frame{
		Kind: layer2.EchoRequest, Source: theirs, Destination: ours, Sender: layer2.Host{IP: from},
		Target: layer2.Host{IP: to}, Payload: "\x12\x34\x00\x01some odd data",
	}
}

func with(f layer2.Frame, change func(*layer2.Frame)) layer2.Frame {
	change(&f)
	return f
}

func encoded(t testing.TB, f layer2.Frame) []byte {
	t.Helper()
	b, err := encode(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are written down from RFC 826 and RFC 4861, the checksum worked out apart. An Ethernet frame has at
// least 60 bytes.
func TestEncode(t *testing.T) {
	for name, tt := range map[string]struct {
		frame layer2.Frame
		want  string
	}{
		"ARP reply": {
			layer2.Frame{
				Kind: layer2.ARPReply, Source: ours, Destination: theirs,
				Sender: layer2.Host{IP: vip4, MAC: ours}, Target: layer2.Host{IP: peer4, MAC: theirs},
			},
			"020000000009" + "020000000001" + "0806" +
				"0001" + "0800" + "06" + "04" + "0002" + "020000000001" + "0a0000f0" + "020000000009" + "0a000009" + strings.Repeat("00", 18),
		},
		"neighbour advertisement": {
			layer2.Frame{
				Kind: layer2.NeighborAdvertisement, Source: ours, Destination: theirs, Sender: layer2.Host{IP: vip6},
				Target: layer2.Host{IP: vip6, MAC: ours}, To: peer6, Solicited: true, Override: true,
			},
			"020000000009" + "020000000001" + "86dd" +
				"60000000" + "0020" + "3a" + "ff" + "20010db8000000000000000000000240" + "20010db8000000000000000000000009" +
				"88" + "00" + "85ee" + "60000000" + "20010db8000000000000000000000240" + "0201" + "020000000001",
		},
		"echo reply": {
			layer2.Frame{
				Kind: layer2.EchoReply, Source: ours, Destination: theirs, Sender: layer2.Host{IP: vip4},
				Target: layer2.Host{IP: peer4}, Payload: "\x12\x34\x00\x01abc",
			},
			"020000000009" + "020000000001" + "0800" +
				"4500" + "001f" + "0000" + "0000" + "40" + "01" + "65e6" + "0a0000f0" + "0a000009" +
				"00" + "00" + "2968" + "1234" + "0001" + "616263" + strings.Repeat("00", 15),
		},
	} {
		if got := hex.EncodeToString(encoded(t, tt.frame)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tt.want)
		}
	}
	for name, f := range map[string]layer2.Frame{
		"no kind":          with(request(), func(f *layer2.Frame) { f.Kind = 0 }),
		"IPv6 by ARP":      with(request(), func(f *layer2.Frame) { f.Target.IP = vip6 }),
		"IPv4 by NDP":      with(solicitation(), func(f *layer2.Frame) { f.Target.IP = vip4 }),
		"ping of both":     ping(peer4, vip6),
		"ping of nobody":   ping(peer4, netip.Addr{}),
		"too long a ping":  with(ping(peer4, vip4), func(f *layer2.Frame) { f.Payload = strings.Repeat("x", 65600) }),
		"no destination":   with(solicitation(), func(f *layer2.Frame) { f.To = netip.Addr{} }),
		"no addresses":     {Kind: layer2.NeighborAdvertisement},
		"no ARP addresses": {Kind: layer2.ARPReply},
	} {
		if _, err := encode(f); err == nil {
			t.Errorf("%s is encoded", name)
		}
	}
}

func TestDecode(t *testing.T) {
	for name, want := range map[string]layer2.Frame{
		"request":      request(),
		"probe":        with(request(), func(f *layer2.Frame) { f.Sender.IP = netip.IPv4Unspecified() }),
		"solicitation": solicitation(),
		"no option":    with(solicitation(), func(f *layer2.Frame) { f.Sender.MAC = layer2.MAC{} }),
		"unicast":      with(solicitation(), func(f *layer2.Frame) { f.Destination, f.To = ours, vip6 }),
		"ARP reply": with(request(), func(f *layer2.Frame) {
			f.Kind, f.Destination, f.Target.MAC = layer2.ARPReply, ours, ours
		}),
		"advertisement":             advertisement(),
		"advertisement without MAC": with(advertisement(), func(f *layer2.Frame) { f.Target.MAC = layer2.MAC{} }),
		"unsolicited":               with(advertisement(), func(f *layer2.Frame) { f.To, f.Solicited = netip.MustParseAddr("ff02::1"), false }),
		"ping":                      ping(peer4, vip4),
		"IPv6 ping":                 ping(peer6, vip6),
		"detection":                 with(solicitation(), func(f *layer2.Frame) { f.Sender = layer2.Host{IP: netip.IPv6Unspecified()} }),
	} {
		if got, err := decode(encoded(t, want)); got != want || err != nil {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, want)
		}
		if got, err := decode(append(encoded(t, want), 0, 0, 0, 0)); got != want || err != nil {
			t.Errorf("%s with padding: %v\n got %+v\nwant %+v", name, err, got, want)
		}
	}
	arp, ns := encoded(t, request()), encoded(t, solicitation())
	echo, echo6 := encoded(t, ping(peer4, vip4)), encoded(t, ping(peer6, vip6))
	at := func(b []byte, offset int, value byte) []byte {
		c := append([]byte(nil), b...)
		c[offset] = value
		return c
	}
	for name, b := range map[string][]byte{
		"nothing":                nil,
		"half a request":         arp[:30],
		"half a solicitation":    ns[:70],
		"ARP of another kind":    at(arp, 21, 3),
		"other hardware":         at(arp, 15, 6),
		"long addresses":         at(arp, 18, 20),
		"IPv6 in ARP":            at(arp, 19, 16),
		"IPv4":                   at(arp, 13, 0),
		"from beyond a router":   at(ns, 21, 254),
		"TCP":                    at(ns, 20, 6),
		"wrong checksum":         at(ns, 56, ns[56]+1),
		"wrong length":           at(ns, 19, 40),
		"other ICMPv6":           at(ns, 54, 137),
		"advertisement from far": at(encoded(t, advertisement()), 21, 254),
		"a solicited advertisement to all": encoded(t, with(advertisement(), func(f *layer2.Frame) {
			f.To = netip.MustParseAddr("ff02::1")
		})),
		"echo reply":             encoded(t, with(ping(peer4, vip4), func(f *layer2.Frame) { f.Kind = layer2.EchoReply })),
		"IPv6 echo reply":        encoded(t, with(ping(peer6, vip6), func(f *layer2.Frame) { f.Kind = layer2.EchoReply })),
		"half a ping":            echo[:40],
		"ping with short header": at(echo, 14, 0x44),
		"ping, not all of it":    at(echo, 20, 0x20),
		"ping, another part":     at(echo, 21, 1),
		"ping, header checksum":  at(echo, 24, echo[24]+1),
		"ping, checksum":         at(echo, 36, echo[36]+1),
		"ping, other code":       at(echo, 35, 1),
		"IPv6 ping, checksum":    at(echo6, 56, echo6[56]+1),
		"IPv6 ping, too short":   echo6[:58],
		"multicast target":       encoded(t, with(solicitation(), func(f *layer2.Frame) { f.Target.IP = f.To })),
		"multicast source":       encoded(t, with(solicitation(), func(f *layer2.Frame) { f.Sender.IP = f.To })),
		"detection with option": encoded(t, with(solicitation(), func(f *layer2.Frame) {
			f.Sender.IP = netip.IPv6Unspecified()
		})),
		"detection sent to one": encoded(t, with(solicitation(), func(f *layer2.Frame) {
			f.Sender, f.To = layer2.Host{IP: netip.IPv6Unspecified()}, vip6
		})),
	} {
		if f, err := decode(b); err == nil {
			t.Errorf("%s is taken for %+v", name, f)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, request()))
	f.Add(encoded(f, solicitation()))
	f.Add(encoded(f, with(solicitation(), func(f *layer2.Frame) { f.Sender = layer2.Host{IP: netip.IPv6Unspecified()} })))
	f.Add(encoded(f, advertisement()))
	f.Add(encoded(f, ping(peer4, vip4)))
	f.Add(encoded(f, ping(peer6, vip6)))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(encoded(t, frame))
		if err != nil || again != frame {
			t.Errorf("%+v is encoded and decoded as %+v: %v", frame, again, err)
		}
	})
}
