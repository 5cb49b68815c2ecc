package bgp

import (
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
// A change of a timer, of BFD, MaxReceived or the name leaves the session alone: timers take effect with the next
// one, the others at once. A changed password applies at once to new connections: a peer that is not Established
// is dialled anew with it, an Established session stays as it is until it ends. A change of anything else ends the
// session and opens a new one.
type Peer struct {
	// Name is how routes, status and logs call the peer, unique within a Speaker; "" is the address (and
	// the port, if it is not 179), or the interface.
	Name string
	// Address of the router: IPv4 or IPv6, not link-local, without a zone. It is the zero value with Interface.
	Address netip.Addr
	// Interface makes the session unnumbered: the router is the one found on this interface of the node, and the
	// session is between link-local addresses (RFC 4861, RFC 8950). "" is a session with Address.
	Interface string
	// Port of the router; 0 is 179.
	Port uint16
	// PeerASN is the router's autonomous system number, MyASN is ours towards it; both 1 to 4294967295.
	// Equal ones make an iBGP session. With External PeerASN is 0.
	PeerASN, MyASN uint32
	// External accepts a router of any autonomous system but MyASN. One of MyASN is refused.
	External bool
	// Source is our address on the session, of Address' family; it has to be on the node. The zero value leaves it
	// to the engine.
	Source netip.Addr
	// RouterID is our BGP identifier, an IPv4 address whatever the session's family (RFC 6286); the zero
	// value leaves it to the engine.
	RouterID netip.Addr
	// Multihop is the TTL of what we send on an eBGP session over several hops, 1 to 255. With 0 the router is
	// directly connected, and the TTL is 1. An iBGP session has the system's TTL.
	Multihop uint8
	// TTLSecurity is how many hops away the router is at most: what has come further is dropped unseen (GTSM, RFC
	// 5082), and we send with TTL 255. 1 to 254; 0 is off, though with Interface we send with TTL 255 all the same: a
	// router that wants it has it, and one that has not been told so (FRR, whose own TTL is 1 then) is heard too.
	TTLSecurity uint8
	// MaxReceived is how many routes of a family the router may send, about 400 bytes of memory each, though we
	// use none: with the next one the session ends by a Cease of subcode 1 (RFC 4486), and is tried again after 15 s
	// to 120 s. 0 is no limit.
	MaxReceived int
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
	// BFD watches the router while the session is Established; the zero value does not.
	BFD BFD
	// Password of the TCP MD5 signatures (RFC 2385) that both sides then put on every segment; "" is none. A
	// router that has another one, or none, stays silent: its kernel drops what we send. With Interface there can be
	// none.
	Password Password
}

// Title is the peer's name, or what stands for it when it has none.
func (p Peer) Title() string {
	switch {
	case p.Name != "":
		return p.Name
	case p.Port == 0 || p.Port == DefaultPort:
		return p.host()
	case p.Interface != "":
		return p.Interface + ":" + strconv.Itoa(int(p.Port))
	default:
		return netip.AddrPortFrom(p.Address, p.Port).String()
	}
}

// host is the router's address, or the interface that it is found on.
func (p Peer) host() string {
	if p.Interface != "" {
		return p.Interface
	}
	return p.Address.String()
}

// NoAnswer is what an Engine reports of a connection that the peer does not answer. Nobody can tell a router
// that is away from one that has another password: the kernel drops segments of the wrong signature silently.
func (p Peer) NoAnswer() string {
	text := fmt.Sprintf("no answer from %s (TCP)", p.At())
	if p.Password != "" {
		text += "; a wrong or missing password looks like this too"
	}
	return text
}

// OwnASN is what an Engine reports of an External peer that turns out to have our own ASN.
func OwnASN(asn uint32) string {
	return fmt.Sprintf("the router has our own ASN %d: an external peer is to have another", asn)
}

// TooManyRoutes is what an Engine reports of a peer that has sent more routes than its MaxReceived.
func TooManyRoutes(limit int) string {
	return fmt.Sprintf("the peer sent more than %d routes of a family: we closed (Cease, subcode 1)", limit)
}

// At is where the peer is dialled, as one writes it.
func (p Peer) At() string {
	p = p.WithDefaults()
	if p.Interface != "" {
		return fmt.Sprintf("the router on %s, port %d", p.Interface, p.Port)
	}
	return netip.AddrPortFrom(p.Address, p.Port).String()
}

// WithDefaults returns the peer with its zero fields filled in, except RouterID, which the engine fills in,
// and those whose zero has a meaning.
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
	p.BFD = p.BFD.WithDefaults()
	return p
}

// session is the peer with only those fields that a session is bound to.
func (p Peer) session() Peer {
	p = p.WithDefaults()
	p.Name, p.HoldTime, p.KeepaliveTime, p.ConnectTime, p.Password = "", 0, 0, 0, ""
	p.MaxReceived, p.BFD = 0, BFD{}
	return p
}

// endpoint is where the peer is dialled.
func (p Peer) endpoint() string {
	return p.host() + "#" + strconv.Itoa(int(p.WithDefaults().Port))
}
