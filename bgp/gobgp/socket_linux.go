package gobgp

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// GoBGP does not hand out its connections, so what it has no option for is done to the sockets of this process that are
// connected to the peer. Both functions are called by the goroutine that has the connection, which stands still.

// connect takes down that there is a connection, and sets its TTL if it is to a peer of any ASN; nothing has been said on
// it yet. GoBGP does that only for a peer whose ASN is known to be another before it is dialled.
func (l *line) connect() {
	l.connected.Store(true)
	if !l.peer.External || l.peer.TTLSecurity > 0 || l.peer.Interface != "" {
		return
	}
	level, option := syscall.IPPROTO_IP, syscall.IP_TTL
	if l.local.Remote.Is6() {
		level, option = syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS
	}
	l.sockets(func(fd int) { _ = syscall.SetsockoptInt(fd, level, option, int(max(l.peer.Multihop, 1))) })
}

// badPeerAS is a NOTIFICATION: marker, length, type, code and subcode (RFC 4271 sections 4.5 and 6.2).
var badPeerAS = append(bytes.Repeat([]byte{0xff}, 16), 0, 21,
	packet.BGP_MSG_NOTIFICATION, packet.BGP_ERROR_OPEN_MESSAGE_ERROR, packet.BGP_ERROR_SUB_BAD_PEER_AS)

// opened refuses a peer of any ASN that turns out to have ours. GoBGP would take it for an internal one.
func (l *line) opened(asn uint32) {
	if !l.peer.External || asn != l.peer.MyASN {
		return
	}
	l.refused.Store(true)
	l.sockets(func(fd int) {
		_, _ = syscall.Write(fd, badPeerAS)
		_ = syscall.Shutdown(fd, syscall.SHUT_WR) // nothing that GoBGP says goes out any more
	})
}

// sockets calls f for the connections to the peer.
func (l *line) sockets(f func(fd int)) {
	const dir = "/proc/self/fd"
	to := netip.AddrPortFrom(l.local.Remote, l.peer.Port)
	all, _ := os.ReadDir(dir)
	for _, entry := range all {
		if kind, _ := os.Readlink(filepath.Join(dir, entry.Name())); !strings.HasPrefix(kind, "socket:") {
			continue
		}
		if fd, err := strconv.Atoi(entry.Name()); err == nil && remote(fd) == to {
			f(fd)
		}
	}
}

// remote is where a connection goes; the zero value is that it is none.
func remote(fd int) netip.AddrPort {
	name, err := syscall.Getpeername(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	switch name := name.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *syscall.SockaddrInet6:
		a := netip.AddrFrom16(name.Addr).Unmap()
		if link, err := net.InterfaceByIndex(int(name.ZoneId)); err == nil && a.IsLinkLocalUnicast() {
			a = a.WithZone(link.Name)
		}
		return netip.AddrPortFrom(a, uint16(name.Port))
	}
	return netip.AddrPort{}
}
