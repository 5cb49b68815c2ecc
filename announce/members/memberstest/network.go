// Package memberstest is a simulated network for testing what uses members: it loses what a test wants lost, and its
// time is that of testing/synctest.
package memberstest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/kontena/network-lb/announce/members"
)

// Protocol is what a packet belongs to.
type Protocol string

// The protocols.
const (
	TCP Protocol = "TCP"
	UDP Protocol = "UDP"
)

// Filter decides whether the network carries what is sent.
type Filter func(p Protocol, from, to netip.Addr) bool

// Network connects everybody with everybody. The zero value is ready to use.
type Network struct {
	mu      sync.Mutex
	filter  Filter
	tcp     map[netip.AddrPort]*listener
	udp     map[netip.AddrPort]*packets
	packets int
	bytes   int
}

var _ members.Network = (*Network)(nil)

// Carry has the network carry only what the filter lets through; nil carries everything. A connection over which
// something is lost stalls.
func (n *Network) Carry(f Filter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.filter = f
}

// Losing is a filter that loses a share of the packets, from 0 to 1. TCP makes up for that.
func Losing(share float64) Filter {
	return func(p Protocol, _, _ netip.Addr) bool { return p == TCP || rand.Float64() >= share }
}

// Parted is a filter between one side of a network and the other.
func Parted(side ...netip.Addr) Filter {
	in := map[netip.Addr]bool{}
	for _, a := range side {
		in[a] = true
	}
	return func(_ Protocol, from, to netip.Addr) bool { return in[from] == in[to] }
}

// Sent counts the packets of UDP since the last call, and their bytes.
func (n *Network) Sent() (count, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	count, bytes, n.packets, n.bytes = n.packets, n.bytes, 0, 0
	return count, bytes
}

func (n *Network) carries(p Protocol, from, to netip.Addr) bool {
	n.mu.Lock()
	f := n.filter
	n.mu.Unlock()
	return f == nil || f(p, from, to)
}

func inUse(protocol string, at net.Addr) error {
	return &net.OpError{Op: "listen", Net: protocol, Addr: at, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
}

// ListenTCP opens a port.
func (n *Network) ListenTCP(at netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tcp == nil {
		n.tcp, n.udp = map[netip.AddrPort]*listener{}, map[netip.AddrPort]*packets{}
	}
	if n.tcp[at] != nil {
		return nil, inUse("tcp", net.TCPAddrFromAddrPort(at))
	}
	l := &listener{network: n, at: at, accept: make(chan net.Conn), closed: make(chan struct{})}
	n.tcp[at] = l
	return l, nil
}

// ListenUDP opens a port.
func (n *Network) ListenUDP(at netip.AddrPort) (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.udp == nil {
		n.tcp, n.udp = map[netip.AddrPort]*listener{}, map[netip.AddrPort]*packets{}
	}
	if n.udp[at] != nil {
		return nil, inUse("udp", net.UDPAddrFromAddrPort(at))
	}
	c := &packets{network: n, at: at, queue: make(chan packet, 1024), closed: make(chan struct{})}
	n.udp[at] = c
	return c, nil
}

// DialTCP connects.
func (n *Network) DialTCP(from netip.Addr, to netip.AddrPort, within time.Duration) (net.Conn, error) {
	local, remote := netip.AddrPortFrom(from, uint16(20000+rand.IntN(40000))), to
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	timeout := time.After(within)
	if !n.carries(TCP, from, to.Addr()) || !n.carries(TCP, to.Addr(), from) {
		<-timeout
		return nil, fail(os.ErrDeadlineExceeded)
	}
	n.mu.Lock()
	l := n.tcp[to]
	n.mu.Unlock()
	if l == nil {
		return nil, fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	near, far := net.Pipe()
	select {
	case l.accept <- stream{far, n, remote, local}:
		return stream{near, n, local, remote}, nil
	case <-l.closed:
		return nil, fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case <-timeout:
		return nil, fail(os.ErrDeadlineExceeded)
	}
}

// listener is an open port of TCP.
type listener struct {
	network *Network
	at      netip.AddrPort
	accept  chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.tcp, l.at)
		close(l.closed)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

// stream is one end of a connection.
type stream struct {
	net.Conn
	network       *Network
	local, remote netip.AddrPort
}

// Write loses what the network does not carry.
func (s stream) Write(b []byte) (int, error) {
	if !s.network.carries(TCP, s.local.Addr(), s.remote.Addr()) {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s stream) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(s.local) }
func (s stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// packets is an open port of UDP.
type packets struct {
	network *Network
	at      netip.AddrPort
	queue   chan packet
	once    sync.Once
	closed  chan struct{}
}

type packet struct {
	from netip.AddrPort
	b    []byte
}

func (c *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-c.queue:
		return copy(b, p.b), net.UDPAddrFromAddrPort(p.from), nil
	case <-c.closed:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo never waits: who does not read fast enough loses.
func (c *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	dest := to.(*net.UDPAddr).AddrPort()
	n := c.network
	carried := n.carries(UDP, c.at.Addr(), dest.Addr())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.packets, n.bytes = n.packets+1, n.bytes+len(b)
	if other := n.udp[dest]; other != nil && carried {
		select {
		case other.queue <- packet{c.at, append([]byte(nil), b...)}:
		default:
		}
	}
	return len(b), nil
}

func (c *packets) Close() error {
	c.once.Do(func() {
		c.network.mu.Lock()
		defer c.network.mu.Unlock()
		delete(c.network.udp, c.at)
		close(c.closed)
	})
	return nil
}

func (c *packets) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(c.at) }
func (c *packets) SetDeadline(time.Time) error      { return nil }
func (c *packets) SetReadDeadline(time.Time) error  { return nil }
func (c *packets) SetWriteDeadline(time.Time) error { return nil }

// Clocks are those of a machine that can stand still. The zero value is ready to use.
type Clocks struct {
	mu     sync.Mutex
	begin  time.Time
	lapses time.Duration
}

// Stall has the machine seem to have been suspended for so long.
func (c *Clocks) Stall(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lapses += d
}

// Read reads the clocks.
func (c *Clocks) Read() members.Clocks {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.begin.IsZero() {
		c.begin = now
	}
	d := now.Sub(c.begin)
	return members.Clocks{Monotonic: d, Boot: d + c.lapses, Wall: d + c.lapses}
}
