package gobgp

import (
	"net/netip"
	"testing"
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
