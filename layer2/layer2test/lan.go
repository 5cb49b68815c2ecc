// Package layer2test is a simulated Ethernet for testing what uses layer2: nodes are a layer2.Transport, clients
// have a neighbour cache that behaves like Linux's, and may have addresses of their own (RFC 826, 4861, 5227).
package layer2test

import (
	"net/netip"
	"sync"
	"time"

	"github.com/kontena/network-lb/layer2"
)

// LAN is one Ethernet segment. The zero value is ready to use. It delivers a frame before Send returns; only
// answering takes the time that the node's responder takes.
type LAN struct {
	mu      sync.Mutex
	ports   map[port]layer2.Link
	clients []*Client
	frames  []Sent
}

// Sent is a frame that a node sent, and when.
type Sent struct {
	At time.Time
	layer2.Frame
}

// port is a node's interface on the segment.
type port struct {
	node  *Node
	index int
}

// Frames are the frames that nodes sent since the last call, oldest first.
func (l *LAN) Frames() []Sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	frames := l.frames
	l.frames = nil
	return frames
}

func (l *LAN) plug(p port, link layer2.Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ports == nil {
		l.ports = map[port]layer2.Link{}
	}
	l.ports[p] = link
}

func (l *LAN) unplug(p port) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ports, p)
}

// fromNode delivers what a node's interface sends to all others.
func (l *LAN) fromNode(from port, f layer2.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames = append(l.frames, Sent{time.Now(), f})
	l.deliver(f, from, nil)
}

// fromClient delivers what a client sends to all others.
func (l *LAN) fromClient(c *Client, f layer2.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deliver(f, port{}, c)
}

// deliver brings a frame to the stations that its destination address reaches, but not to the one it is from, and
// what clients answer to it to the others; the LAN's lock is held.
func (l *LAN) deliver(f layer2.Frame, from port, client *Client) {
	for _, c := range l.clients {
		if c != client && (f.Destination == c.mac || f.Destination[0]&1 == 1) {
			c.hear(f)
		}
	}
	for p, link := range l.ports {
		if p == from || !link.Up || !link.Carrier {
			continue
		}
		all := f.Destination == layer2.Broadcast || f.Destination == allNodesMAC
		if f.Destination == link.MAC || all || p.node.joined(p.index, f.Destination) {
			f.Link = p.index
			p.node.hear(f)
		}
	}
}

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = layer2.MAC{0x33, 0x33, 0, 0, 0, 1}
)

// groupMAC is the Ethernet address of addr's solicited-node group (RFC 4291 §2.7.1, RFC 2464 §7).
func groupMAC(addr netip.Addr) layer2.MAC {
	b := addr.As16()
	return layer2.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}
}

// group is addr's solicited-node group.
func group(addr netip.Addr) netip.Addr {
	b := addr.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}
