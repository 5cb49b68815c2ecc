package bgp

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
)

// Memory is an Engine without a network, for tests and examples: it simulates the routers that are dialled.
// A router answers at once unless told otherwise by Behave. The zero value is ready.
type Memory struct {
	mu      sync.Mutex
	routers map[netip.Addr]*router
}

var (
	_ Engine  = (*Memory)(nil)
	_ Session = (*memorySession)(nil)
)

// Behaviour is how a simulated router treats who dials it.
type Behaviour int

// Behaviours of a router.
const (
	Answers Behaviour = iota // the session is Established at once
	Away                     // no connection; the session stays in Connect
	Silent                   // the connection stands, no OPEN comes; the session stays in OpenSent
	Refuses                  // a NOTIFICATION answers every OPEN
)

// router is what a simulated router knows.
type router struct {
	behaviour Behaviour
	password  Password
	session   *memorySession // that dialled last, until dropped
	routes    map[netip.Prefix]Route
	withheld  Withheld
	updates   int
	dials     int
	stalled   chan struct{} // not nil: calls wait until it is closed
}

func (m *Memory) router(address netip.Addr) *router {
	if m.routers == nil {
		m.routers = map[netip.Addr]*router{}
	}
	r := m.routers[address]
	if r == nil {
		r = &router{routes: map[netip.Prefix]Route{}}
		m.routers[address] = r
	}
	return r
}

// Behave sets how the router at an address behaves from now on. One that is Away loses its session, if there
// is one, for the given reason, and its routes; one that Answers takes up a session that waits.
func (m *Memory) Behave(address netip.Addr, b Behaviour, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.router(address)
	r.behaviour = b
	s := r.session
	switch {
	case s == nil:
	case b == Answers && s.state == Connect:
		s.connect(r)
	case b == Away && s.state > Connect:
		clear(r.routes)
		s.tell(Event{State: Idle, Reason: reason})
	}
}

// SetPassword gives the router at an address another password: it answers only who dials with the same one.
// An open session ends with a Cease, as with FRR and BIRD.
func (m *Memory) SetPassword(address netip.Addr, p Password) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.router(address)
	if r.password == p {
		return
	}
	r.password = p
	switch s := r.session; {
	case s == nil:
	case s.state == Connect:
		s.connect(r)
	case s.state > Connect:
		clear(r.routes)
		s.tell(Event{State: Idle, Reason: "received NOTIFICATION: the password has changed", Cease: true})
	}
}

// Lose cuts the router's connection; the router goes on as it behaves. With cease the router says so first.
func (m *Memory) Lose(address netip.Addr, reason string, cease bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.router(address)
	if s := r.session; s != nil && s.state > Connect {
		clear(r.routes)
		s.tell(Event{State: Idle, Reason: reason, Cease: cease})
	}
}

// Withhold makes a session's next hops come and go: what Update returns for the router at this address. The
// sessions are told to look again.
func (m *Memory) Withhold(address netip.Addr, w Withheld) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.router(address)
	r.withheld = w
	if r.session != nil {
		r.session.notify(Event{NextHops: true})
	}
}

// Stall makes all calls for the router at an address block until the returned function is called.
func (m *Memory) Stall(address netip.Addr) (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan struct{})
	m.router(address).stalled = c
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.router(address).stalled = nil
		close(c)
	}
}

// Routes are what the router at an address has learnt, sorted.
func (m *Memory) Routes(address netip.Addr) []netip.Prefix {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.router(address).routes), comparePrefixes)
}

// Learnt are the routes that the router at an address has learnt, sorted by prefix, with their attributes as given: a
// LocalPref or a Prepend also where the session is not of the kind that it is sent on.
func (m *Memory) Learnt(address netip.Addr) []Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Collect(maps.Values(m.router(address).routes))
	sortRoutes(all)
	return all
}

// Counts says how many routes the router at an address was sent or had withdrawn, and how often it was dialled.
func (m *Memory) Counts(address netip.Addr) (updates, dials int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.router(address)
	return r.updates, r.dials
}

// Open implements Engine.
func (m *Memory) Open(peer Peer, notify func(Event)) (Session, error) {
	m.wait(peer.Address)
	return &memorySession{engine: m, peer: peer, notify: notify, routes: map[netip.Prefix]Route{}}, nil
}

// wait blocks while the router is stalled.
func (m *Memory) wait(address netip.Addr) {
	m.mu.Lock()
	c := m.router(address).stalled
	m.mu.Unlock()
	if c != nil {
		<-c
	}
}

// memorySession is a session with a simulated router. Its engine's mutex guards it.
type memorySession struct {
	engine *Memory
	peer   Peer
	notify func(Event)
	routes map[netip.Prefix]Route
	state  State
	key    Password // that it was dialled with
}

func (s *memorySession) lock() (r *router, unlock func()) {
	s.engine.wait(s.peer.Address)
	s.engine.mu.Lock()
	return s.engine.router(s.peer.Address), s.engine.mu.Unlock
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
			r.updates++
		}
	}
	for p := range r.routes {
		if _, there := s.routes[p]; !there || s.held(r, p) {
			delete(r.routes, p)
			r.updates++
		}
	}
}

func (s *memorySession) held(r *router, p netip.Prefix) bool {
	if p.Addr().Is4() {
		return r.withheld.IPv4 != ""
	}
	return r.withheld.IPv6 != ""
}

func (s *memorySession) Dial(peer Peer) error {
	r, unlock := s.lock()
	defer unlock()
	if s.state != Idle {
		return errors.New("dialling twice")
	}
	if peer.session() != s.peer.session() {
		return fmt.Errorf("dialling another peer than was opened")
	}
	r.dials++
	r.session, s.state, s.key = s, Connect, peer.Password
	s.connect(r)
	return nil
}

// connect plays the TCP connection, and what follows if it comes about.
func (s *memorySession) connect(r *router) {
	if r.behaviour == Away || s.key != r.password {
		peer := s.peer
		peer.Password = s.key
		s.tell(Event{State: Connect, Reason: peer.NoAnswer()})
		return
	}
	s.converse(r)
}

// converse plays what follows a TCP connection.
func (s *memorySession) converse(r *router) {
	s.tell(Event{State: OpenSent})
	switch r.behaviour {
	case Refuses:
		s.tell(Event{State: Idle, Reason: "received NOTIFICATION: OPEN refused"})
	case Answers:
		s.tell(Event{State: OpenConfirm})
		s.send(r)
		s.tell(Event{State: Established, IPv4: true, IPv6: true})
	case Silent, Away: // nothing more
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
	s.state = Idle
}

func (s *memorySession) Close(keepRoutes bool) {
	r, unlock := s.lock()
	defer unlock()
	if keepRoutes && s.peer.RestartTime > 0 && r.session == s {
		r.session = nil
		return
	}
	s.drop(r)
}
