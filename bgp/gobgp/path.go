package gobgp

import (
	"fmt"
	"net/netip"
	"slices"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
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
func path(r bgp.Route, h hop, peer bgp.Peer) (*api.Path, error) {
	p, err := withdrawal(r.Prefix)
	if err != nil {
		return nil, err
	}
	p.IsWithdraw = false
	all := []proto.Message{&api.OriginAttribute{Origin: 0}} // IGP
	if family(r.Prefix) == ipv4 {
		all = append(all, &api.NextHopAttribute{NextHop: h.addr.String()})
	} else {
		all = append(all, &api.MpReachNLRIAttribute{
			Family: p.Family, NextHops: []string{h.addr.String()}, Nlris: []*anypb.Any{p.Nlri},
		})
	}
	for _, m := range append(all, attributes(r, peer)...) {
		a, err := anypb.New(m)
		if err != nil {
			return nil, err
		}
		p.Pattrs = append(p.Pattrs, a)
	}
	return p, nil
}

// attributes are what is said of a route beside where it leads. To an eBGP peer GoBGP puts our ASN in front of the
// AS_PATH that it is given; to an iBGP peer it sends that as it is, which the peer would take for a loop.
func attributes(r bgp.Route, peer bgp.Peer) []proto.Message {
	var all []proto.Message
	internal := peer.PeerASN == peer.MyASN
	if r.Prepend > 0 && !internal {
		all = append(all, &api.AsPathAttribute{Segments: []*api.AsSegment{{
			Type: api.AsSegment_AS_SEQUENCE, Numbers: slices.Repeat([]uint32{peer.MyASN}, int(r.Prepend)),
		}}})
	}
	if r.MED.Set {
		all = append(all, &api.MultiExitDiscAttribute{Med: r.MED.Value})
	}
	if r.LocalPref.Set && internal {
		all = append(all, &api.LocalPrefAttribute{LocalPref: r.LocalPref.Value})
	}
	var standard api.CommunitiesAttribute
	var large api.LargeCommunitiesAttribute
	for _, c := range r.Communities {
		if value, ok := c.Standard(); ok {
			standard.Communities = append(standard.Communities, value)
		} else if n, ok := c.Large(); ok {
			large.Communities = append(large.Communities, &api.LargeCommunity{GlobalAdmin: n[0], LocalData1: n[1], LocalData2: n[2]})
		}
	}
	if len(standard.Communities) > 0 {
		all = append(all, &standard)
	}
	if len(large.Communities) > 0 {
		all = append(all, &large)
	}
	return all
}

// withdrawal names a prefix to GoBGP.
func withdrawal(prefix netip.Prefix) (*api.Path, error) {
	nlri, err := anypb.New(&api.IPAddressPrefix{Prefix: prefix.Addr().String(), PrefixLen: uint32(prefix.Bits())})
	if err != nil {
		return nil, err
	}
	return &api.Path{Family: apiFamilies[family(prefix)], Nlri: nlri, IsWithdraw: true}, nil
}
