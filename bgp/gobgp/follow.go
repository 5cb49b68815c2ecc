package gobgp

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/kontena/network-lb/bgp"
)

// follow gives up a line that goes nowhere any more: to a router that is somewhere else now, from an address that we have
// no longer, or over an interface in whose place there is another one of that name. Only those of an unnumbered peer can
// be all that; a lookup that failed says nothing.
func (s *session) follow() {
	if s.peer.Interface == "" || s.lookup != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil {
		return
	}
	was, is := s.line, s.local
	var reason string
	switch {
	case is.Remote != was.local.Remote:
		reason = fmt.Sprintf("the router on %s is %s now", s.peer.Interface, is.Remote)
	case is.Source != was.local.Source:
		reason = fmt.Sprintf("our address on %s is %s now", s.peer.Interface, is.Source)
	case numbered(is.Remote) != was.api.Conf.NeighborAddress:
		reason = fmt.Sprintf("interface %s is another one of that name now", s.peer.Interface)
	default:
		return
	}
	s.notify(bgp.Event{State: bgp.Idle, Reason: reason})
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
