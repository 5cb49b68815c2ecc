package gobgp

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/kontena/network-lb/bgp"
)

// follow gives up a line that goes nowhere any more: to a router that is somewhere else now, from an address that we have
// no longer, or over an interface in whose place there is another one of that name. A lookup that failed says nothing.
func (s *session) follow() {
	if s.lookup != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil {
		return
	}
	why := s.line.detoured
	if s.peer.Interface != "" {
		why = s.line.strayed
	}
	if reason := why(s.local); reason != "" {
		s.notify(bgp.Event{State: bgp.Idle, Reason: reason})
	}
}

// strayed says why the line of an unnumbered peer goes nowhere; "" is that it does not.
func (l *line) strayed(is bgp.Local) string {
	switch on := l.peer.Interface; {
	case is.Remote != l.local.Remote:
		return fmt.Sprintf("the router on %s is %s now", on, is.Remote)
	case is.Source != l.local.Source:
		return fmt.Sprintf("our address on %s is %s now", on, is.Source)
	case numbered(is.Remote) != l.api.Conf.NeighborAddress:
		return fmt.Sprintf("interface %s is another one of that name now", on)
	}
	return ""
}

// detoured says why the line of a numbered peer should be dialled anew; "" is that it should not. GoBGP goes on connecting
// from the address that it was given first. Once there is a connection, TCP keeps its addresses, and shows by itself
// whether they still serve.
func (l *line) detoured(is bgp.Local) string {
	was := l.local
	switch {
	case l.connected.Load():
	case is.Source != was.Source:
		return fmt.Sprintf("our address towards %s is %s now, and was %s", is.Remote, ours(is.Source), ours(was.Source))
	case is.Interface != was.Interface:
		return fmt.Sprintf("the way to %s is by interface %s now, and was by %s", is.Remote, is.Interface, was.Interface)
	case is.Multihop && !was.Multihop:
		return fmt.Sprintf("%s is behind a gateway now", is.Remote)
	case is.Multihop != was.Multihop:
		return fmt.Sprintf("%s is directly connected now", is.Remote)
	}
	return ""
}

// ours names an address of ours in words.
func ours(source netip.Addr) string {
	if !source.IsValid() {
		return "the kernel's choice"
	}
	return source.String()
}

// numbered writes an address with its zone as a number. Package net remembers the number of a name for a minute, and
// dials into an interface that is long gone if there is another one of that name now. Of a number it remembers nothing.
func numbered(a netip.Addr) string {
	if a.Zone() == "" {
		return a.String()
	}
	if link, err := net.InterfaceByName(a.Zone()); err == nil {
		a = a.WithZone(strconv.Itoa(link.Index))
	}
	return a.String()
}
