package bgp

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
)

// memorySession is a session with a simulated router. Its engine's mutex guards it.
type memorySession struct {
	engine   *Memory
	peer     Peer
	address  netip.Addr
	notify   func(Event)
	routes   map[netip.Prefix]Route
	state    State
	key      Password // that it was dialled with
	limit    int
	counters Counters
}

func (s *memorySession) lock() (r *router, unlock func()) {
	s.engine.wait(s.address)
	s.engine.mu.Lock()
	return s.engine.router(s.address), s.engine.mu.Unlock
}

func (s *memorySession) Update(announce []Route, withdraw []netip.Prefix) (Withheld, error) {
	r, unlock := s.lock()
	defer unlock()
	for _, p := range withdraw {
		delete(s.routes, p)
	}
	for _, a := range announce {
		s.routes[a.Prefix] = a
	}
	if s.state == Established {
		s.send(r)
	}
	return r.withheld, nil
}

// send brings the router's routes in line with the session's.
func (s *memorySession) send(r *router) {
	for p, route := range s.routes {
		if known, there := r.routes[p]; (!there || !known.Same(route)) && !s.held(r, p) {
			r.routes[p] = route
			s.update(r)
		}
	}
	for p := range r.routes {
		if _, there := s.routes[p]; !there || s.held(r, p) {
			delete(r.routes, p)
			s.update(r)
		}
	}
}

func (s *memorySession) update(r *router) {
	r.updates++
	s.counters.Sent = s.counters.Sent.plus(Messages{Updates: 1, Total: 1})
}

func (s *memorySession) held(r *router, p netip.Prefix) bool {
	if p.Addr().Is4() {
		return r.withheld.IPv4 != ""
	}
	return r.withheld.IPv6 != ""
}

func (s *memorySession) Dial(peer Peer) error {
	if peer.session() != s.peer.session() {
		return errors.New("dialling another peer than was opened")
	}
	m := s.engine
	address := m.find(peer)
	if !address.IsValid() {
		return fmt.Errorf("no router is known on interface %s", peer.Interface)
	}
	m.wait(address)
	m.mu.Lock()
	defer m.mu.Unlock()
	s.limit = peer.MaxReceived
	switch s.state {
	case Idle:
		s.peer, s.key, s.address, s.state = peer, peer.Password, address, Connect
		r := m.router(address)
		r.dials++
		r.session = s
		s.connect(r)
	case Established:
		s.receive(m.router(s.address))
	}
	return nil
}

func (s *memorySession) Counters() Counters {
	_, unlock := s.lock()
	defer unlock()
	return s.counters
}

// connect plays the TCP connection, and what follows if it comes about.
func (s *memorySession) connect(r *router) {
	if r.behaviour == Away || r.behaviour == Hangs || s.key != r.password {
		s.tell(Event{State: Connect, Reason: s.peer.NoAnswer()})
		return
	}
	s.converse(r)
}

// converse plays what follows a TCP connection.
func (s *memorySession) converse(r *router) {
	s.tell(Event{State: OpenSent})
	asn := cmp.Or(r.asn, s.peer.PeerASN, s.peer.MyASN+1)
	switch {
	case r.behaviour == Refuses:
		s.counters.Received = s.counters.Received.plus(Messages{Notifications: 1, Total: 1})
		s.tell(Event{State: Idle, Reason: "received NOTIFICATION: OPEN refused"})
	case r.behaviour != Answers: // nothing more
	case !s.peer.External && asn != s.peer.PeerASN:
		s.tell(Event{State: Idle, Reason: fmt.Sprintf("as number mismatch expected %d, received %d", s.peer.PeerASN, asn)})
	case s.peer.External && asn == s.peer.MyASN:
		s.tell(Event{State: Idle, Reason: OwnASN(asn)})
	default:
		s.tell(Event{State: OpenConfirm})
		s.send(r)
		s.tell(Event{State: Established, Conn: Conn{
			Local: s.peer.Source, Remote: s.address, Interface: s.peer.Interface, Multihop: s.peer.Multihop > 0,
			PeerASN: asn, HoldTime: s.peer.HoldTime, IPv4: true, IPv6: true,
		}})
		s.receive(r)
	}
}

// receive takes the router's routes, up to the limit.
func (s *memorySession) receive(r *router) {
	s.counters.IPv4, s.counters.IPv6 = r.sends[0], r.sends[1]
	n := uint64(r.sends[0] + r.sends[1])
	s.counters.Received = s.counters.Received.plus(Messages{Updates: n, Total: n})
	if s.limit > 0 && max(r.sends[0], r.sends[1]) > s.limit {
		clear(r.routes)
		s.tell(Event{State: Idle, Reason: TooManyRoutes(s.limit), Flooded: true})
	}
}

// tell notes and reports a state.
func (s *memorySession) tell(e Event) {
	s.state = e.State
	s.notify(e)
}

func (s *memorySession) Drop() {
	r, unlock := s.lock()
	defer unlock()
	s.drop(r)
}

func (s *memorySession) drop(r *router) {
	if r.session == s {
		r.session = nil
		clear(r.routes)
	}
	s.state, s.counters = Idle, Counters{}
}

func (s *memorySession) Close(keepRoutes bool) {
	r, unlock := s.lock()
	defer unlock()
	delete(s.engine.seekers, s)
	if keepRoutes && s.peer.RestartTime > 0 && r.session == s {
		r.session = nil
		return
	}
	s.drop(r)
}
