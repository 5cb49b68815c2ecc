package rawsock

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/kontena/network-lb/layer2"
)

// purpose is what a socket is for.
type purpose uint8

const (
	forARP purpose = iota
	forNDP
	forEcho4
	forEcho6
)

// purposes say what the sockets of each listen to.
var purposes = [...]struct {
	protocol int
	filter   func(addrs []netip.Addr) []bpf.Instruction
}{
	forARP:   {unix.ETH_P_ARP, arpFilter},
	forNDP:   {unix.ETH_P_IPV6, ndpFilter},
	forEcho4: {unix.ETH_P_IP, echo4Filter},
	forEcho6: {unix.ETH_P_IPV6, echo6Filter},
}

// purposeOf is which socket a frame is sent by.
func purposeOf(f layer2.Frame) purpose {
	switch v6 := f.Target.IP.Is6(); {
	case f.Kind == layer2.EchoRequest || f.Kind == layer2.EchoReply:
		if v6 {
			return forEcho6
		}
		return forEcho4
	case v6:
		return forNDP
	}
	return forARP
}

// socketKey says what a socket is for, and on which interface.
type socketKey struct {
	link int
	purpose
}

// socket is an open packet socket. Its interface's MAC address plays no part in it, nor does the name.
type socket struct {
	key     socketKey
	conn    *packet.Conn
	raw     syscall.RawConn
	addrs   []netip.Addr // that the filter lets through
	broken  atomic.Bool  // it does not receive any more
	dropped uint64       // frames that found no room in it; under the transport's lock
}

func openSocket(key socketKey, addrs []netip.Addr) (*socket, error) {
	s := &socket{key: key}
	none := []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}} // until the filter is set
	config := &packet.Config{Filter: none}
	conn, err := packet.Listen(&net.Interface{Index: key.link}, packet.Raw, purposes[key.purpose].protocol, config)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	s.conn = conn
	if s.raw, err = conn.SyscallConn(); err == nil {
		err = s.filter(addrs)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// filter has the socket receive what is about the addresses.
func (s *socket) filter(addrs []netip.Addr) error {
	if slices.Equal(addrs, s.addrs) {
		return nil
	}
	raw, err := bpf.Assemble(purposes[s.key.purpose].filter(addrs))
	if err == nil {
		err = s.conn.SetBPF(raw)
	}
	if err != nil {
		return fmt.Errorf("setting a packet filter: %w", err)
	}
	s.addrs = addrs
	return nil
}

// drops is how many frames found no room in the socket so far. The kernel counts anew after each look.
func (s *socket) drops() uint64 {
	if stats, err := s.conn.Stats(); err == nil {
		s.dropped += uint64(stats.Drops)
	}
	return s.dropped
}

// send writes a frame to the wire, or fails at once.
func (s *socket) send(b []byte) error {
	var failed error
	err := s.raw.Write(func(fd uintptr) bool {
		_, failed = unix.Write(int(fd), b)
		return true // also for EAGAIN: a frame that has to wait is not worth sending
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("sending from interface %d: %w", s.key.link, err)
	}
	return nil
}

// close ends the reading at once. The kernel takes its time to close a packet socket, and nobody waits for it.
func (s *socket) close() { go s.conn.Close() }
