package layer2

import "net/netip"

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = MAC{0x33, 0x33, 0, 0, 0, 1}

	limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

// asks reports whether f is a question for its target's Ethernet address. An ARP announcement, whose sender is its
// target, is none (RFC 5227 §2.3), nor is anything that has no single station to answer to.
func asks(f Frame) bool {
	switch f.Kind {
	case ARPRequest:
		return f.Sender.MAC.Unicast() && f.Sender.IP != f.Target.IP
	case NeighborSolicitation:
		return f.Sender.IP != f.Target.IP && f.Source.Unicast() && (f.Sender.MAC == MAC{} || f.Sender.MAC.Unicast())
	}
	return false
}

// answer is the reply to a question: self is where its target is. The frame comes from source, which is another
// station than self's where one answers in another's name. An ARP reply goes to the hardware address in the request,
// which need not be the frame's source (VRRP). Duplicate address detection, which has no source address, is answered
// to all nodes (RFC 4861 §7.2.4). The source of an advertisement is the address itself, which is on no interface: some
// programs take no other. The answer to a single station does not override what that has cached, as that of a proxy (RFC
// 4861 §7.2.4): while an address changes hands two nodes answer, and a connection is not to change nodes in its handshake.
func answer(q Frame, self, source MAC) Frame {
	at := Host{q.Target.IP, self}
	if q.Kind == ARPRequest {
		return Frame{Link: q.Link, Kind: ARPReply, Source: source, Destination: q.Sender.MAC, Sender: at, Target: q.Sender}
	}
	a := advertisement(q.Link, at)
	a.Source = source
	if q.Sender.IP.IsUnspecified() {
		return a
	}
	a.Solicited, a.Override, a.To, a.Destination = true, false, q.Sender.IP, q.Source
	if q.Sender.MAC.Unicast() {
		a.Destination = q.Sender.MAC
	}
	return a
}

// pinged reports whether f is an echo request that is to be answered: one from a single station to a single station.
// The answer to any other would be sent to many, or to nobody (RFC 1122 §3.2.2.6, RFC 4443 §2.4e).
func pinged(f Frame) bool {
	from := f.Sender.IP
	return f.Kind == EchoRequest && f.Source.Unicast() && f.Destination.Unicast() && from.IsValid() && from != f.Target.IP &&
		!from.IsUnspecified() && !from.IsMulticast() && !from.IsLoopback() && from != limitedBroadcast
}

// echo is the reply to an echo request, to the station that the request came from: the sender, or its router.
func echo(q Frame) Frame {
	return Frame{
		Link: q.Link, Kind: EchoReply, Source: q.Destination, Destination: q.Source,
		Sender: q.Target, Target: q.Sender, Payload: q.Payload,
	}
}

// given is where f says that an address is; false when it says so of none. A solicitation and an ARP probe ask, and
// give nothing.
func given(f Frame) (Host, bool) {
	h := f.Sender
	switch f.Kind {
	case ARPRequest, ARPReply:
	case NeighborAdvertisement:
		if h = f.Target; (h.MAC == MAC{}) {
			h.MAC = f.Source
		}
	default:
		return Host{}, false
	}
	return h, h.MAC.Unicast() && h.IP.IsValid() && !h.IP.IsUnspecified()
}

// probe asks whether anybody has addr, without changing what anybody believes of it: an ARP probe (RFC 5227 §2.1.1),
// or a neighbour solicitation as of duplicate address detection (RFC 4862 §5.4.2).
func probe(link int, mac MAC, addr netip.Addr) Frame {
	if addr.Is4() {
		return Frame{
			Link: link, Kind: ARPRequest, Source: mac, Destination: Broadcast,
			Sender: Host{netip.IPv4Unspecified(), mac}, Target: Host{IP: addr},
		}
	}
	b := addr.As16()
	return Frame{
		Link: link, Kind: NeighborSolicitation, Source: mac, Destination: MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]},
		Sender: Host{IP: netip.IPv6Unspecified()}, Target: Host{IP: addr},
		To: netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]}),
	}
}

// advertisement tells all nodes where self is (RFC 4861 §7.2.6).
func advertisement(link int, self Host) Frame {
	return Frame{
		Link: link, Kind: NeighborAdvertisement, Source: self.MAC, Destination: allNodesMAC,
		Sender: Host{IP: self.IP}, Target: self, To: allNodes, Override: true,
	}
}

// gratuitous is one round of telling the neighbours where self is: an unsolicited advertisement, or gratuitous ARP
// in both its forms, as some stations update their cache only from a request and others only from a reply. The
// reply names its sender as target: Linux takes one with another target for an update only after its locktime.
func gratuitous(link int, self Host) []Frame {
	if self.IP.Is6() {
		return []Frame{advertisement(link, self)}
	}
	request := Frame{
		Link: link, Kind: ARPRequest, Source: self.MAC, Destination: Broadcast,
		Sender: self, Target: Host{IP: self.IP},
	}
	reply := request
	reply.Kind, reply.Target = ARPReply, self
	return []Frame{request, reply}
}

// framesPerRound is len(gratuitous).
func framesPerRound(addr netip.Addr) int {
	if addr.Is6() {
		return 1
	}
	return 2
}
