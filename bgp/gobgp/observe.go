package gobgp

import (
	"context"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"github.com/kontena/network-lb/bgp"
)

// observed is what GoBGP says of the peer; nil if it has none.
func (s *session) observed() (found *api.Peer) {
	// An address would have to be the one that GoBGP has, with its zone; there is but one peer.
	_ = s.speaker.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) { found = p })
	return found
}

// ending says why the session went to Idle.
func (s *session) ending(l *line) bgp.Event {
	e := bgp.Event{State: bgp.Idle}
	e.Reason, e.Cease, e.Flooded = s.speaker.log.cause()
	if l.refused.Load() {
		e.Reason = bgp.OwnASN(l.peer.MyASN)
	}
	if e.Flooded {
		s.mu.Lock()
		e.Reason = bgp.TooManyRoutes(l.peer.MaxReceived)
		s.mu.Unlock()
	}
	return e
}

// conn describes the Established session, and takes down what the peer is capable of.
func (s *session) conn(l *line) bgp.Conn {
	p := s.observed()
	c := bgp.Conn{
		Local: l.local.Source, Remote: l.local.Remote, Interface: l.local.Interface, Multihop: l.local.Multihop,
		PeerASN:  p.GetState().GetPeerAsn(),
		HoldTime: time.Duration(p.GetTimers().GetState().GetNegotiatedHoldTime()) * time.Second,
	}
	c.PeerID, _ = netip.ParseAddr(p.GetState().GetRouterId())
	if a, err := netip.ParseAddr(p.GetTransport().GetLocalAddress()); err == nil && !c.Local.IsValid() {
		c.Local = a.Unmap()
	}
	var long bool
	c.IPv4, c.IPv6, long = capabilities(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extended = takesNot
	if long {
		s.extended = takes
	}
	return c
}

// capabilities says which families the peer takes, and whether it takes IPv6 next hops for IPv4 (RFC 8950). One that
// names no family takes IPv4 (RFC 4760 section 8).
func capabilities(p *api.Peer) (v4, v6, extended bool) {
	named := false
	for _, c := range p.GetState().GetRemoteCap() {
		var mp api.MultiProtocolCapability
		var nh api.ExtendedNexthopCapability
		switch {
		case c.UnmarshalTo(&mp) == nil && mp.GetFamily().GetSafi() == api.Family_SAFI_UNICAST:
			named = true
			v4 = v4 || mp.GetFamily().GetAfi() == api.Family_AFI_IP
			v6 = v6 || mp.GetFamily().GetAfi() == api.Family_AFI_IP6
		case c.UnmarshalTo(&nh) == nil:
			for _, t := range nh.GetTuples() {
				extended = extended || t.GetNlriFamily().GetAfi() == api.Family_AFI_IP &&
					t.GetNlriFamily().GetSafi() == api.Family_SAFI_UNICAST && t.GetNexthopFamily().GetAfi() == api.Family_AFI_IP6
			}
		}
	}
	return v4 || !named, v6, extended
}

// Counters implements bgp.Session.
func (s *session) Counters() bgp.Counters {
	if s.current() == nil {
		return bgp.Counters{}
	}
	return counters(s.observed())
}

func counters(p *api.Peer) (c bgp.Counters) {
	count := func(m *api.Message) bgp.Messages {
		return bgp.Messages{Updates: m.GetUpdate(), Notifications: m.GetNotification(), Total: m.GetTotal()}
	}
	m := p.GetState().GetMessages()
	c.Sent, c.Received = count(m.GetSent()), count(m.GetReceived())
	for _, f := range p.GetAfiSafis() {
		n := int(f.GetState().GetReceived())
		if f.GetState().GetFamily().GetAfi() == api.Family_AFI_IP {
			c.IPv4 = n
		} else {
			c.IPv6 = n
		}
	}
	return c
}
