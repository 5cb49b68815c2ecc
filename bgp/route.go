package bgp

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// Route is a prefix to be advertised, and what is said of it. The engine fills in the next hop. Several routes of one
// prefix to one peer become one, as Merge says.
type Route struct {
	// Prefix is IPv4 or IPv6; host bits are cleared.
	Prefix netip.Prefix
	// LocalPref is LOCAL_PREF (RFC 4271 section 5.1.5): within the AS the route with the higher one is taken. It is sent
	// to iBGP peers only, which get 100 where it is not set.
	LocalPref Optional
	// MED is MULTI_EXIT_DISC (RFC 4271 section 5.1.4): of several ways into our AS, the peer's AS takes that with the
	// lower one. Not set: not sent.
	MED Optional
	// Prepend is how many more times than once our ASN stands in the AS_PATH to an eBGP peer, to make the route look
	// longer. iBGP peers would take it for a loop, so it is not sent to them.
	Prepend uint8
	// Communities of the route (RFC 1997, RFC 8092), in any order.
	Communities []Community
	// Bandwidth is that of the link behind the route; 0: not sent.
	Bandwidth Bandwidth
	// Peers are the names of the peers that get the route; nil is all of them.
	Peers []string
}

// Optional is a number that may be absent. It is comparable; the zero value is absent.
type Optional struct {
	Value uint32
	Set   bool
}

// Some returns an Optional that is there.
func Some(value uint32) Optional { return Optional{value, true} }

// String is the number, or "none".
func (o Optional) String() string {
	if !o.Set {
		return "none"
	}
	return fmt.Sprint(o.Value)
}

// or returns the first of two that is set, and whether they contradict each other.
func (o Optional) or(other Optional) (value Optional, clash bool) {
	if !o.Set {
		return other, false
	}
	return o, other.Set && other != o
}

// ErrClash is what Merge returns when two routes contradict each other.
var ErrClash = errors.New("two routes of one prefix contradict each other")

// Merge returns the route that says what both of one prefix say: the communities of both, and the longer of the
// prepended paths. With ErrClash they have different local preferences, MEDs or bandwidths, and those of r are in the
// result. The peers are those of r.
func (r Route) Merge(o Route) (Route, error) {
	localPref, clash1 := r.LocalPref.or(o.LocalPref)
	med, clash2 := r.MED.or(o.MED)
	bandwidth, clash3 := r.Bandwidth.or(o.Bandwidth)
	var err error
	if clash1 || clash2 || clash3 {
		err = fmt.Errorf("%w: %s has local preference %s and %s, MED %s and %s, bandwidth %s and %s", ErrClash,
			r.Prefix, r.LocalPref, o.LocalPref, r.MED, o.MED, r.Bandwidth, o.Bandwidth)
	}
	r.LocalPref, r.MED, r.Prepend, r.Bandwidth = localPref, med, max(r.Prepend, o.Prepend), bandwidth
	r.Communities = communities(append(slices.Clip(r.Communities), o.Communities...))
	return r, err
}

// leavingPrepend is how much longer the AS_PATH of a leaving route becomes: enough to be the longest one beside routes that
// are prepended to once or twice for other reasons, such as to have spare nodes.
const leavingPrepend = 3

// Leaving returns the route as one that is about to be withdrawn: routers that have another one take that, and connections
// are on their way elsewhere before there is nothing left. It carries GracefulShutdown, has LOCAL_PREF 0 within the AS (RFC
// 8326 sections 4.1 and 4.2), and a longer AS_PATH for routers of others that do not act on the community.
func (r Route) Leaving() Route {
	r.LocalPref = Some(0)
	r.Prepend = uint8(min(int(r.Prepend)+leavingPrepend, math.MaxUint8))
	r.Communities = communities(append(slices.Clip(r.Communities), GracefulShutdown))
	return r
}

// Same reports whether two routes look the same to a peer, whichever peers they are for.
func (r Route) Same(o Route) bool { return r.tidy().same(o.tidy()) }

// communities sorts and drops repetitions; nothing is nil.
func communities(all []Community) []Community {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortFunc(all, Community.Compare)
	return slices.Compact(all)
}

// tidy is the route in the form that routes are compared in, without its peers.
func (r Route) tidy() Route {
	r.Prefix, r.Communities, r.Peers = r.Prefix.Masked(), communities(r.Communities), nil
	return r
}

// Validate says what is wrong with the route.
func (r Route) Validate() error {
	if !r.Prefix.IsValid() || r.Prefix.Addr().Is4In6() {
		return fmt.Errorf("prefix %s: want an IPv4 or IPv6 prefix", r.Prefix)
	}
	if err := r.Bandwidth.validate(); err != nil {
		return fmt.Errorf("%s: %w", r.Prefix, err)
	}
	return nil
}

// same reports whether two tidy routes look the same to a peer.
func (r Route) same(o Route) bool {
	return r.Prefix == o.Prefix && r.LocalPref == o.LocalPref && r.MED == o.MED && r.Prepend == o.Prepend && r.Bandwidth == o.Bandwidth &&
		slices.Equal(r.Communities, o.Communities)
}

// sortRoutes orders routes by prefix: IPv4 before IPv6, lower addresses first, shorter prefixes first.
func sortRoutes(routes []Route) {
	slices.SortStableFunc(routes, func(a, b Route) int { return comparePrefixes(a.Prefix, b.Prefix) })
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// diff compares what a peer was given with what it is to have; both are sorted and free of duplicates. What is new to a
// peer that had nothing is not copied: it may be many routes, and the same for many peers. Otherwise it is, because an
// engine keeps what is announced, and with it the whole list that it is a part of.
func diff(have, want []Route) (announce []Route, withdraw []netip.Prefix) {
	if len(have) == 0 {
		return want, nil
	}
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
