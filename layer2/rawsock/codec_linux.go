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

var errNotValid = errors.New("no valid ARP packet, neighbour discovery message or echo request")

// decode reads an Ethernet frame that carries an ARP request or reply, a neighbour solicitation or advertisement, or an
// echo request. Anything else, and what RFC 4861 §7.1 has a node discard, is errNotValid.
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
		return decodeIPv6(f, eth.Payload)
	case ethernet.EtherTypeIPv4:
		return decodeEcho4(f, eth.Payload)
	}
	return layer2.Frame{}, errNotValid
}

func decodeARP(f layer2.Frame, b []byte) (layer2.Frame, error) {
	var p arp.Packet
	if err := p.UnmarshalBinary(b); err != nil {
		return layer2.Frame{}, errNotValid
	}
	if p.HardwareType != 1 || p.ProtocolType != uint16(ethernet.EtherTypeIPv4) || p.HardwareAddrLength != 6 ||
		p.IPLength != 4 {
		return layer2.Frame{}, errNotValid
	}
	switch p.Operation {
	case arp.OperationRequest:
		f.Kind = layer2.ARPRequest
	case arp.OperationReply:
		f.Kind = layer2.ARPReply
	default:
		return layer2.Frame{}, errNotValid
	}
	f.Sender = layer2.Host{IP: p.SenderIP, MAC: layer2.MAC(p.SenderHardwareAddr)}
	f.Target = layer2.Host{IP: p.TargetIP, MAC: layer2.MAC(p.TargetHardwareAddr)}
	return f, nil
}

// decodeIPv6 reads the ICMPv6 messages that the transport is for, if they follow the IPv6 header at once.
func decodeIPv6(f layer2.Frame, b []byte) (layer2.Frame, error) {
	if len(b) < ipv6Header || b[0]>>4 != 6 || b[6] != icmpv6 {
		return layer2.Frame{}, errNotValid
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < echoHeader || len(b) < ipv6Header+length {
		return layer2.Frame{}, errNotValid
	}
	source, to := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	body := b[ipv6Header : ipv6Header+length]
	if checksum6(source, to, body) != 0 {
		return layer2.Frame{}, errNotValid
	}
	if body[0] == echoRequest6 {
		return decodeEcho6(f, source, to, body)
	}
	if length < 24 || b[7] != hopLimit || body[1] != 0 || source.IsMulticast() {
		return layer2.Frame{}, errNotValid
	}
	message, err := ndp.ParseMessage(body)
	if err != nil {
		return layer2.Frame{}, errNotValid
	}
	f.Sender.IP, f.To = source, to
	switch m := message.(type) {
	case *ndp.NeighborSolicitation:
		return decodeSolicitation(f, m)
	case *ndp.NeighborAdvertisement:
		return decodeAdvertisement(f, m)
	}
	return layer2.Frame{}, errNotValid
}

func decodeSolicitation(f layer2.Frame, m *ndp.NeighborSolicitation) (layer2.Frame, error) {
	f.Kind, f.Target.IP = layer2.NeighborSolicitation, m.TargetAddress
	f.Sender.MAC = linkLayerOf(m.Options, ndp.Source)
	detection := f.Sender.IP.IsUnspecified() // of duplicate addresses
	if m.TargetAddress.IsMulticast() || detection && (f.Sender.MAC != layer2.MAC{} || !solicitedNode(f.To)) {
		return layer2.Frame{}, errNotValid
	}
	return f, nil
}

func decodeAdvertisement(f layer2.Frame, m *ndp.NeighborAdvertisement) (layer2.Frame, error) {
	f.Kind, f.Target.IP = layer2.NeighborAdvertisement, m.TargetAddress
	f.Target.MAC = linkLayerOf(m.Options, ndp.Target)
	f.Solicited, f.Override = m.Solicited, m.Override
	if m.TargetAddress.IsMulticast() || m.Solicited && f.To.IsMulticast() {
		return layer2.Frame{}, errNotValid
	}
	return f, nil
}

func linkLayerOf(options []ndp.Option, direction ndp.Direction) (mac layer2.MAC) {
	for _, o := range options {
		if lla, ok := o.(*ndp.LinkLayerAddress); ok && lla.Direction == direction && len(lla.Addr) == len(mac) {
			mac = layer2.MAC(lla.Addr)
		}
	}
	return mac
}

// solicitedNode reports whether addr is a solicited-node group (RFC 4291 §2.7.1).
func solicitedNode(addr netip.Addr) bool {
	return netip.MustParsePrefix("ff02::1:ff00:0/104").Contains(addr)
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
	case layer2.EchoRequest, layer2.EchoReply:
		if eth.EtherType = ethernet.EtherTypeIPv4; f.Target.IP.Is6() {
			eth.EtherType = ethernet.EtherTypeIPv6
		}
		eth.Payload, err = encodeEcho(f)
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
	return append(header6(f.Sender.IP, f.To, len(body), hopLimit), body...), nil
}

func linkLayer(direction ndp.Direction, mac layer2.MAC) []ndp.Option {
	if mac == (layer2.MAC{}) {
		return nil
	}
	return []ndp.Option{&ndp.LinkLayerAddress{Direction: direction, Addr: mac[:]}}
}
