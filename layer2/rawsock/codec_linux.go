package rawsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"github.com/kontena/network-lb/layer2"
)

const (
	ipv6Header = 40
	icmpv6     = 58
	hopLimit   = 255 // a router would have lowered it, so the sender is a neighbour (RFC 4861 §7.1.1)
)

var errNotValid = errors.New("no valid ARP request or neighbour solicitation")

// decode reads an Ethernet frame that carries an ARP request or a neighbour solicitation. Anything else, and what
// RFC 4861 §7.1.1 has a node discard, is errNotValid.
func decode(b []byte) (layer2.Frame, error) {
	var eth ethernet.Frame
	if err := eth.UnmarshalBinary(b); err != nil {
		return layer2.Frame{}, errNotValid
	}
	f := layer2.Frame{Source: layer2.MAC(eth.Source), Destination: layer2.MAC(eth.Destination)}
	switch eth.EtherType {
	case ethernet.EtherTypeARP:
		return decodeARP(f, eth.Payload)
	case ethernet.EtherTypeIPv6:
		return decodeSolicitation(f, eth.Payload)
	}
	return layer2.Frame{}, errNotValid
}

func decodeARP(f layer2.Frame, b []byte) (layer2.Frame, error) {
	var p arp.Packet
	if err := p.UnmarshalBinary(b); err != nil {
		return layer2.Frame{}, errNotValid
	}
	if p.HardwareType != 1 || p.ProtocolType != uint16(ethernet.EtherTypeIPv4) || p.HardwareAddrLength != 6 ||
		p.IPLength != 4 || p.Operation != arp.OperationRequest {
		return layer2.Frame{}, errNotValid
	}
	f.Kind = layer2.ARPRequest
	f.Sender = layer2.Host{IP: p.SenderIP, MAC: layer2.MAC(p.SenderHardwareAddr)}
	f.Target = layer2.Host{IP: p.TargetIP, MAC: layer2.MAC(p.TargetHardwareAddr)}
	return f, nil
}

func decodeSolicitation(f layer2.Frame, b []byte) (layer2.Frame, error) {
	if len(b) < ipv6Header || b[0]>>4 != 6 || b[6] != icmpv6 || b[7] != hopLimit {
		return layer2.Frame{}, errNotValid
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < 24 || len(b) < ipv6Header+length {
		return layer2.Frame{}, errNotValid
	}
	source, to := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	body := b[ipv6Header : ipv6Header+length]
	if body[0] != 135 || body[1] != 0 || checksum(source, to, body) != 0 {
		return layer2.Frame{}, errNotValid
	}
	message, err := ndp.ParseMessage(body)
	if err != nil {
		return layer2.Frame{}, errNotValid
	}
	ns := message.(*ndp.NeighborSolicitation)
	f.Kind, f.Sender.IP, f.Target.IP, f.To = layer2.NeighborSolicitation, source, ns.TargetAddress, to
	for _, o := range ns.Options {
		if lla, ok := o.(*ndp.LinkLayerAddress); ok && lla.Direction == ndp.Source && len(lla.Addr) == 6 {
			f.Sender.MAC = layer2.MAC(lla.Addr)
		}
	}
	detection := source.IsUnspecified() // of duplicate addresses
	if source.IsMulticast() || ns.TargetAddress.IsMulticast() ||
		detection && (f.Sender.MAC != layer2.MAC{} || !solicitedNode(to)) {
		return layer2.Frame{}, errNotValid
	}
	return f, nil
}

// solicitedNode reports whether addr is a solicited-node group (RFC 4291 §2.7.1).
func solicitedNode(addr netip.Addr) bool {
	return netip.MustParsePrefix("ff02::1:ff00:0/104").Contains(addr)
}

// checksum is ICMPv6's over a message that contains its own (RFC 4443 §2.3): 0 when that is right.
func checksum(source, to netip.Addr, message []byte) uint16 {
	sum := uint32(len(message)) + icmpv6
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(source.AsSlice())
	add(to.AsSlice())
	add(message)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// encode is the Ethernet frame for f, which may be of any kind.
func encode(f layer2.Frame) ([]byte, error) {
	eth := ethernet.Frame{
		Destination: net.HardwareAddr(f.Destination[:]), Source: net.HardwareAddr(f.Source[:]),
		EtherType: ethernet.EtherTypeARP,
	}
	var err error
	switch f.Kind {
	case layer2.ARPRequest:
		eth.Payload, err = encodeARP(arp.OperationRequest, f)
	case layer2.ARPReply:
		eth.Payload, err = encodeARP(arp.OperationReply, f)
	case layer2.NeighborSolicitation, layer2.NeighborAdvertisement:
		eth.EtherType = ethernet.EtherTypeIPv6
		eth.Payload, err = encodeNDP(f)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("encoding %v: %w", f.Kind, err)
	}
	return eth.MarshalBinary()
}

func encodeARP(op arp.Operation, f layer2.Frame) ([]byte, error) {
	p, err := arp.NewPacket(op, f.Sender.MAC[:], f.Sender.IP, f.Target.MAC[:], f.Target.IP)
	if err != nil {
		return nil, err
	}
	return p.MarshalBinary()
}

func encodeNDP(f layer2.Frame) ([]byte, error) {
	var message ndp.Message = &ndp.NeighborAdvertisement{
		Solicited: f.Solicited, Override: f.Override,
		TargetAddress: f.Target.IP, Options: linkLayer(ndp.Target, f.Target.MAC),
	}
	if f.Kind == layer2.NeighborSolicitation {
		message = &ndp.NeighborSolicitation{TargetAddress: f.Target.IP, Options: linkLayer(ndp.Source, f.Sender.MAC)}
	}
	if !f.Sender.IP.Is6() || !f.To.Is6() {
		return nil, errors.New("no IPv6 source or destination")
	}
	body, err := ndp.MarshalMessageChecksum(message, f.Sender.IP, f.To)
	if err != nil {
		return nil, err
	}
	b := make([]byte, ipv6Header, ipv6Header+len(body))
	b[0], b[6], b[7] = 6<<4, icmpv6, hopLimit
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	copy(b[8:], f.Sender.IP.AsSlice())
	copy(b[24:], f.To.AsSlice())
	return append(b, body...), nil
}

func linkLayer(direction ndp.Direction, mac layer2.MAC) []ndp.Option {
	if mac == (layer2.MAC{}) {
		return nil
	}
	return []ndp.Option{&ndp.LinkLayerAddress{Direction: direction, Addr: mac[:]}}
}
