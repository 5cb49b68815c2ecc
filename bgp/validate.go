package bgp

import (
	"errors"
	"fmt"
	"time"
)

// mistakes collects what is wrong with a value.
type mistakes []error

func (m *mistakes) add(format string, args ...any) { *m = append(*m, fmt.Errorf(format, args...)) }

// Validate says everything that is wrong with the peer.
func (p Peer) Validate() error {
	var m mistakes
	p.validateRouter(&m)
	p.validateASNs(&m)
	p.validateWay(&m)
	if p.RouterID.IsValid() && (!p.RouterID.Is4() || p.RouterID.IsUnspecified()) {
		m.add("router ID %s: want an IPv4 address", p.RouterID)
	}
	if p.MaxReceived < 0 {
		m.add("max received routes %d: want 0 (no limit) or more", p.MaxReceived)
	}
	if err := p.Password.Validate(); err != nil {
		m.add("password: %w", err)
	}
	d := p.WithDefaults()
	seconds := func(what string, v, least, most time.Duration) {
		if v < least || v > most || v%time.Second != 0 {
			m.add("%s %s: want whole seconds from %s to %s", what, v, least, most)
		}
	}
	seconds("hold time", d.HoldTime, 3*time.Second, 65535*time.Second)
	seconds("keepalive time", d.KeepaliveTime, time.Second, d.HoldTime)
	seconds("connect time", d.ConnectTime, time.Second, 65535*time.Second)
	seconds("restart time", d.RestartTime, 0, 4095*time.Second)
	if err := p.BFD.Validate(); err != nil {
		m.add("BFD: %w", err)
	}
	return errors.Join(m...)
}

// validateRouter looks at what the router is found by.
func (p Peer) validateRouter(m *mistakes) {
	a := p.Address
	switch {
	case a.IsValid() && p.Interface != "":
		m.add("address %s: not possible with interface %s, which finds the router itself", a, p.Interface)
	case p.Interface != "":
		p.validateInterface(m)
	case !a.IsValid():
		m.add("address: missing")
	case a.Is4In6() || a.Zone() != "" || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified():
		m.add("address %s: want a global IPv4 or IPv6 unicast address", a)
	}
	if p.Password != "" && a.IsLinkLocalUnicast() {
		m.add("password: not possible with the link-local address %s", a)
	}
}

// validateInterface looks at what cannot go with an unnumbered session.
func (p Peer) validateInterface(m *mistakes) {
	if len(p.Interface) > 15 { // IFNAMSIZ, with its zero byte, is 16
		m.add("interface %s: want a name of at most 15 bytes", p.Interface)
	}
	if p.Password != "" {
		m.add("password: not possible with interface %s, whose session is between link-local addresses", p.Interface)
	}
	if p.Source.IsValid() {
		m.add("source address %s: not possible with interface %s, whose link-local address it is", p.Source, p.Interface)
	}
	if p.Multihop != 0 {
		m.add("multihop TTL %d: not possible with interface %s, whose router is directly connected", p.Multihop, p.Interface)
	}
}

func (p Peer) validateASNs(m *mistakes) {
	switch {
	case p.External && p.PeerASN != 0:
		m.add("peer ASN %d: not possible with an external peer, whose ASN may be any", p.PeerASN)
	case !p.External && p.PeerASN == 0:
		m.add("peer ASN 0: want 1 to 4294967295")
	}
	if p.MyASN == 0 {
		m.add("my ASN 0: want 1 to 4294967295")
	}
}

// validateWay looks at what packets to the router are like.
func (p Peer) validateWay(m *mistakes) {
	if s, a := p.Source, p.Address; s.IsValid() && p.Interface == "" {
		switch {
		case s.Is4In6() || s.Zone() != "" || s.IsLinkLocalUnicast() || s.IsMulticast() || s.IsUnspecified():
			m.add("source address %s: want a global IPv4 or IPv6 unicast address", s)
		case a.IsValid() && s.Is4() != a.Is4():
			m.add("source address %s: want one of the family of the peer's address %s", s, a)
		}
	}
	if p.Multihop != 0 && p.TTLSecurity != 0 {
		m.add("multihop TTL %d: not possible with TTL security, which has hops of its own", p.Multihop)
	}
	if p.Multihop != 0 && !p.External && p.PeerASN == p.MyASN {
		m.add("multihop TTL %d: not possible with an internal peer, which may be any number of hops away", p.Multihop)
	}
	if p.TTLSecurity == 255 {
		m.add("TTL security of 255 hops: want 1 to 254, or 0 for none")
	}
}
