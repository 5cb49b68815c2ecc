package gobgp

import (
	"context"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"

	"github.com/kontena/network-lb/bgp"
)

// How often the routes of a peer with a limit are counted: soon again while it sends, but at most a twentieth of the
// time is spent on it, and seldom while it does not.
const (
	calmLook = time.Second
	busyLook = 100 * time.Millisecond
	lookPart = 20
)

// relimit changes how many routes the peer may send.
func (s *session) relimit(l *line, peer bgp.Peer) {
	s.mu.Lock()
	l.peer.MaxReceived = peer.MaxReceived
	s.mu.Unlock()
	select {
	case l.relimited <- struct{}{}:
	default:
	}
}

// enforce counts what the peer sends for as long as ctx, which is the line's. GoBGP has a limit of its own, but counts
// all routes anew for every UPDATE: a router with a hundred thousand routes in as many UPDATEs would keep a processor
// busy for minutes. So it is told of the limit when that is exceeded, and closes the session as it should.
func (s *session) enforce(ctx context.Context, l *line) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	var updates uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.relimited:
		case <-wait.C:
		}
		s.mu.Lock()
		most := l.peer.MaxReceived
		s.mu.Unlock()
		if most == 0 {
			continue // until it is changed
		}
		begun := time.Now()
		c := counters(s.observed())
		if max(c.IPv4, c.IPv6) > most && s.exceeded(l, most) {
			return
		}
		next := calmLook
		if c.Received.Updates != updates {
			next = max(busyLook, lookPart*time.Since(begun))
		}
		updates = c.Received.Updates
		wait.Reset(next)
	}
}

// exceeded has GoBGP close the session: Cease, subcode 1. It reports whether that was still the line's.
func (s *session) exceeded(l *line, most int) bool {
	s.server.Lock()
	defer s.server.Unlock()
	if s.current() != l {
		return true
	}
	limited := proto.CloneOf(l.api)
	for _, a := range limited.AfiSafis {
		a.PrefixLimits = &api.PrefixLimit{Family: a.Config.Family, MaxPrefixes: uint32(most)}
	}
	_, err := s.speaker.UpdatePeer(context.Background(), &api.UpdatePeerRequest{Peer: limited})
	return err == nil
}
