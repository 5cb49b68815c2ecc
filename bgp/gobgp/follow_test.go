package gobgp

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/kontena/network-lb/bgp"
)

func TestNumbered(t *testing.T) {
	for zoned, want := range map[string]string{
		"fe80::1%lo":       "fe80::1%1", // the loopback is number 1 in every network namespace
		"fe80::1":          "fe80::1",
		"2001:db8::1":      "2001:db8::1",
		"fe80::1%nowhere0": "fe80::1%nowhere0",
	} {
		if got := numbered(netip.MustParseAddr(zoned)); got != want {
			t.Errorf("%s: got %s, want %s", zoned, got, want)
		}
	}
}

// TestWhileConnecting: a numbered peer that has no connection yet is given up when the way to it is another one, and one
// that has is left alone.
func TestWhileConnecting(t *testing.T) {
	addr := netip.MustParseAddr
	was := bgp.Local{Interface: "eth1", Source: addr("10.0.1.1"), Remote: addr("10.0.1.2")}
	for name, tt := range map[string]struct {
		change func(*bgp.Local)
		want   string
	}{
		"the same":    {func(*bgp.Local) {}, ""},
		"next hops":   {func(l *bgp.Local) { l.IPv4, l.IPv6 = addr("10.0.1.9"), addr("2001:db8::9") }, ""},
		"source":      {func(l *bgp.Local) { l.Source = addr("10.0.1.7") }, "our address towards 10.0.1.2 is 10.0.1.7 now, and was 10.0.1.1"},
		"no source":   {func(l *bgp.Local) { l.Source = netip.Addr{} }, "our address towards 10.0.1.2 is the kernel's choice now, and was 10.0.1.1"},
		"interface":   {func(l *bgp.Local) { l.Interface = "eth2" }, "the way to 10.0.1.2 is by interface eth2 now, and was by eth1"},
		"a gateway":   {func(l *bgp.Local) { l.Multihop = true }, "10.0.1.2 is behind a gateway now"},
		"all of them": {func(l *bgp.Local) { *l = bgp.Local{Remote: l.Remote} }, "our address towards 10.0.1.2 is the kernel's choice now, and was 10.0.1.1"},
	} {
		for _, connected := range []bool{false, true} {
			var told []bgp.Event
			s := &session{line: &line{local: was}, local: was, notify: func(e bgp.Event) { told = append(told, e) }}
			tt.change(&s.local)
			if connected {
				s.line.connect()
			}
			s.follow()
			var want []bgp.Event
			if tt.want != "" && !connected {
				want = []bgp.Event{{State: bgp.Idle, Reason: tt.want}}
			}
			if !slices.Equal(told, want) {
				t.Errorf("%s, connected %v: told %+v, want %+v", name, connected, told, want)
			}
		}
	}
}
