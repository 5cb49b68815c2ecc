package rawsock

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// groups are an interface's memberships in solicited-node groups. Without one, switches that snoop MLD and some
// drivers let no solicitation through. A socket that only holds memberships receives nothing, needs no address on
// the interface and no capability; the kernel limits how many one can hold, so there may be several.
type groups struct {
	link    int
	addrs   []netip.Addr // whose groups are all joined
	sockets []int
	member  map[netip.Addr]int // group → the socket that holds it
}

func newGroups(link int) *groups {
	return &groups{link: link, member: map[netip.Addr]int{}}
}

// set joins and leaves groups so that they are those of addrs. What fails is tried again by the next call.
func (g *groups) set(addrs []netip.Addr) error {
	if slices.Equal(addrs, g.addrs) {
		return nil
	}
	g.addrs = nil
	want := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		group, err := ndp.SolicitedNodeMulticast(a)
		if err != nil {
			return err
		}
		want[group] = true
	}
	for group, socket := range g.member {
		if !want[group] {
			_ = unix.SetsockoptIPv6Mreq(socket, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, g.mreq(group))
			delete(g.member, group)
		}
	}
	for group := range want {
		if _, ok := g.member[group]; ok {
			continue
		}
		if err := g.join(group); err != nil {
			return fmt.Errorf("joining group %v: %w", group, err)
		}
	}
	g.addrs = addrs
	return nil
}

// join uses the newest socket, and a new one when that is full.
func (g *groups) join(group netip.Addr) error {
	err := error(unix.ENOMEM)
	if n := len(g.sockets); n > 0 {
		err = g.joinOn(g.sockets[n-1], group)
	}
	if !errors.Is(err, unix.ENOMEM) {
		return err
	}
	socket, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := g.joinOn(socket, group); err != nil {
		_ = unix.Close(socket)
		return err
	}
	g.sockets = append(g.sockets, socket)
	return nil
}

func (g *groups) joinOn(socket int, group netip.Addr) error {
	err := unix.SetsockoptIPv6Mreq(socket, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, g.mreq(group))
	if err == nil {
		g.member[group] = socket
	}
	return err
}

func (g *groups) mreq(group netip.Addr) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.link)}
}

// close leaves all groups.
func (g *groups) close() {
	for _, socket := range g.sockets {
		_ = unix.Close(socket)
	}
	g.sockets = nil
	clear(g.member)
}
