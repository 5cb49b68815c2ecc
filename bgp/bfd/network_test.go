package bfd

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// network joins hosts: what one sends arrives at the other after a delay, unless it is lost.
type network struct {
	mu    sync.Mutex
	hosts map[netip.Addr]*host
	delay time.Duration
	lose  func(from netip.Addr, p Packet) bool
	hops  int
	wire  []sight
}

// sight is a packet that was sent, arrived or not.
type sight struct {
	at   time.Time
	from netip.Addr
	Packet
}

// host is a transport.
type host struct {
	net       *network
	listeners map[socketKey]chan arrival
	stall     atomic.Pointer[func()] // in which this host's process hangs when it next sends
	busy      error                  // why no port can be opened
	ports     uint16
}

var _ transport = (*host)(nil)

func newNetwork() *network {
	return &network{hosts: map[netip.Addr]*host{}, delay: time.Millisecond}
}

func (n *network) host(addresses ...string) *host {
	h := &host{net: n, listeners: map[socketKey]chan arrival{}}
	for _, a := range addresses {
		n.hosts[netip.MustParseAddr(a)] = h
	}
	return h
}

// packets are those that an address has sent since a moment.
func (n *network) packets(from string, since time.Time) []sight {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []sight
	for _, s := range n.wire {
		if s.from == netip.MustParseAddr(from) && !s.at.Before(since) {
			all = append(all, s)
		}
	}
	return all
}

// losing loses what it is told to; nil: nothing.
func (n *network) losing(lose func(from netip.Addr, p Packet) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = lose
}

// cut loses what these addresses send; none: nothing is lost.
func (n *network) cut(from ...string) {
	n.losing(func(a netip.Addr, _ Packet) bool { return slices.Contains(from, a.String()) })
}

// far puts routers between the hosts.
func (n *network) far(hops int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hops = hops
}

func (n *network) send(c Config, p Packet, payload []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wire = append(n.wire, sight{time.Now(), c.Local, p})
	if n.lose != nil && n.lose(c.Local, p) {
		return
	}
	if h := n.hosts[c.Remote]; h != nil && h.listeners[c.socket()] != nil {
		h.listeners[c.socket()] <- arrival{time.Now().Add(n.delay), datagram{socket: c.socket(), from: c.Local, to: c.Remote,
			link: 1, ttl: 255 - n.hops, payload: payload}}
	}
}

// arrival is a datagram on its way. What is sent first arrives first.
type arrival struct {
	at time.Time
	datagram
}

func (h *host) link(name string) (int, error) {
	if name == "eth0" {
		return 1, nil
	}
	if name == "eth1" {
		return 2, nil
	}
	return 0, errors.New("no such network interface")
}

type closer func()

func (c closer) Close() error { c(); return nil }

func (h *host) listen(k socketKey, deliver func(datagram), gone func()) (io.Closer, error) {
	if h.busy != nil {
		return nil, h.busy
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.listeners[k] != nil {
		return nil, errors.New("address already in use")
	}
	coming := make(chan arrival, 1000)
	h.listeners[k] = coming
	go func() {
		defer gone()
		for a := range coming {
			time.Sleep(time.Until(a.at))
			deliver(a.datagram)
		}
	}()
	return closer(func() {
		h.net.mu.Lock()
		defer h.net.mu.Unlock()
		delete(h.listeners, k)
		close(coming)
	}), nil
}

func (h *host) dial(c Config, sourcePort uint16) (sender, error) {
	if sourcePort == 0 {
		h.ports++
		sourcePort = 49151 + h.ports
	}
	return &line{h, c, sourcePort}, nil
}

type line struct {
	host   *host
	config Config
	source uint16
}

func (l *line) send(payload []byte) error {
	p, err := Parse(payload)
	if err != nil {
		return err
	}
	if stall := l.host.stall.Swap(nil); stall != nil {
		(*stall)()
	}
	l.host.net.send(l.config, p, append([]byte(nil), payload...))
	return nil
}

func (l *line) port() uint16 { return l.source }
func (l *line) Close() error { return nil }

// end is one end of a session, with all that it was told.
type end struct {
	*Session
	manager *Manager
	mu      sync.Mutex
	told    []Status
}

func (e *end) changes() []State {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []State
	for _, s := range e.told {
		all = append(all, s.State)
	}
	return all
}

func (e *end) dead() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, s := range e.told {
		if s.Dead {
			n++
		}
	}
	return n
}

func (e *end) is(t *testing.T, want State) {
	t.Helper()
	if s := e.Status(); s.State != want {
		t.Fatalf("%v is %v (%v), want %v", e.config.Local, s.State, s.Diagnostic, want)
	}
}

func open(t *testing.T, m *Manager, local, remote string, change ...func(*Config)) *end {
	t.Helper()
	e := &end{manager: m}
	c := Config{Local: netip.MustParseAddr(local), Remote: netip.MustParseAddr(remote)}
	for _, f := range change {
		f(&c)
	}
	s, err := m.Open(c, func(s Status) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.told = append(e.told, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Session = s
	return e
}

const (
	hostA = "192.0.2.1"
	hostB = "192.0.2.2"
)

// pair runs a test with two ends, a millisecond apart, in a bubble of time.
func pair(t *testing.T, change func(a, b *Config), test func(t *testing.T, n *network, a, b *end)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ma, mb := newManager(Options{}, n.host(hostA)), newManager(Options{}, n.host(hostB))
		defer ma.Close()
		defer mb.Close()
		var ca, cb Config
		if change != nil {
			change(&ca, &cb)
		}
		with := func(c Config) func(*Config) {
			return func(to *Config) { to.Parameters, to.Multihop, to.Interface = c.Parameters, c.Multihop, c.Interface }
		}
		a := open(t, ma, hostA, hostB, with(ca))
		b := open(t, mb, hostB, hostA, with(cb))
		test(t, n, a, b)
	})
}

// upPair is a pair that is Up and has negotiated its intervals.
func upPair(t *testing.T, change func(a, b *Config), test func(t *testing.T, n *network, a, b *end)) {
	t.Helper()
	pair(t, change, func(t *testing.T, n *network, a, b *end) {
		time.Sleep(5 * time.Second)
		a.is(t, Up)
		b.is(t, Up)
		if !a.Status().Negotiated || !b.Status().Negotiated {
			t.Fatal("a Poll Sequence goes unanswered")
		}
		test(t, n, a, b)
	})
}
