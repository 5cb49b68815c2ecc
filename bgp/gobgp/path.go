package gobgp

import (
	"fmt"
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kontena/network-lb/bgp"
)

// The families' indices.
const (
	ipv4 = 0
	ipv6 = 1
)

var apiFamilies = [2]*api.Family{
	{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST},
	{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST},
}

var familyNames = [2]string{"IPv4", "IPv6"}

func family(p netip.Prefix) int { return familyOf(p.Addr()) }

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// hop is a family's next hop. The unspecified address stands for the session's own, which GoBGP fills in.
type hop struct {
	addr netip.Addr
	ok   bool
}

// nextHops looks up the node's addresses. The session's own family always has a next hop; the other one needs
// an address of its own, since GoBGP would make one up (`::ffff:10.0.1.1`) that routers refuse. A lookup that
// fails changes nothing: what was found last holds.
func (s *session) nextHops() (hops [2]hop, withheld bgp.Withheld) {
	own := familyOf(s.peer.Address)
	other := 1 - own
	reason := "no next hop of this family is known"
	s.lookup = nil
	if s.engine.options.Local != nil {
		local, err := s.engine.options.Local(s.peer.Address)
		if s.lookup = err; err == nil {
			s.local = local
		} else {
			reason = err.Error()
		}
	}
	unspecified := [2]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	hops[own] = hop{unspecified[own], true}
	addr := [2]netip.Addr{s.local.IPv4, s.local.IPv6}[other]
	if addr.IsValid() {
		hops[other] = hop{addr, true}
		return hops, withheld
	}
	if s.lookup == nil && s.local.Interface != "" {
		reason = fmt.Sprintf("interface %s has no permanent global %s address to be the next hop",
			s.local.Interface, familyNames[other])
	}
	if other == ipv4 {
		withheld.IPv4 = reason
	} else {
		withheld.IPv6 = reason
	}
	return hops, withheld
}

// path is a route as GoBGP takes it.
func path(r bgp.Route, h hop) (*api.Path, error) {
	p, err := withdrawal(r.Prefix)
	if err != nil {
		return nil, err
	}
	p.IsWithdraw = false
	origin, err := anypb.New(&api.OriginAttribute{Origin: 0}) // IGP
	if err != nil {
		return nil, err
	}
	var reach *anypb.Any
	if family(r.Prefix) == ipv4 {
		reach, err = anypb.New(&api.NextHopAttribute{NextHop: h.addr.String()})
	} else {
		reach, err = anypb.New(&api.MpReachNLRIAttribute{
			Family: p.Family, NextHops: []string{h.addr.String()}, Nlris: []*anypb.Any{p.Nlri},
		})
	}
	if err != nil {
		return nil, err
	}
	p.Pattrs = []*anypb.Any{origin, reach}
	return p, nil
}

// withdrawal names a prefix to GoBGP.
func withdrawal(prefix netip.Prefix) (*api.Path, error) {
	nlri, err := anypb.New(&api.IPAddressPrefix{Prefix: prefix.Addr().String(), PrefixLen: uint32(prefix.Bits())})
	if err != nil {
		return nil, err
	}
	return &api.Path{Family: apiFamilies[family(prefix)], Nlri: nlri, IsWithdraw: true}, nil
}
