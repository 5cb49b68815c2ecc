package gobgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	api "github.com/osrg/gobgp/v3/api"

	"github.com/kontena/network-lb/bgp"
)

// session is one peer and its server. Its methods are called by one goroutine at a time, events come on
// GoBGP's.
type session struct {
	engine  *Engine
	speaker *speaker
	peer    bgp.Peer
	notify  func(bgp.Event)

	routes map[netip.Prefix]*bgp.Route // all that are wanted, where Update was given them: sessions share them
	local  bgp.Local                   // of the last lookup that succeeded
	lookup error                       // of the last lookup
	hops   [2]hop                      // what the paths in the server were made with

	server sync.Mutex // held to add, change and delete the server's peer

	mu         sync.Mutex
	restarting bool // the next connection is the first after a restart
	extended   extended
	line       *line
}

// line is one dialling of the peer. Events of an old one are recognised by it.
type line struct {
	cancel context.CancelFunc
	peer   bgp.Peer
	local  bgp.Local
	api    *api.Peer // as GoBGP was given it

	connected atomic.Bool   // there is a connection, or was one
	refused   atomic.Bool   // the peer has our own ASN
	relimited chan struct{} // peer.MaxReceived is another
}

// Update implements bgp.Session.
func (s *session) Update(announce []bgp.Route, withdraw []netip.Prefix) (bgp.Withheld, error) {
	var errs []error
	hops, withheld := s.nextHops()
	s.follow()
	for f, h := range hops {
		if h != s.hops[f] {
			errs = append(errs, s.rehop(f, h))
		}
	}
	for i := range announce {
		r := &announce[i]
		s.routes[r.Prefix] = r
		if h := s.hops[family(r.Prefix)]; h.ok {
			errs = append(errs, s.add(r, h))
		}
	}
	// Last, so that an aggregate that becomes host routes, or the reverse, leaves no address without a route.
	for _, p := range withdraw {
		if _, known := s.routes[p]; known && s.hops[family(p)].ok {
			errs = append(errs, s.remove(p))
		}
		delete(s.routes, p)
	}
	return withheld, errors.Join(errs...)
}

// rehop gives all routes of a family another next hop, or takes them back when there is none.
func (s *session) rehop(f int, h hop) error {
	old := s.hops[f]
	s.hops[f] = h
	var errs []error
	for p, r := range s.routes {
		switch {
		case family(p) != f:
		case h.ok:
			errs = append(errs, s.add(r, h))
		case old.ok:
			errs = append(errs, s.remove(p))
		}
	}
	return errors.Join(errs...)
}

func (s *session) add(r *bgp.Route, h hop) error {
	p, err := path(*r, h, s.peer)
	if err == nil {
		_, err = s.speaker.AddPath(context.Background(), &api.AddPathRequest{TableType: api.TableType_GLOBAL, Path: p})
	}
	if err != nil {
		return fmt.Errorf("announcing %s: %w", r.Prefix, err)
	}
	return nil
}

func (s *session) remove(prefix netip.Prefix) error {
	p, err := withdrawal(prefix)
	if err == nil {
		err = s.speaker.DeletePath(context.Background(), &api.DeletePathRequest{TableType: api.TableType_GLOBAL, Path: p})
	}
	if err != nil {
		return fmt.Errorf("withdrawing %s: %w", prefix, err)
	}
	return nil
}

// Dial implements bgp.Session. It fails when there is no way to the peer.
func (s *session) Dial(peer bgp.Peer) error {
	if l := s.current(); l != nil {
		s.relimit(l, peer)
		return nil
	}
	if s.lookup != nil {
		return s.lookup
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &line{cancel: cancel, peer: peer, local: s.local, relimited: make(chan struct{}, 1)}
	s.mu.Lock()
	l.api = apiPeer(peer, s.local, s.restarting)
	s.line = l
	s.mu.Unlock()

	s.speaker.log.reset(hooks{
		connected:  l.connect,
		opened:     l.opened,
		dialFailed: func(err error) { s.unconnected(l, err) },
	})
	if err := s.call(ctx, l); err != nil {
		s.Drop()
		return fmt.Errorf("adding peer %s: %w", peer.Title(), err)
	}
	return nil
}

// call gives GoBGP the peer.
func (s *session) call(ctx context.Context, l *line) error {
	s.server.Lock()
	defer s.server.Unlock()
	if err := s.speaker.AddPeer(ctx, &api.AddPeerRequest{Peer: l.api}); err != nil {
		return err
	}
	return s.speaker.WatchEvent(ctx, &api.WatchEventRequest{Peer: &api.WatchEventRequest_Peer{}},
		func(r *api.WatchEventResponse) { s.hear(ctx, l, r.GetPeer()) })
}

// current is the present line; nil is that there is none.
func (s *session) current() *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.line
}

// Drop implements bgp.Session.
func (s *session) Drop() {
	l := s.current()
	s.server.Lock()
	defer s.server.Unlock()
	if s.silence() {
		// The only error is that GoBGP does not know the peer, which is what is wanted.
		_ = s.speaker.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: l.api.Conf.NeighborAddress})
	}
}

// silence ends the events of the present line, and says whether there was one.
func (s *session) silence() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil {
		return false
	}
	s.line.cancel()
	s.line = nil
	return true
}

// Close implements bgp.Session. With keepRoutes the connection stays up until the process exits: GoBGP cannot
// close one without a NOTIFICATION.
func (s *session) Close(keepRoutes bool) {
	s.server.Lock()
	defer s.server.Unlock()
	s.silence()
	if !keepRoutes {
		_ = s.speaker.StopBgp(context.Background(), &api.StopBgpRequest{}) // fails for a nil request only
	}
	s.engine.leave(s, !keepRoutes)
}

// hear translates GoBGP's events. Those of other types than STATE and INIT tell of peers that are gone.
func (s *session) hear(ctx context.Context, l *line, e *api.WatchEventResponse_PeerEvent) {
	first := e.GetType() == api.WatchEventResponse_PeerEvent_INIT
	if !first && e.GetType() != api.WatchEventResponse_PeerEvent_STATE {
		return
	}
	var event bgp.Event
	switch e.GetPeer().GetState().GetSessionState() {
	case api.PeerState_IDLE:
		if first {
			return // it has not begun yet
		}
		event = s.ending(l)
	case api.PeerState_CONNECT, api.PeerState_ACTIVE:
		event = bgp.Event{State: bgp.Connect}
	case api.PeerState_OPENSENT:
		event = bgp.Event{State: bgp.OpenSent}
	case api.PeerState_OPENCONFIRM:
		event = bgp.Event{State: bgp.OpenConfirm}
	case api.PeerState_ESTABLISHED:
		event = bgp.Event{State: bgp.Established, Conn: s.conn(l)}
	default:
		return
	}
	if event.State > bgp.OpenSent && l.refused.Load() {
		event = s.ending(l) // whatever GoBGP takes it for
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != l {
		return
	}
	s.notify(event)
	if event.State == bgp.Established {
		s.restarting = false
		go s.enforce(ctx, l)
		s.notify(bgp.Event{NextHops: true}) // what it takes is known only now
	}
}

// unconnected reports a connection that did not come about. GoBGP goes on by itself.
func (s *session) unconnected(l *line, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == l {
		s.notify(bgp.Event{State: bgp.Connect, Reason: whyUnconnected(l.peer, err)})
	}
}
