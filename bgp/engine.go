package bgp

import (
	"fmt"
	"net/netip"
	"time"
)

// Engine speaks BGP. A Speaker tells it what to do; nothing in an Engine decides when to retry.
//
// Open prepares a session with a peer and sends nothing yet; the peer has passed Validate and has its
// defaults. notify is told what becomes of the session. The engine may call it from any goroutine, also
// while it serves a method of that session; it returns at once. Open may be called for many peers at the same
// time, and again for a peer that has a session that was closed.
type Engine interface {
	Open(peer Peer, notify func(Event)) (Session, error)
}

// Session is one peer's session in an Engine. Its methods are called by one goroutine at a time; those of
// different sessions are called in parallel, and one that blocks must not block another.
type Session interface {
	// Update changes what is advertised, before Dial and after. A route that is announced again replaces
	// the earlier one of its prefix; withdrawing an unknown prefix does nothing. Next hops are looked up
	// anew for all routes, so that Update(nil, nil) follows a change of the node's addresses; without such
	// a change it sends nothing. Routes of a family that has no next hop are remembered, not sent, and
	// named in Withheld. Nobody changes the routes any more, so that they may be kept. An error tells of single
	// routes that were refused; the others are advertised.
	Update(announce []Route, withdraw []netip.Prefix) (Withheld, error)
	// Dial starts connecting to the peer, and goes on at the peer's connect time until a connection stands.
	// All routes given by Update are sent first, then End-of-RIB (RFC 4724 section 2). The peer differs from
	// that of Open at most in what needs no new session: name, timers, BFD, MaxReceived and password. An error
	// means that nothing was started. Of a session that was dialled and not dropped Dial changes MaxReceived, at
	// once, and nothing else.
	Dial(peer Peer) error
	// Counters are those of what was dialled, until it is dropped; then they are zero.
	Counters() Counters
	// Drop ends the connection, if there is one with a Cease, and stops dialling. Once it has returned no
	// event of what was dialled comes any more. The routes stay in the session. Drop may be called at any
	// time.
	Drop()
	// Close ends the session for good. With keepRoutes the connection is left as it is for the process to
	// exit with, without a Cease, so that a router that was offered a graceful restart keeps the routes;
	// the process must exit soon. Otherwise the connection is ended with a Cease (RFC 4271 section 6.7) before
	// Close returns. No event comes afterwards.
	Close(keepRoutes bool)
}

// Event is news of a session after Dial.
type Event struct {
	// NextHops says that the node's addresses may have changed and Update has to be called. The other
	// fields are empty then.
	NextHops bool
	// State is what the session is in now. Idle means that a connection was lost or an OPEN failed; the
	// session then rests until it is dropped and dialled again. While no connection comes about the
	// session stays in Connect.
	State State
	// Reason says, in words for a person, why the session went to Idle, or why a connection did not come
	// about though the session goes on in Connect.
	Reason string
	// Cease says that the peer closed with a NOTIFICATION of code Cease (RFC 4486).
	Cease bool
	// Flooded says that we closed, because the peer sent more routes than its MaxReceived.
	Flooded bool
	// Conn is what an Established session has become.
	Conn Conn
}

// Conn is an Established session's connection, and what both sides agreed on.
type Conn struct {
	// Local and Remote are its addresses; link-local ones have their interface as zone.
	Local, Remote netip.Addr
	// Interface that packets to the peer leave by; "" if the engine does not know.
	Interface string
	// Multihop says that the peer is in no subnet of that interface, but behind a router.
	Multihop bool
	// PeerASN and PeerID are the router's autonomous system number and BGP identifier.
	PeerASN uint32
	PeerID  netip.Addr
	// HoldTime is the lower one of the two that were proposed.
	HoldTime time.Duration
	// IPv4 and IPv6 say which families the peer takes (RFC 4760 section 8).
	IPv4, IPv6 bool
}

// Counters count what went over a peer's connections.
type Counters struct {
	Sent, Received Messages
	// IPv4 and IPv6 are how many routes the peer has sent and not taken back.
	IPv4, IPv6 int
}

// Messages counts messages of BGP.
type Messages struct {
	Updates       uint64 `json:"updates"`
	Notifications uint64 `json:"notifications"`
	// Total counts also those that are neither.
	Total uint64 `json:"total"`
}

func (m Messages) plus(o Messages) Messages {
	return Messages{m.Updates + o.Updates, m.Notifications + o.Notifications, m.Total + o.Total}
}

// Withheld says, for each family, why its routes are not sent; "" is no objection.
type Withheld struct{ IPv4, IPv6 string }

// Local is what a node is on its way to a peer.
type Local struct {
	// Interface is the name of the interface that packets to the peer leave by.
	Interface string
	// Source is the address to connect from, of the peer's family: the peer's own Source, if it has one.
	Source netip.Addr
	// Remote is the router's address: that of the peer, or the link-local one, with its zone, that was found on
	// the peer's Interface.
	Remote netip.Addr
	// Multihop says that the router is in no subnet of the interface, but behind a gateway.
	Multihop bool
	// IPv4 and IPv6 are the node's addresses on that interface that serve as next hops; the zero value is
	// that there is none.
	IPv4, IPv6 netip.Addr
}

// State of a session (RFC 4271 section 8.2.2). Active does not exist: we only dial.
type State int

// The states, in the order in which a session passes through them.
const (
	Idle State = iota
	Connect
	OpenSent
	OpenConfirm
	Established
)

var stateNames = [...]string{"Idle", "Connect", "OpenSent", "OpenConfirm", "Established"}

// String is the RFC's name of the state.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// MarshalText makes the state readable in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("parsing BGP state %q: unknown", text)
}
