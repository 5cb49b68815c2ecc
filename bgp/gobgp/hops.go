package gobgp

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/bgp"
)

// hop is a family's next hop. The unspecified address stands for the session's own, which GoBGP fills in.
type hop struct {
	addr netip.Addr
	ok   bool
}

// extended says whether the peer takes IPv6 next hops for IPv4 routes (RFC 8950).
type extended int

const (
	unknown extended = iota
	takes
	takesNot
)

// lookUp asks for the node's addresses on the way to the peer. A lookup that fails changes nothing: what was found
// last holds.
func (s *session) lookUp() {
	s.lookup = nil
	if s.engine.options.Local == nil {
		if s.peer.Interface != "" {
			s.lookup = fmt.Errorf("nobody looks for routers on interface %s", s.peer.Interface)
		}
		s.local.Remote = s.peer.Address
		return
	}
	local, err := s.engine.options.Local(s.peer)
	if err == nil && !local.Remote.IsValid() {
		if local.Remote = s.peer.Address; s.peer.Interface != "" {
			err = errors.New("no router is known on interface " + s.peer.Interface)
		}
	}
	if s.lookup = err; err == nil {
		s.local = local
	}
}

// nextHops says what the routes of each family are to be reached by, and why those of one are withheld.
func (s *session) nextHops() (hops [2]hop, withheld bgp.Withheld) {
	s.lookUp()
	own, other := ipv4, ipv6
	if s.peer.Interface != "" || s.peer.Address.Is6() {
		own, other = ipv6, ipv4
	}
	hops[own] = hop{s.ownHop(own), true}
	addr, reason := s.otherHop(other)
	hops[other] = hop{addr, reason == ""}
	if other == ipv4 {
		withheld.IPv4 = reason
	} else {
		withheld.IPv6 = reason
	}
	return hops, withheld
}

// ownHop is the next hop of the session's own family. GoBGP knows it, except that of a link-local session, whose zone
// it stumbles over. With a source address of the user's it is the one on the interface: the source may be elsewhere on
// the node, where a router that is directly connected does not find it.
func (s *session) ownHop(own int) netip.Addr {
	if s.peer.Interface != "" && s.local.Source.IsValid() {
		return s.local.Source.WithZone("")
	}
	if a := s.addresses()[own]; s.peer.Source.IsValid() && a.IsValid() {
		return a
	}
	return [2]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}[own]
}

func (s *session) addresses() [2]netip.Addr { return [2]netip.Addr{s.local.IPv4, s.local.IPv6} }

// otherHop is the next hop of the other family. It has to be an address of its own, since GoBGP would make one up
// (`::ffff:10.0.1.1`) that routers refuse; only IPv4 routes may have an IPv6 next hop, where the peer says so.
func (s *session) otherHop(other int) (a netip.Addr, reason string) {
	a = s.addresses()[other]
	switch {
	case other == ipv4 && s.peer.Interface != "":
		return s.unnumberedHop(a)
	case a.IsValid():
		return a, ""
	case other == ipv4 && s.local.Source.IsValid() && s.extendedNextHop() == takes:
		if s.local.IPv6.IsValid() {
			return s.local.IPv6, ""
		}
		return s.local.Source, ""
	case s.lookup != nil && s.local.Interface == "":
		return a, s.lookup.Error()
	case s.local.Interface == "":
		return a, "no next hop of this family is known"
	case other == ipv4:
		return a, fmt.Sprintf("interface %s has no permanent global IPv4 address to be the next hop, "+
			"and the router does not take an IPv6 one (RFC 8950)", s.local.Interface)
	}
	return a, fmt.Sprintf("interface %s has no permanent global IPv6 address to be the next hop", s.local.Interface)
}

// unnumberedHop is the next hop of IPv4 routes on a link-local session: our link-local address, if the router takes
// it. The interface's own IPv4 address is the last choice, since the router need not have its subnet.
func (s *session) unnumberedHop(a netip.Addr) (netip.Addr, string) {
	takesIt := s.extendedNextHop()
	switch {
	case s.lookup != nil && !s.local.Source.IsValid():
		return a, s.lookup.Error()
	case takesIt == takes:
		return s.local.Source.WithZone(""), ""
	case takesIt == unknown:
		return a, "the router has not said yet whether it takes IPv6 next hops for IPv4 (RFC 8950)"
	case a.IsValid():
		return a, ""
	}
	return a, fmt.Sprintf("the router does not take IPv6 next hops for IPv4 (RFC 8950), and interface %s has no "+
		"permanent global IPv4 address", s.peer.Interface)
}

// extendedNextHop reports whether IPv4 routes may be sent with an IPv6 next hop. As long as the peer has not said,
// they wait for it; only after a restart the peer is taken to be as it was, since routes that came after End-of-RIB
// would be too late for those that it keeps.
func (s *session) extendedNextHop() extended {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extended == unknown && s.restarting {
		return takes
	}
	return s.extended
}
