package bfd

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Options are optional: the zero value is good.
type Options struct {
	// Logger gets what an operator should know; nil for silence.
	Logger *zap.Logger
	// Resume are the sessions that the process before this one suspended. Opening one of them continues it, so that
	// the neighbour sees no change, unless the neighbour has meanwhile waited for too long.
	Resume []Saved
}

// Manager owns the sockets and the sessions. Its methods are safe for concurrent use, but Open and Close must not be
// called from a function that is told of changes.
type Manager struct {
	log       *zap.Logger
	transport transport

	unknown, malformed atomic.Uint64

	// mu is taken with or without a Session's lock held; no Session's lock is taken while mu is held.
	mu        sync.RWMutex
	closed    bool
	sessions  map[uint32]*Session         // by their own discriminator
	remotes   map[netip.Addr][]*Session   // by neighbour
	listeners map[socketKey]*listener     // those that serve sessions
	leaving   map[socketKey]chan struct{} // those that still hold their port; closed when it is free
	saved     []Saved
}

type listener struct {
	io.Closer
	sessions int
	gone     chan struct{}
}

// Counters are of packets that belong to no session: such that are no BFD, and such that no session expects.
type Counters struct{ Malformed, Unknown uint64 }

func newManager(o Options, t transport) *Manager {
	m := &Manager{
		log:       o.Logger,
		transport: t,
		sessions:  map[uint32]*Session{},
		remotes:   map[netip.Addr][]*Session{},
		listeners: map[socketKey]*listener{},
		leaving:   map[socketKey]chan struct{}{},
		saved:     slices.Clone(o.Resume),
	}
	if m.log == nil {
		m.log = zap.NewNop()
	}
	return m
}

// Open begins to watch a neighbour, and opens the UDP port for it if no session has before. changed is told of every
// change of state, in order; it returns at once, may be called before Open returns, and may call the Session's
// methods. A session of Options.Resume begins Up, and changed is told so.
//
// The error names what is wrong with the configuration, or the port that another program holds.
func (m *Manager) Open(c Config, changed func(Status)) (*Session, error) {
	s, err := m.open(c, changed)
	if err != nil {
		return nil, fmt.Errorf("opening a BFD session with %v: %w", c.Remote, err)
	}
	s.mu.Lock()
	if !s.over {
		s.turn(time.Now())
	}
	s.mu.Unlock()
	s.tell()
	return s, nil
}

func (m *Manager) open(c Config, changed func(Status)) (*Session, error) {
	c, err := c.normalised()
	if err != nil {
		return nil, err
	}
	link := 0
	if c.Interface != "" {
		if link, err = m.transport.link(c.Interface); err != nil {
			return nil, fmt.Errorf("interface %q: %w", c.Interface, err)
		}
	}
	if err := m.lockFor(c); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	now := time.Now()
	saved, resumed := m.take(c, now)
	l, err := m.listen(c.socket())
	if err != nil {
		return nil, err
	}
	tx, err := m.transport.dial(c, saved.SourcePort)
	if err != nil {
		m.leave(c.socket())
		return nil, err
	}
	l.sessions++
	s := &Session{manager: m, config: c, link: link, sender: tx, changed: changed, known: Down,
		log: m.log.With(zap.Stringer("peer", c.Remote), zap.Bool("multihop", c.Multihop))}
	s.machine = newMachine(m.discriminator(saved, resumed), c.Parameters, rand.Float64, now)
	if resumed {
		s.machine.resume(saved, now)
	}
	s.timer = time.AfterFunc(time.Hour, s.fire)
	m.sessions[s.machine.local] = s
	m.remotes[c.Remote] = append(m.remotes[c.Remote], s)
	return s, nil
}

// lockFor takes the lock at a moment when nothing of an earlier session of the pair is in the way.
func (m *Manager) lockFor(c Config) error {
	for {
		m.mu.Lock()
		i := slices.IndexFunc(m.remotes[c.Remote], func(s *Session) bool {
			return s.config.Local == c.Local && s.config.Interface == c.Interface && s.config.Multihop == c.Multihop
		})
		leaving := m.leaving[c.socket()]
		switch {
		case m.closed:
			m.mu.Unlock()
			return net.ErrClosed
		case i >= 0:
			other := m.remotes[c.Remote][i]
			m.mu.Unlock()
			if !other.yield() {
				return fmt.Errorf("one from %v is open already", c.Local)
			}
		case leaving != nil:
			m.mu.Unlock()
			<-leaving
		default:
			return nil
		}
	}
}

// yield ends a session that is only still saying good-bye.
func (s *Session) yield() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.IsZero() && !s.over {
		return false
	}
	s.end()
	return true
}

// discriminator is a number that no session has. It is not to be guessed: knowing it is half of forging a packet.
func (m *Manager) discriminator(v Saved, resumed bool) uint32 {
	if resumed {
		return v.LocalDiscriminator
	}
	for {
		n := rand.Uint32()
		taken := slices.ContainsFunc(m.saved, func(v Saved) bool { return v.LocalDiscriminator == n })
		if n != 0 && m.sessions[n] == nil && !taken {
			return n
		}
	}
}

// listen has the port open.
func (m *Manager) listen(k socketKey) (*listener, error) {
	if l := m.listeners[k]; l != nil {
		return l, nil
	}
	l := &listener{gone: make(chan struct{})}
	conn, err := m.transport.listen(k, m.deliver, func() { m.left(k, l) })
	if err != nil {
		return nil, err
	}
	l.Closer = conn
	m.listeners[k] = l
	return l, nil
}

// leave closes a port that no session needs.
func (m *Manager) leave(k socketKey) {
	if l := m.listeners[k]; l != nil && l.sessions == 0 {
		delete(m.listeners, k)
		m.leaving[k] = l.gone
		_ = l.Close()
	}
}

// left is called when a port is free.
func (m *Manager) left(k socketKey, l *listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.leaving, k)
	close(l.gone)
}

// remove forgets a session.
func (m *Manager) remove(s *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, s.machine.local)
	rest := slices.DeleteFunc(m.remotes[s.config.Remote], func(o *Session) bool { return o == s })
	if len(rest) == 0 {
		delete(m.remotes, s.config.Remote)
	} else {
		m.remotes[s.config.Remote] = rest
	}
	if l := m.listeners[s.config.socket()]; l != nil {
		l.sessions--
		m.leave(s.config.socket())
	}
}

// Counters counts the packets that belong to no session.
func (m *Manager) Counters() Counters {
	return Counters{Malformed: m.malformed.Load(), Unknown: m.unknown.Load()}
}

// Close tells every neighbour once that its session is administratively down, and closes the ports. It returns when
// they are free.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	sessions := slices.Collect(maps.Values(m.sessions))
	m.mu.Unlock()
	for _, s := range sessions {
		s.Close()
		s.yield()
	}
	m.mu.Lock()
	leaving := slices.Collect(maps.Values(m.leaving))
	m.mu.Unlock()
	for _, gone := range leaving {
		<-gone
	}
}
