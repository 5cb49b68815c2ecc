package neigh

import (
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// TestWireTakesOnlyWhatIsValid: RFC 4861 sections 6.1.1 and 6.1.2.
func TestWireTakesOnlyWhatIsValid(t *testing.T) {
	w := &ndpWire{self: netip.MustParseAddr("fe80::1")}
	encoded := func(m ndp.Message) []byte {
		b, err := ndp.MarshalMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	advert := encoded(&ndp.RouterAdvertisement{RouterLifetime: 30 * time.Second, Options: []ndp.Option{ndp.NewMTU(1500)}})
	solicit := encoded(&ndp.RouterSolicitation{})
	changed := func(b []byte, i int, to byte) []byte {
		b = append([]byte{}, b...)
		b[i] = to
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		hops int
		from string
		want bool
	}{
		{"advertisement", advert, 255, "fe80::2", true},
		{"our own", advert, 255, "fe80::1", false},
		{"from another link", advert, 254, "fe80::2", false},
		{"not from a link-local address", advert, 255, "2001:db8::2", false},
		{"another code", changed(advert, 1, 1), 255, "fe80::2", false},
		{"an option without length", changed(advert, 17, 0), 255, "fe80::2", false},
		{"too short", advert[:15], 255, "fe80::2", false},
		{"nothing", nil, 255, "fe80::2", false},
		{"solicitation", solicit, 255, "fe80::2", true},
		{"of a host that has no address yet", solicit, 255, "::", true},
		{"solicitation from another link", solicit, 64, "fe80::2", false},
		{"neighbor solicitation", encoded(&ndp.NeighborSolicitation{TargetAddress: w.self}), 255, "fe80::2", false},
	} {
		m, ok := w.read(c.b, &ipv6.ControlMessage{HopLimit: c.hops}, netip.MustParseAddr(c.from))
		if ok != c.want {
			t.Errorf("%s: taken: %t, want %t", c.name, ok, c.want)
		}
		if ok && (m.from != netip.MustParseAddr(c.from) || m.advertisement != (c.b[0] == 134) || m.advertisement && m.lifetime != 30*time.Second) {
			t.Errorf("%s: read as %+v", c.name, m)
		}
	}
	if _, ok := w.read(advert, nil, netip.MustParseAddr("fe80::2")); ok {
		t.Error("taken without a hop limit")
	}
}

// FuzzRead: whatever comes, and from whom, is read or left alone.
func FuzzRead(f *testing.F) {
	for _, m := range []ndp.Message{
		&ndp.RouterAdvertisement{RouterLifetime: 30 * time.Second, Options: []ndp.Option{ndp.NewMTU(1500),
			&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: []byte{2, 0, 0, 0, 0, 1}},
			&ndp.PrefixInformation{PrefixLength: 64, Prefix: netip.MustParseAddr("2001:db8::")},
			&ndp.RecursiveDNSServer{Lifetime: time.Minute, Servers: []netip.Addr{netip.MustParseAddr("2001:db8::53")}},
			&ndp.DNSSearchList{Lifetime: time.Minute, DomainNames: []string{"example.net"}}}},
		&ndp.RouterSolicitation{},
		&ndp.NeighborSolicitation{TargetAddress: netip.MustParseAddr("fe80::1")},
	} {
		b, err := ndp.MarshalMessage(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, netip.MustParseAddr("fe80::2").AsSlice())
	}
	w := &ndpWire{self: netip.MustParseAddr("fe80::1")}
	f.Fuzz(func(t *testing.T, b, source []byte) {
		from, _ := netip.AddrFromSlice(source)
		m, ok := w.read(b, &ipv6.ControlMessage{HopLimit: 255}, from)
		if ok && (m.from != from || from == w.self || m.advertisement && !from.IsLinkLocalUnicast() || m.lifetime < 0) {
			t.Errorf("read as %+v", m)
		}
	})
}
