package gobgp

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// prepare sets the TTL of a connection that has just been made to a peer of any ASN. GoBGP does it only for a peer
// whose ASN is known to be another before it is dialled. Nothing has been said on the connection yet.
func (l *line) prepare() {
	p := l.peer
	if !p.External || p.TTLSecurity > 0 || p.Interface != "" {
		return
	}
	setTTL(netip.AddrPortFrom(l.local.Remote, p.Port), int(max(p.Multihop, 1)))
}

// setTTL sets the TTL of this process's connections to an address. There is no other way to find them: GoBGP does not
// hand them out.
func setTTL(to netip.AddrPort, ttl int) {
	const dir = "/proc/self/fd"
	all, _ := os.ReadDir(dir)
	for _, entry := range all {
		if kind, _ := os.Readlink(filepath.Join(dir, entry.Name())); !strings.HasPrefix(kind, "socket:") {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || remote(fd) != to {
			continue
		}
		if to.Addr().Is4() {
			_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_TTL, ttl)
		} else {
			_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, ttl)
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
