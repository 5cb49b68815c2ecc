package bfd

import (
	"io"
	"net/netip"
)

// The UDP ports of RFC 5881 section 4 and RFC 5883 section 5.
const (
	singleHopPort = 3784
	multihopPort  = 4784
)

// socketKey says what a receiving socket is for.
type socketKey struct {
	multihop bool
	v6       bool
}

func (c Config) socket() socketKey { return socketKey{c.Multihop, c.Remote.Is6()} }

func (k socketKey) port() uint16 {
	if k.multihop {
		return multihopPort
	}
	return singleHopPort
}

// datagram is one that came in. Addresses have no zones; the interface is the index of that where it came in.
type datagram struct {
	socket   socketKey
	from, to netip.Addr
	link     int
	ttl      int
	payload  []byte
}

// transport carries datagrams: the kernel's UDP, or a test's network.
type transport interface {
	// listen has deliver called for every datagram to a port, by one goroutine, until the listener is closed. Closing
	// does not wait; gone is called when deliver is not called any more and the port is free.
	listen(k socketKey, deliver func(datagram), gone func()) (io.Closer, error)
	// dial prepares sending for a session, from its local address and the source port if it is free, else, or if that
	// is 0, from a free one that RFC 5881 section 4 allows.
	dial(c Config, sourcePort uint16) (sender, error)
	// link is the index of an interface.
	link(name string) (int, error)
}

// sender sends to one neighbour. It is not safe for concurrent use.
type sender interface {
	send(payload []byte) error
	port() uint16
	io.Closer
}
