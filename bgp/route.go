package bgp

import (
	"fmt"
	"net/netip"
	"slices"
)

// Route is a prefix to be advertised. The engine fills in the next hop.
type Route struct {
	// Prefix is IPv4 or IPv6; host bits are cleared.
	Prefix netip.Prefix
	// Peers are the names of the peers that get the route; nil is all of them.
	Peers []string
}

// Validate says what is wrong with the route.
func (r Route) Validate() error {
	if !r.Prefix.IsValid() || r.Prefix.Addr().Is4In6() {
		return fmt.Errorf("prefix %s: want an IPv4 or IPv6 prefix", r.Prefix)
	}
	return nil
}

// same reports whether two routes of one peer look the same to that peer.
func (r Route) same(o Route) bool { return r.Prefix == o.Prefix }

// sortRoutes orders routes by prefix: IPv4 before IPv6, lower addresses first, shorter prefixes first.
func sortRoutes(routes []Route) {
	slices.SortFunc(routes, func(a, b Route) int { return comparePrefixes(a.Prefix, b.Prefix) })
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// diff compares what a peer was given with what it is to have; both are sorted and free of duplicates.
func diff(have, want []Route) (announce []Route, withdraw []netip.Prefix) {
	for len(have) > 0 || len(want) > 0 {
		switch {
		case len(have) == 0:
			return append(announce, want...), withdraw
		case len(want) == 0:
			for _, r := range have {
				withdraw = append(withdraw, r.Prefix)
			}
			return announce, withdraw
		}
		switch c := comparePrefixes(have[0].Prefix, want[0].Prefix); {
		case c < 0:
			withdraw = append(withdraw, have[0].Prefix)
			have = have[1:]
		case c > 0:
			announce = append(announce, want[0])
			want = want[1:]
		default:
			if !have[0].same(want[0]) {
				announce = append(announce, want[0])
			}
			have, want = have[1:], want[1:]
		}
	}
	return announce, withdraw
}

// count says how many of the routes are IPv4 and how many IPv6.
func count(routes []Route) (v4, v6 int) {
	for _, r := range routes {
		if r.Prefix.Addr().Is4() {
			v4++
		}
	}
	return v4, len(routes) - v4
}
