package members

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// Network is how speakers reach each other: TCP and UDP on one port. memberstest has a simulated one.
type Network interface {
	// ListenTCP and ListenUDP open the port for others. Errors are those of package net: errors.Is says whether the
	// port is in use (syscall.EADDRINUSE).
	ListenTCP(at netip.AddrPort) (net.Listener, error)
	ListenUDP(at netip.AddrPort) (net.PacketConn, error)
	// DialTCP connects from one address to another, within the time.
	DialTCP(from netip.Addr, to netip.AddrPort, within time.Duration) (net.Conn, error)
}

// host is the machine's network.
type host struct{}

func (host) ListenTCP(at netip.AddrPort) (net.Listener, error) {
	return net.Listen("tcp", at.String())
}

func (host) ListenUDP(at netip.AddrPort) (net.PacketConn, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(1 << 20) // as much as the machine allows; it works with less
	return conn, nil
}

func (host) DialTCP(from netip.Addr, to netip.AddrPort, within time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: within, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	return d.DialContext(context.Background(), "tcp", to.String())
}

// ErrPortInUse says that another process has the port. It is wrapped in the error that names it.
var ErrPortInUse = errors.New("the port is in use by another process")

// traffic counts bytes.
type traffic struct{ udpSent, udpReceived, tcpSent, tcpReceived atomic.Uint64 }

// transport is memberlist's way to a Network. It sees from where something comes, and whether it could be sent.
type transport struct {
	network Network
	at      netip.AddrPort
	traffic *traffic
	heard   func(from netip.Addr, connection bool)
	dialled func(to netip.AddrPort, result error) // a connection has come about, or not

	tcp     net.Listener
	udp     net.PacketConn
	packets chan *memberlist.Packet
	streams chan net.Conn
	stop    chan struct{}
	once    sync.Once
	done    sync.WaitGroup
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// listen opens the port. The error names it, and wraps ErrPortInUse where that is so.
func (t *transport) listen() error {
	t.packets, t.streams, t.stop = make(chan *memberlist.Packet), make(chan net.Conn), make(chan struct{})
	var err error
	if t.tcp, err = t.network.ListenTCP(t.at); err != nil {
		return portError("TCP", t.at, err)
	}
	if t.udp, err = t.network.ListenUDP(t.at); err != nil {
		_ = t.tcp.Close()
		return portError("UDP", t.at, err)
	}
	t.done.Go(t.accept)
	t.done.Go(t.receive)
	return nil
}

func portError(protocol string, at netip.AddrPort, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		err = ErrPortInUse
	}
	return fmt.Errorf("listening on %s port %d of %s: %w", protocol, at.Port(), at.Addr(), err)
}

func (t *transport) accept() {
	for {
		conn, err := t.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-t.stop:
				return
			case <-time.After(100 * time.Millisecond): // out of file descriptors, or a connection that broke at once
				continue
			}
		}
		if from, ok := addrPort(conn.RemoteAddr()); ok {
			t.heard(from.Addr(), true)
		}
		select {
		case t.streams <- counted{conn, t.traffic}:
		case <-t.stop:
			_ = conn.Close()
		}
	}
}

func (t *transport) receive() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := t.udp.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n == 0 {
			continue
		}
		t.traffic.udpReceived.Add(uint64(n))
		if from, ok := addrPort(from); ok {
			t.heard(from.Addr(), false)
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buffer[:n]...), From: from, Timestamp: time.Now()}
		select {
		case t.packets <- p:
		case <-t.stop:
			return
		}
	}
}

// FinalAdvertiseAddr is the own address, whatever memberlist makes of it.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.at.Addr().AsSlice(), int(t.at.Port()), nil
}

// WriteToAddress sends a packet.
func (t *transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	addr, err := netip.ParseAddrPort(to.Addr)
	if err != nil {
		return time.Time{}, err
	}
	n, err := t.udp.WriteTo(b, net.UDPAddrFromAddrPort(addr))
	t.traffic.udpSent.Add(uint64(n))
	return time.Now(), err
}

// WriteTo sends a packet.
func (t *transport) WriteTo(b []byte, to string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: to})
}

// DialAddressTimeout connects to a speaker.
func (t *transport) DialAddressTimeout(to memberlist.Address, within time.Duration) (net.Conn, error) {
	addr, err := netip.ParseAddrPort(to.Addr)
	if err != nil {
		return nil, err
	}
	conn, err := t.network.DialTCP(t.at.Addr(), addr, within)
	t.dialled(addr, err)
	if err != nil {
		return nil, err
	}
	return counted{conn, t.traffic}, nil
}

// DialTimeout connects to a speaker.
func (t *transport) DialTimeout(to string, within time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: to}, within)
}

// PacketCh and StreamCh are what has come.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh is PacketCh's twin for connections.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown closes the port. It may be called twice.
func (t *transport) Shutdown() error {
	t.once.Do(func() { close(t.stop) })
	err := errors.Join(t.tcp.Close(), t.udp.Close())
	t.done.Wait()
	return err
}

// counted is a connection whose bytes are counted.
type counted struct {
	net.Conn
	traffic *traffic
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.traffic.tcpReceived.Add(uint64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.traffic.tcpSent.Add(uint64(n))
	return n, err
}

// addrPort is an address of package net as a value.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	if a == nil {
		return netip.AddrPort{}, false
	}
	if u, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		p := u.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), true
	}
	p, err := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), err == nil
}
