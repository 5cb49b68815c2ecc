package layer2test

import (
	"net/netip"
	"slices"
	"time"

	"github.com/kontena/network-lb/layer2"
)

const (
	patience = time.Second // how long a client waits for an answer
	locktime = time.Second // for which Linux keeps an ARP entry against all but gratuitous ARP
)

// Client is a machine on the LAN that wants to reach addresses. Its neighbour cache does what Linux's does with
// arp_accept=0: only an answer to its own question makes an entry; gratuitous ARP, and advertisements with
// Override, change one that exists.
type Client struct {
	lan   *LAN
	mac   layer2.MAC
	addrs []netip.Addr

	cache map[netip.Addr]neighbour // under the LAN's lock, as is the rest
	asked map[netip.Addr][]chan layer2.Frame
	held  map[netip.Addr]bool
}

type neighbour struct {
	mac     layer2.MAC
	updated time.Time
}

// Client adds a client with an Ethernet address and at most one IP address of each family.
func (l *LAN) Client(mac layer2.MAC, addrs ...netip.Addr) *Client {
	c := &Client{
		lan: l, mac: mac, addrs: addrs,
		cache: map[netip.Addr]neighbour{}, asked: map[netip.Addr][]chan layer2.Frame{},
		held: map[netip.Addr]bool{},
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients = append(l.clients, c)
	return c
}

// Resolve asks all stations for addr's Ethernet address, and caches the answer. Without one within a second it
// forgets what it had and the result is false.
func (c *Client) Resolve(addr netip.Addr) (layer2.MAC, bool) {
	f, ok := c.Ask(c.question(addr, layer2.MAC{}))
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	if !ok {
		delete(c.cache, addr)
		return layer2.MAC{}, false
	}
	mac := told(f)
	c.cache[addr] = neighbour{mac, time.Now()}
	return mac, true
}

// Confirm asks the cached station alone, as a kernel does for an entry in use that has become stale, and reports
// whether it answered within a second.
func (c *Client) Confirm(addr netip.Addr) bool {
	mac, ok := c.Neighbor(addr)
	if !ok {
		return false
	}
	_, ok = c.Ask(c.question(addr, mac))
	return ok
}

// Neighbor is what the cache has for addr.
func (c *Client) Neighbor(addr netip.Addr) (layer2.MAC, bool) {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	n, ok := c.cache[addr]
	return n.mac, ok
}

// Learn puts mac into the cache for addr, as if another station had answered for it.
func (c *Client) Learn(addr netip.Addr, mac layer2.MAC) {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	c.cache[addr] = neighbour{mac, time.Now()}
}

// Hold has the client answer for addr from now on, as a machine does that has it. It says so to nobody.
func (c *Client) Hold(addr netip.Addr) {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	c.held[addr] = true
}

// Drop ends Hold.
func (c *Client) Drop(addr netip.Addr) {
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	delete(c.held, addr)
}

// Announce tells all stations that the client has addr: by gratuitous ARP, or an unsolicited neighbour advertisement.
func (c *Client) Announce(addr netip.Addr) {
	self := layer2.Host{IP: addr, MAC: c.mac}
	f := layer2.Frame{
		Kind: layer2.ARPRequest, Source: c.mac, Destination: layer2.Broadcast, Sender: self, Target: layer2.Host{IP: addr},
	}
	if addr.Is6() {
		f = advertisement(self)
	}
	c.lan.fromClient(c, f)
}

// Ping sends an ICMP echo request to the station that the client takes for addr's, which it finds out if it knows none,
// and reports whether the reply came within a second.
func (c *Client) Ping(addr netip.Addr) bool {
	mac, ok := c.Neighbor(addr)
	if !ok {
		if mac, ok = c.Resolve(addr); !ok {
			return false
		}
	}
	q := layer2.Frame{
		Kind: layer2.EchoRequest, Source: c.mac, Destination: mac, Sender: layer2.Host{IP: c.self(addr)},
		Target: layer2.Host{IP: addr}, Payload: "\x00\x01\x00\x02 and some data",
	}
	f, ok := c.Ask(q)
	return ok && f.Kind == layer2.EchoReply && f.Payload == q.Payload && f.Target.IP == q.Sender.IP
}

// Ask sends any question, and waits for a second for an answer about its target.
func (c *Client) Ask(q layer2.Frame) (layer2.Frame, bool) {
	answered := make(chan layer2.Frame, 16)
	c.lan.mu.Lock()
	c.asked[q.Target.IP] = append(c.asked[q.Target.IP], answered)
	c.lan.mu.Unlock()
	defer func() {
		c.lan.mu.Lock()
		defer c.lan.mu.Unlock()
		waiting := c.asked[q.Target.IP]
		c.asked[q.Target.IP] = slices.DeleteFunc(waiting, func(ch chan layer2.Frame) bool { return ch == answered })
	}()
	c.lan.fromClient(c, q)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case f := <-answered:
			if (q.Kind == layer2.EchoRequest) == (f.Kind == layer2.EchoReply) {
				return f, true
			}
		case <-timeout.C:
			return layer2.Frame{}, false
		}
	}
}

// question asks for addr: the station to if that is known, all stations otherwise.
func (c *Client) question(addr netip.Addr, to layer2.MAC) layer2.Frame {
	self := layer2.Host{IP: c.self(addr), MAC: c.mac}
	f := layer2.Frame{
		Kind: layer2.ARPRequest, Source: c.mac, Destination: layer2.Broadcast,
		Sender: self, Target: layer2.Host{IP: addr},
	}
	if addr.Is6() {
		f.Kind, f.Destination, f.To = layer2.NeighborSolicitation, groupMAC(addr), group(addr)
	}
	if to.Unicast() {
		f.Destination = to
		if addr.Is6() {
			f.To = addr
		}
	}
	return f
}

// self is the client's address of addr's family.
func (c *Client) self(addr netip.Addr) (own netip.Addr) {
	for _, a := range c.addrs {
		if a.Is4() == addr.Is4() {
			own = a
		}
	}
	return own
}

// advertisement tells all nodes where self is.
func advertisement(self layer2.Host) layer2.Frame {
	return layer2.Frame{
		Kind: layer2.NeighborAdvertisement, Source: self.MAC, Destination: allNodesMAC, Sender: layer2.Host{IP: self.IP},
		Target: self, To: allNodes, Override: true,
	}
}

// answer is what a client that has the target of a question says; the LAN's lock is held.
func (c *Client) answer(q layer2.Frame) {
	self := layer2.Host{IP: q.Target.IP, MAC: c.mac}
	var f layer2.Frame
	switch {
	case !c.held[q.Target.IP] || q.Source == c.mac:
		return
	case q.Kind == layer2.ARPRequest && q.Sender.IP != q.Target.IP:
		f = layer2.Frame{Kind: layer2.ARPReply, Source: c.mac, Destination: q.Sender.MAC, Sender: self, Target: q.Sender}
	case q.Kind == layer2.NeighborSolicitation:
		f = advertisement(self)
		if !q.Sender.IP.IsUnspecified() {
			f.To, f.Destination, f.Solicited = q.Sender.IP, q.Source, true
		}
	default:
		return
	}
	c.lan.deliver(f, port{}, c)
}

// told is the Ethernet address that an answer gives.
func told(f layer2.Frame) layer2.MAC {
	if f.Kind == layer2.NeighborAdvertisement {
		return f.Target.MAC
	}
	return f.Sender.MAC
}

// hear takes a frame from the wire; the LAN's lock is held.
func (c *Client) hear(f layer2.Frame) {
	c.answer(f)
	addr, overrides, answers := f.Sender.IP, true, true
	switch f.Kind {
	case layer2.NeighborSolicitation, layer2.EchoRequest:
		return
	case layer2.NeighborAdvertisement:
		addr, overrides = f.Target.IP, f.Override
	case layer2.ARPRequest, layer2.ARPReply:
		announces := f.Sender.IP == f.Target.IP && (f.Kind == layer2.ARPRequest || f.Target.MAC == f.Sender.MAC)
		overrides = announces || time.Since(c.cache[addr].updated) > locktime
		answers = f.Kind == layer2.ARPReply && f.Destination == c.mac
	case layer2.EchoReply:
		overrides = false
	}
	if old, ok := c.cache[addr]; ok && overrides && old.mac != told(f) {
		c.cache[addr] = neighbour{told(f), time.Now()}
	}
	if !answers {
		return
	}
	for _, answered := range c.asked[addr] {
		select {
		case answered <- f:
		default:
		}
	}
}
