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
)

// socketKey says what a socket is for: ARP or neighbour discovery on an interface.
type socketKey struct {
	link int
	v6   bool
}

// socket is an open packet socket. Its interface's MAC address plays no part in it, nor does the name.
type socket struct {
	key    socketKey
	conn   *packet.Conn
	raw    syscall.RawConn
	addrs  []netip.Addr // that the filter lets through
	broken atomic.Bool  // it does not receive any more
}

func openSocket(key socketKey, addrs []netip.Addr) (*socket, error) {
	protocol := unix.ETH_P_ARP
	if key.v6 {
		protocol = unix.ETH_P_IPV6
	}
	s := &socket{key: key}
	none := []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}} // until the filter is set
	conn, err := packet.Listen(&net.Interface{Index: key.link}, packet.Raw, protocol, &packet.Config{Filter: none})
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

// filter has the socket receive requests for the addresses.
func (s *socket) filter(addrs []netip.Addr) error {
	if slices.Equal(addrs, s.addrs) {
		return nil
	}
	program := arpFilter(addrs)
	if s.key.v6 {
		program = nsFilter(addrs)
	}
	raw, err := bpf.Assemble(program)
	if err == nil {
		err = s.conn.SetBPF(raw)
	}
	if err != nil {
		return fmt.Errorf("setting a packet filter: %w", err)
	}
	s.addrs = addrs
	return nil
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
