package layer2

import "net/netip"

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allNodesMAC = MAC{0x33, 0x33, 0, 0, 0, 1}
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

// answer is the reply to a question, giving mac as the address of its target. An ARP reply goes to the hardware
// address in the request, which need not be the frame's source (VRRP). Duplicate address detection, which has no
// source address, is answered to all nodes (RFC 4861 §7.2.4). The source of an advertisement is the address
// itself, which is on no interface: some programs take no other.
func answer(q Frame, mac MAC) Frame {
	self := Host{q.Target.IP, mac}
	if q.Kind == ARPRequest {
		return Frame{Link: q.Link, Kind: ARPReply, Source: mac, Destination: q.Sender.MAC, Sender: self, Target: q.Sender}
	}
	a := advertisement(q.Link, self)
	if q.Sender.IP.IsUnspecified() {
		return a
	}
	a.Solicited, a.To, a.Destination = true, q.Sender.IP, q.Source
	if q.Sender.MAC.Unicast() {
		a.Destination = q.Sender.MAC
	}
	return a
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
