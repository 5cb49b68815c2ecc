package bfd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listen makes a Manager on this node's UDP. Sockets are opened as sessions need them, in the network namespace of the
// thread that calls Open.
func Listen(o Options) *Manager { return newManager(o, kernel{}) }

// kernel is the transport of this node.
type kernel struct{}

func (kernel) link(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return i.Index, nil
}

func (kernel) listen(k socketKey, deliver func(datagram), gone func()) (io.Closer, error) {
	network := "udp4"
	if k.v6 {
		network = "udp6"
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return control(raw, askForTTL(k.v6)) }}
	conn, err := lc.ListenPacket(context.Background(), network, net.JoinHostPort("", strconv.Itoa(int(k.port()))))
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("UDP port %d: %w: another BFD daemon of this node may hold it (FRR's bfdd, BIRD, or another BGP speaker of the cluster); stop it, or find it by: ss -lunp sport = :%d",
			k.port(), unix.EADDRINUSE, k.port())
	}
	if err != nil {
		return nil, fmt.Errorf("UDP port %d: %w", k.port(), err)
	}
	udp := conn.(*net.UDPConn)
	go func() {
		defer gone()
		read(udp, k, deliver)
	}()
	return udp, nil
}

// option is a socket option of type int.
type option struct{ level, name, value int }

func askForTTL(v6 bool) []option {
	if v6 {
		return []option{{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}}
	}
	return []option{{unix.IPPROTO_IP, unix.IP_RECVTTL, 1}, {unix.IPPROTO_IP, unix.IP_PKTINFO, 1}}
}

func control(raw syscall.RawConn, options []option) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = setOptions(int(fd), options) })
	return errors.Join(err, failed)
}

func setOptions(fd int, options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("setting socket option %d of level %d: %w", o.name, o.level, err)
		}
	}
	return nil
}

// read takes datagrams in until the socket is closed.
func read(conn *net.UDPConn, k socketKey, deliver func(datagram)) {
	payload, oob := make([]byte, 512), make([]byte, 256)
	for {
		n, oobn, _, from, err := conn.ReadMsgUDPAddrPort(payload, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // the kernel is short of memory; nobody is dead before his time
			continue
		}
		d := datagram{socket: k, from: from.Addr().Unmap().WithZone(""), payload: payload[:n]}
		if d.annotate(oob[:oobn]) {
			deliver(d)
		}
	}
}

// annotate reads the control messages: where the datagram came in, to which address, and with what TTL.
func (d *datagram) annotate(oob []byte) bool {
	d.ttl = -1
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return false
		}
		oob = rest
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL && len(data) >= 4,
			h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			d.ttl = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			d.link = int(binary.NativeEndian.Uint32(data)) // struct in_pktinfo: interface, local address, destination
			d.to = netip.AddrFrom4([4]byte(data[8:12]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			d.to = netip.AddrFrom16([16]byte(data[:16])) // struct in6_pktinfo: destination, interface
			d.link = int(binary.NativeEndian.Uint32(data[16:]))
		}
	}
	return d.ttl >= 0 && d.to.IsValid()
}

// firstSourcePort begins the range of RFC 5881 section 4, which ends with the last port.
const firstSourcePort = 49152

func (kernel) dial(c Config, sourcePort uint16) (sender, error) {
	fd, err := openSender(c)
	if err != nil {
		return nil, fmt.Errorf("sending from %v: %w", c.Local, err)
	}
	s := &udpSender{fd: fd}
	if err := s.connect(c, sourcePort); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// openSender makes a socket with TTL 255 and DSCP CS6, on the neighbour's interface.
func openSender(c Config) (int, error) {
	family := unix.AF_INET
	options := []option{{unix.IPPROTO_IP, unix.IP_TTL, 255}, {unix.IPPROTO_IP, unix.IP_TOS, 0xc0}}
	if c.Local.Is6() {
		family = unix.AF_INET6
		options = []option{{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255}, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xc0},
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}}
	}
	// What comes to the source port is for nobody.
	options = append(options, option{unix.SOL_SOCKET, unix.SO_RCVBUF, 0})
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, err
	}
	err = setOptions(fd, options)
	if err == nil && c.Interface != "" {
		// Before Linux 5.7 this needs CAP_NET_RAW; the route leads to the same interface as a rule.
		if err = unix.BindToDevice(fd, c.Interface); errors.Is(err, unix.EPERM) {
			err = nil
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// udpSender sends without ever waiting: a packet that has to wait is not worth sending.
type udpSender struct {
	fd     int
	source uint16
}

// connect binds to the local address and a port, and connects to the neighbour's, so that ICMP errors are heard of.
func (s *udpSender) connect(c Config, sourcePort uint16) error {
	zone := 0
	if c.Interface != "" {
		link, err := kernel{}.link(c.Interface)
		if err != nil {
			return fmt.Errorf("interface %q: %w", c.Interface, err)
		}
		zone = link
	}
	if err := s.bind(c.Local, zone, sourcePort); err != nil {
		return fmt.Errorf("sending from %v: %w", c.Local, err)
	}
	if err := unix.Connect(s.fd, sockaddr(c.Remote, zone, c.socket().port())); err != nil {
		return fmt.Errorf("sending to %v: %w", c.Remote, err)
	}
	return nil
}

func (s *udpSender) bind(local netip.Addr, zone int, port uint16) error {
	var err error
	for range 100 {
		if port < firstSourcePort {
			port = firstSourcePort + uint16(rand.N(1<<16-firstSourcePort))
		}
		if err = unix.Bind(s.fd, sockaddr(local, zone, port)); !errors.Is(err, unix.EADDRINUSE) {
			s.source = port
			return err
		}
		port = 0
	}
	return fmt.Errorf("a source port from %d on: %w", firstSourcePort, err)
}

func sockaddr(a netip.Addr, zone int, port uint16) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: int(port)}
	}
	sa := &unix.SockaddrInet6{Addr: a.As16(), Port: int(port)}
	if a.IsLinkLocalUnicast() {
		sa.ZoneId = uint32(zone)
	}
	return sa
}

// send writes a packet. The ICMP error that an earlier one caused comes in place of sending, so that it is tried again.
func (s *udpSender) send(payload []byte) error {
	_, err := unix.Write(s.fd, payload)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) {
		_, err = unix.Write(s.fd, payload)
	}
	return err
}

func (s *udpSender) port() uint16 { return s.source }

func (s *udpSender) Close() error { return unix.Close(s.fd) }
