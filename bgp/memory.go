package bgp

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Memory is an Engine and a Liveness without a network, for tests and examples: it simulates the routers that are
// dialled and watched.
// A router answers at once unless told otherwise by Behave. The zero value is ready.
type Memory struct {
	mu      sync.Mutex
	routers map[netip.Addr]*router
	links   map[string]netip.Addr       // the router on each interface
	seekers map[*memorySession]struct{} // that are with whatever router is there
}

var (
	_ Engine   = (*Memory)(nil)
	_ Session  = (*memorySession)(nil)
	_ Liveness = (*Memory)(nil)
	_ Watch    = (*memoryWatch)(nil)
)

// Behaviour is how a simulated router treats who dials it.
type Behaviour int

// Behaviours of a router.
const (
	Answers Behaviour = iota // the session is Established at once
	Away                     // no connection; the session stays in Connect
	Silent                   // the connection stands, no OPEN comes; the session stays in OpenSent
	Refuses                  // a NOTIFICATION answers every OPEN
	Hangs                    // it says nothing more: an Established session ends with its hold time, and nobody answers
)

// router is what a simulated router knows.
type router struct {
	behaviour Behaviour
	password  Password
	asn       uint32 // 0: the one that it is expected to have
	sends     [2]int // routes, of either family
	watch     *memoryWatch
	suspended bool
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
// is one, for the given reason, and its routes; one that Hangs loses them later; one that Answers takes up a session
// that waits.
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
	case b == Hangs && s.state > Connect:
		time.AfterFunc(s.peer.HoldTime, func() { m.hung(r, s) })
	}
	if w := r.watch; w != nil && b == Hangs {
		time.AfterFunc(w.detection(), func() { m.unheard(r, w) })
	}
}

// hung ends a session whose hold time has passed.
func (m *Memory) hung(r *router, s *memorySession) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.behaviour == Hangs && r.session == s && s.state > Connect {
		clear(r.routes)
		s.tell(Event{State: Idle, Reason: "nothing was heard from the peer for the hold time"})
	}
}

// Attach puts the router at a link-local address on an interface, where peers with that interface find it at once. They
// leave another one that was there before. The zero address takes it away, for those that are dialled later.
func (m *Memory) Attach(iface string, address netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.links == nil {
		m.links = map[string]netip.Addr{}
	}
	m.links[iface] = address
	for s := range m.seekers {
		if s.peer.Interface != iface {
			continue
		}
		if s.state != Idle && s.address != address && address.IsValid() {
			clear(m.router(s.address).routes)
			s.tell(Event{State: Idle, Reason: fmt.Sprintf("the router on %s is %s now", iface, address)})
		}
		s.notify(Event{NextHops: true})
	}
}

// SetASN gives the router at an address an autonomous system number: it refuses who dials for another. 0 is whatever
// is dialled for.
func (m *Memory) SetASN(address netip.Addr, asn uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.router(address).asn = asn
}

// Send has the router at an address send so many routes, now and in later sessions.
func (m *Memory) Send(address netip.Addr, v4, v6 int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.router(address)
	r.sends = [2]int{v4, v6}
	if s := r.session; s != nil && s.state == Established {
		s.receive(r)
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
	address := m.find(peer)
	m.wait(address)
	s := &memorySession{
		engine: m, peer: peer, address: address, notify: notify, routes: map[netip.Prefix]Route{},
	}
	if peer.Interface != "" {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.seekers == nil {
			m.seekers = map[*memorySession]struct{}{}
		}
		m.seekers[s] = struct{}{}
	}
	return s, nil
}

// find is where a peer's router is. The zero value is that nobody knows.
func (m *Memory) find(p Peer) netip.Addr {
	if p.Interface == "" {
		return p.Address
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.links[p.Interface]
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
