package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Defaults of a Peer's zero fields.
const (
	DefaultPort        = 179
	DefaultHoldTime    = 30 * time.Second
	DefaultConnectTime = time.Second
)

// Peer is a router to hold a session with. It is comparable; zero fields have defaults where stated.
//
// A change of a timer or of the name takes effect with the next session. A changed password applies at once to
// new connections: a peer that is not Established is dialled anew with it, an Established session stays as it
// is until it ends. A change of anything else ends the session and opens a new one.
type Peer struct {
	// Name is how routes, status and logs call the peer, unique within a Speaker; "" is the address (and
	// the port, if it is not 179).
	Name string
	// Address of the router: IPv4 or IPv6, not link-local, without a zone.
	Address netip.Addr
	// Port of the router; 0 is 179.
	Port uint16
	// PeerASN is the router's autonomous system number, MyASN is ours towards it; both 1 to 4294967295.
	// Equal ones make an iBGP session.
	PeerASN, MyASN uint32
	// RouterID is our BGP identifier, an IPv4 address whatever the session's family (RFC 6286); the zero
	// value leaves it to the engine.
	RouterID netip.Addr
	// HoldTime (RFC 4271 section 4.2) is proposed to the peer: whole seconds, 3 s to 65535 s; 0 is 30 s.
	HoldTime time.Duration
	// KeepaliveTime is the interval of KEEPALIVE messages: whole seconds, at most HoldTime; 0 is a third of
	// HoldTime. Where the peer's hold time is lower, a third of that is used.
	KeepaliveTime time.Duration
	// ConnectTime is how long to wait before dialling again, with jitter up to twice as long: whole
	// seconds, at least 1 s; 0 is 1 s.
	ConnectTime time.Duration
	// RestartTime makes the session gracefully restartable (RFC 4724): that long the router keeps our
	// routes when the connection is lost without a Cease. Whole seconds, at most 4095 s; with 0 graceful
	// restart is not negotiated, and the router drops our routes together with the connection.
	RestartTime time.Duration
	// Password of the TCP MD5 signatures (RFC 2385) that both sides then put on every segment; "" is none. A
	// router that has another one, or none, stays silent: its kernel drops what we send.
	Password Password
}

// Title is the peer's name, or what stands for it when it has none.
func (p Peer) Title() string {
	switch {
	case p.Name != "":
		return p.Name
	case p.Port == 0 || p.Port == DefaultPort:
		return p.Address.String()
	default:
		return netip.AddrPortFrom(p.Address, p.Port).String()
	}
}

// NoAnswer is what an Engine reports of a connection that the peer does not answer. Nobody can tell a router
// that is away from one that has another password: the kernel drops segments of the wrong signature silently.
func (p Peer) NoAnswer() string {
	text := fmt.Sprintf("no answer from %s (TCP)", netip.AddrPortFrom(p.Address, p.WithDefaults().Port))
	if p.Password != "" {
		text += "; a wrong or missing password looks like this too"
	}
	return text
}

// WithDefaults returns the peer with its zero fields filled in, except RouterID, which the engine fills in,
// and RestartTime, whose zero has a meaning.
func (p Peer) WithDefaults() Peer {
	p.Name = p.Title()
	if p.Port == 0 {
		p.Port = DefaultPort
	}
	if p.HoldTime == 0 {
		p.HoldTime = DefaultHoldTime
	}
	if p.KeepaliveTime == 0 {
		p.KeepaliveTime = max(p.HoldTime/3, time.Second).Truncate(time.Second)
	}
	if p.ConnectTime == 0 {
		p.ConnectTime = DefaultConnectTime
	}
	return p
}

// Validate says everything that is wrong with the peer.
func (p Peer) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	a := p.Address
	switch {
	case !a.IsValid():
		bad("address: missing")
	case a.Is4In6() || a.Zone() != "" || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified():
		bad("address %s: want a global IPv4 or IPv6 unicast address", a)
	}
	if p.PeerASN == 0 {
		bad("peer ASN 0: want 1 to 4294967295")
	}
	if p.MyASN == 0 {
		bad("my ASN 0: want 1 to 4294967295")
	}
	if p.RouterID.IsValid() && (!p.RouterID.Is4() || p.RouterID.IsUnspecified()) {
		bad("router ID %s: want an IPv4 address", p.RouterID)
	}
	if err := p.Password.Validate(); err != nil {
		bad("password: %w", err)
	}
	if p.Password != "" && a.IsLinkLocalUnicast() {
		bad("password: not possible with the link-local address %s", a)
	}
	d := p.WithDefaults()
	seconds := func(what string, v, least, most time.Duration) {
		if v < least || v > most || v%time.Second != 0 {
			bad("%s %s: want whole seconds from %s to %s", what, v, least, most)
		}
	}
	seconds("hold time", d.HoldTime, 3*time.Second, 65535*time.Second)
	seconds("keepalive time", d.KeepaliveTime, time.Second, d.HoldTime)
	seconds("connect time", d.ConnectTime, time.Second, 65535*time.Second)
	seconds("restart time", d.RestartTime, 0, 4095*time.Second)
	return errors.Join(errs...)
}

// session is the peer with only those fields that a session is bound to.
func (p Peer) session() Peer {
	p = p.WithDefaults()
	p.Name, p.HoldTime, p.KeepaliveTime, p.ConnectTime, p.Password = "", 0, 0, 0, ""
	return p
}

// endpoint is where the peer is dialled.
func (p Peer) endpoint() string {
	return p.Address.String() + "#" + strconv.Itoa(int(p.WithDefaults().Port))
}
