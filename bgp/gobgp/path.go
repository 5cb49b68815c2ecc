package gobgp

import (
	"math"
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

func family(p netip.Prefix) int { return familyOf(p.Addr()) }

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// path is a route as GoBGP takes it.
func path(r bgp.Route, h hop, peer bgp.Peer) (*api.Path, error) {
	p, err := withdrawal(r.Prefix)
	if err != nil {
		return nil, err
	}
	p.IsWithdraw = false
	all := []proto.Message{&api.OriginAttribute{Origin: 0}} // IGP
	if h.addr.Is4() {
		all = append(all, &api.NextHopAttribute{NextHop: h.addr.String()})
	} else {
		all = append(all, &api.MpReachNLRIAttribute{
			Family: p.Family, NextHops: []string{h.addr.String()}, Nlris: []*anypb.Any{p.Nlri},
		})
	}
	extended, err := extendedCommunities(r, peer)
	if err != nil {
		return nil, err
	}
	for _, m := range slices.Concat(all, attributes(r, peer), extended) {
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

// asTrans stands for an ASN that does not fit into two bytes (RFC 6793).
const asTrans = 23456

// extendedCommunities are those of a route, one attribute at most. The link bandwidth is not transitive: it is for the
// AS that gets it, and GoBGP, which leaves such communities as they are, sends it to eBGP peers too.
func extendedCommunities(r bgp.Route, peer bgp.Peer) ([]proto.Message, error) {
	if r.Bandwidth == 0 {
		return nil, nil
	}
	asn := peer.MyASN
	if asn > math.MaxUint16 {
		asn = asTrans
	}
	link, err := anypb.New(&api.LinkBandwidthExtended{Asn: asn, Bandwidth: float32(r.Bandwidth)})
	if err != nil {
		return nil, err
	}
	return []proto.Message{&api.ExtendedCommunitiesAttribute{Communities: []*anypb.Any{link}}}, nil
}

// withdrawal names a prefix to GoBGP.
func withdrawal(prefix netip.Prefix) (*api.Path, error) {
	nlri, err := anypb.New(&api.IPAddressPrefix{Prefix: prefix.Addr().String(), PrefixLen: uint32(prefix.Bits())})
	if err != nil {
		return nil, err
	}
	return &api.Path{Family: apiFamilies[family(prefix)], Nlri: nlri, IsWithdraw: true}, nil
}
