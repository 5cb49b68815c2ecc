package layer2

import (
	"net"
	"net/netip"
)

// Transport is a Responder's way to the network: which interfaces there are, and frames from and to them.
// Interfaces are known by their index, which outlives a rename. All methods are safe for concurrent use.
type Transport interface {
	// Links is every interface as of now, and a channel that is closed once that is no longer so. A caller gets a
	// new channel with each call; changes that come close together may be reported as one. Neither result is to be
	// modified.
	Links() ([]Link, <-chan struct{})

	// Listen says what is to be heard on which interface: everything wanted now, replacing what was wanted before;
	// the same input changes nothing. An interface that is not there (yet) is no error: it is listened on once it
	// comes, and what cannot be done at once is tried again until it can; Link.Problem says what is missing. The
	// transport may deliver more than it is asked for. It keeps the map.
	Listen(want map[int]Listening)

	// Receive waits for the next valid frame of any kind but EchoReply. Frames that come faster than they are received
	// are dropped. The error is net.ErrClosed after Close, and never another one.
	Receive() (Frame, error)

	// Send sends one frame from the interface f.Link, on which something must be listened for. It never waits: what
	// the interface does not take at once is dropped, with an error.
	Send(f Frame) error

	// Close stops listening and sends nothing. Calls that wait return.
	Close() error
}

// Listening is what is heard on an interface.
type Listening struct {
	// Addrs are the addresses of which everything is heard: ARP packets with one of them as target or as sender,
	// neighbour solicitations sent to it and to its solicited-node group, and advertisements of it.
	Addrs []netip.Addr
	// Pings are those to which ICMP echo requests are heard, if they come in whole and to this station alone.
	Pings []netip.Addr
}

// DropCounter is what a Transport also is that knows how many frames were lost on their way to Receive, since it was
// opened, by interface.
type DropCounter interface {
	Dropped() map[int]uint64
}

// MAC is an Ethernet address. The zero value stands for none.
type MAC [6]byte

// Broadcast is the Ethernet address of all stations.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// String is the usual form, "02:00:5e:10:00:01".
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText is String, so that JSON shows the usual form.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Unicast reports whether m is the address of a single station.
func (m MAC) Unicast() bool { return m != MAC{} && m[0]&1 == 0 }

// Kind is what a Frame carries.
type Kind uint8

// The kinds of frames: ARP (RFC 826) for IPv4, neighbour discovery (RFC 4861) for IPv6, and the echo messages of both
// (RFC 792, 4443).
const (
	ARPRequest Kind = iota + 1
	ARPReply
	NeighborSolicitation
	NeighborAdvertisement
	EchoRequest
	EchoReply
)

// String is the kind in words, for logs.
func (k Kind) String() string {
	switch k {
	case ARPRequest:
		return "ARP request"
	case ARPReply:
		return "ARP reply"
	case NeighborSolicitation:
		return "neighbour solicitation"
	case NeighborAdvertisement:
		return "neighbour advertisement"
	case EchoRequest:
		return "echo request"
	case EchoReply:
		return "echo reply"
	}
	return "unknown frame"
}

// Host is a protocol address and the Ethernet address that a frame gives for it.
type Host struct {
	IP  netip.Addr
	MAC MAC
}

// Frame is an ARP packet, a neighbour discovery message or an echo message together with its Ethernet header. It is
// comparable.
type Frame struct {
	Link                int // index of the interface
	Kind                Kind
	Source, Destination MAC // of the Ethernet header

	// Sender is the ARP sender; in neighbour discovery the IPv6 source, with the source link-layer option's address
	// if a solicitation has one; of an echo message the source address, without MAC.
	Sender Host
	// Target is the ARP target; in neighbour discovery the target address, with the target link-layer option's
	// address if an advertisement has one; of an echo message the destination address, without MAC.
	Target Host

	To        netip.Addr // neighbour discovery: the IPv6 destination
	Solicited bool       // neighbour advertisement: it answers a solicitation
	Override  bool       // neighbour advertisement: it replaces what a neighbour has cached

	Payload string // echo: identifier, sequence number and data, which a reply returns as they came
}
