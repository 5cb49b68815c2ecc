package layer2test

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/kontena/network-lb/layer2"
)

var (
	_ layer2.Transport   = (*Node)(nil)
	_ layer2.DropCounter = (*Node)(nil)
)

// Node is a machine with interfaces, each on a LAN: the layer2.Transport of a responder under test.
type Node struct {
	// Loose has it deliver frames about all addresses on an interface where it listens for any, as the contract of
	// layer2.Transport allows. It is to be set before the node is used.
	Loose bool

	queue  chan layer2.Frame
	closed chan struct{}

	mu      sync.Mutex
	links   map[int]layer2.Link
	lans    map[int]*LAN
	changed chan struct{}
	want    map[int]layer2.Listening
	dropped map[int]uint64
}

// NewNode is a node without interfaces.
func NewNode() *Node {
	return &Node{
		queue:   make(chan layer2.Frame, 256),
		closed:  make(chan struct{}),
		links:   map[int]layer2.Link{},
		lans:    map[int]*LAN{},
		changed: make(chan struct{}),
		dropped: map[int]uint64{},
	}
}

// Plug adds the interface, or replaces the one of the same index. A nil LAN leaves it without neighbours.
func (n *Node) Plug(link layer2.Link, lan *LAN) {
	n.mu.Lock()
	old := n.lans[link.Index]
	n.links[link.Index], n.lans[link.Index] = link, lan
	n.tell()
	n.mu.Unlock()
	if old != nil && old != lan {
		old.unplug(port{n, link.Index})
	}
	if lan != nil {
		lan.plug(port{n, link.Index}, link)
	}
}

// Unplug takes the interface away.
func (n *Node) Unplug(index int) {
	n.mu.Lock()
	lan := n.lans[index]
	delete(n.links, index)
	delete(n.lans, index)
	n.tell()
	n.mu.Unlock()
	if lan != nil {
		lan.unplug(port{n, index})
	}
}

func (n *Node) tell() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// Listening are the addresses that the interface listens for.
func (n *Node) Listening(index int) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.want[index].Addrs)
}

// Links implements layer2.Transport.
func (n *Node) Links() ([]layer2.Link, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var links []layer2.Link
	for _, l := range n.links {
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b layer2.Link) int { return a.Index - b.Index })
	return links, n.changed
}

// Listen implements layer2.Transport.
func (n *Node) Listen(want map[int]layer2.Listening) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.want = want
}

// Receive implements layer2.Transport.
func (n *Node) Receive() (layer2.Frame, error) {
	select {
	case <-n.closed:
		return layer2.Frame{}, net.ErrClosed
	case f := <-n.queue:
		return f, nil
	}
}

// Send implements layer2.Transport.
func (n *Node) Send(f layer2.Frame) error {
	n.mu.Lock()
	link, lan, listens := n.links[f.Link], n.lans[f.Link], len(n.want[f.Link].Addrs) > 0
	n.mu.Unlock()
	switch {
	case !link.Up || !link.Carrier:
		return errors.New("network is down")
	case !listens:
		return errors.New("nothing is listened for on the interface")
	}
	if lan != nil {
		lan.fromNode(port{n, f.Link}, f)
	}
	return nil
}

// Close implements layer2.Transport.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.closed:
	default:
		close(n.closed)
	}
	n.want = nil
	return nil
}

// joined reports whether the interface is in the solicited-node group of that Ethernet address.
func (n *Node) joined(index int, mac layer2.MAC) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.want[index].Addrs, func(a netip.Addr) bool { return a.Is6() && groupMAC(a) == mac })
}

// Dropped implements layer2.DropCounter.
func (n *Node) Dropped() map[int]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.dropped)
}

// hear receives a frame that it listens for, unless too many wait already.
func (n *Node) hear(f layer2.Frame) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if want := n.want[f.Link]; !wants(want, f) && !(n.Loose && len(want.Addrs) > 0) {
		return
	}
	select {
	case n.queue <- f:
	default:
		n.dropped[f.Link]++
	}
}

func wants(l layer2.Listening, f layer2.Frame) bool {
	switch f.Kind {
	case layer2.ARPRequest, layer2.ARPReply:
		return slices.Contains(l.Addrs, f.Target.IP) || slices.Contains(l.Addrs, f.Sender.IP)
	case layer2.NeighborSolicitation, layer2.NeighborAdvertisement:
		return slices.Contains(l.Addrs, f.Target.IP)
	case layer2.EchoRequest:
		return slices.Contains(l.Pings, f.Target.IP) && f.Destination.Unicast()
	}
	return false
}
