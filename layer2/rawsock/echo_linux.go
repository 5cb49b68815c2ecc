package rawsock

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"

	"github.com/kontena/network-lb/layer2"
)

const (
	ipv4Header = 20 // without options
	icmpv4     = 1
	echoHeader = 4 // type, code and checksum
	timeToLive = 64

	echoRequest4, echoReply4 = 8, 0     // RFC 792
	echoRequest6, echoReply6 = 128, 129 // RFC 4443 §4
)

// decodeEcho4 reads an IPv4 packet that is an ICMP echo request in one piece. Options are passed over.
func decodeEcho4(f layer2.Frame, b []byte) (layer2.Frame, error) {
	if len(b) < ipv4Header || b[0]>>4 != 4 || b[9] != icmpv4 {
		return layer2.Frame{}, errNotValid
	}
	header, length := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	fragment := binary.BigEndian.Uint16(b[6:])&0x3fff != 0 // more to come, or not the first
	if header < ipv4Header || length < header+echoHeader+4 || len(b) < length || fragment || checksum(b[:header]) != 0 {
		return layer2.Frame{}, errNotValid
	}
	body := b[header:length]
	if body[0] != echoRequest4 || body[1] != 0 || checksum(body) != 0 {
		return layer2.Frame{}, errNotValid
	}
	f.Kind, f.Payload = layer2.EchoRequest, string(body[echoHeader:])
	f.Sender.IP, f.Target.IP = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	return f, nil
}

// decodeEcho6 reads the ICMPv6 message of a packet, an echo request.
func decodeEcho6(f layer2.Frame, source, to netip.Addr, body []byte) (layer2.Frame, error) {
	if len(body) < echoHeader+4 || body[1] != 0 {
		return layer2.Frame{}, errNotValid
	}
	f.Kind, f.Payload = layer2.EchoRequest, string(body[echoHeader:])
	f.Sender.IP, f.Target.IP = source, to
	return f, nil
}

// encodeEcho is the IP packet of an echo request or reply.
func encodeEcho(f layer2.Frame) ([]byte, error) {
	from, to := f.Sender.IP, f.Target.IP
	if !from.IsValid() || from.Is4() != to.Is4() || !to.IsValid() || from.Is4In6() || to.Is4In6() {
		return nil, errors.New("no source and destination of one family")
	}
	if len(f.Payload) > math.MaxUint16-ipv4Header-echoHeader {
		return nil, errors.New("too much data")
	}
	body := append(make([]byte, echoHeader), f.Payload...)
	reply := f.Kind == layer2.EchoReply
	if from.Is4() {
		body[0] = echoRequest4
		if reply {
			body[0] = echoReply4
		}
		binary.BigEndian.PutUint16(body[2:], checksum(body))
		return append(header4(from, to, len(body)), body...), nil
	}
	body[0] = echoRequest6
	if reply {
		body[0] = echoReply6
	}
	binary.BigEndian.PutUint16(body[2:], checksum6(from, to, body))
	return append(header6(from, to, len(body), timeToLive), body...), nil
}

func header4(from, to netip.Addr, length int) []byte {
	b := make([]byte, ipv4Header, ipv4Header+length)
	b[0], b[8], b[9] = 4<<4|ipv4Header/4, timeToLive, icmpv4
	binary.BigEndian.PutUint16(b[2:], uint16(ipv4Header+length))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return b
}

func header6(from, to netip.Addr, length int, hops byte) []byte {
	b := make([]byte, ipv6Header, ipv6Header+length)
	b[0], b[6], b[7] = 6<<4, icmpv6, hops
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	return b
}

// checksum is the Internet checksum (RFC 1071) over the parts, each but the last of an even length: 0 over a message
// that contains its own, when that is right.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// checksum6 is ICMPv6's, with the pseudo-header (RFC 4443 §2.3).
func checksum6(source, to netip.Addr, message []byte) uint16 {
	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(message)))
	pseudo = append(pseudo, 0, 0, 0, icmpv6)
	return checksum(source.AsSlice(), to.AsSlice(), pseudo, message)
}
