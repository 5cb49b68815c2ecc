package members

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/layer2"
)

// The fields of an interface.
const (
	linkName = 1 + iota
	linkMAC
	linkFlags // a uvarint of the bits below
	linkAddrs // for each the length of its prefix, plus v6Prefix if it is IPv6, and its 4 or 16 bytes
)

const v6Prefix = 64

const (
	linkUp = 1 << iota
	linkCarrier
	linkBroadcast
	linkEnslaved
	linkDefault4
	linkDefault6
)

// What a message may hold; more is an error, so that a broken speaker cannot fill the memory of the others.
const (
	maxLinks     = 1024
	maxLinkName  = 64
	maxLinkAddrs = 1024
)

// appendLinks writes interfaces as fields with the tag 1.
func appendLinks(b []byte, links []layer2.Link) []byte {
	for _, l := range links {
		one := appendField(nil, linkName, l.Name)
		if l.MAC != (layer2.MAC{}) {
			one = appendField(one, linkMAC, l.MAC[:])
		}
		one = appendNumber(one, linkFlags, linkBits(l))
		var addrs []byte
		for _, p := range l.Addrs {
			length := p.Bits()
			if p.Addr().Is6() {
				length += v6Prefix
			}
			addrs = append(append(addrs, byte(length)), p.Addr().AsSlice()...)
		}
		b = appendField(b, 1, appendField(one, linkAddrs, addrs))
	}
	return b
}

func linkBits(l layer2.Link) (bits uint64) {
	for i, set := range []bool{l.Up, l.Carrier, l.Broadcast, l.Enslaved, l.Default4, l.Default6} {
		if set {
			bits |= 1 << i
		}
	}
	return bits
}

// readLinks is the inverse of appendLinks.
func readLinks(b []byte) ([]layer2.Link, error) {
	var links []layer2.Link
	in := reader{b: b}
	for {
		tag, value, ok := in.field()
		if !ok {
			return links, in.err
		}
		if tag != 1 {
			continue
		}
		l, err := readLink(value)
		if err != nil {
			return nil, err
		}
		if links = append(links, l); len(links) > maxLinks {
			return nil, fmt.Errorf("more than %d interfaces", maxLinks)
		}
	}
}

func readLink(b []byte) (layer2.Link, error) {
	var l layer2.Link
	in := reader{b: b}
	for {
		tag, value, ok := in.field()
		if !ok {
			return l, in.err
		}
		switch tag {
		case linkName:
			if l.Name = string(value); len(value) > maxLinkName {
				return l, fmt.Errorf("an interface's name of %d bytes: at most %d", len(value), maxLinkName)
			}
		case linkMAC:
			if copy(l.MAC[:], value) != len(value) || len(value) != len(l.MAC) {
				return l, fmt.Errorf("a MAC address of %d bytes", len(value))
			}
		case linkFlags:
			bits, err := number(value)
			if err != nil {
				return l, err
			}
			l.Up, l.Carrier, l.Broadcast = bits&linkUp != 0, bits&linkCarrier != 0, bits&linkBroadcast != 0
			l.Enslaved, l.Default4, l.Default6 = bits&linkEnslaved != 0, bits&linkDefault4 != 0, bits&linkDefault6 != 0
		case linkAddrs:
			var err error
			if l.Addrs, err = readPrefixes(value); err != nil {
				return l, err
			}
		}
	}
}

func readPrefixes(b []byte) ([]netip.Prefix, error) {
	var out []netip.Prefix
	in := reader{b: b}
	for len(in.b) > 0 {
		length := int(in.bytes(1)[0])
		size := uint64(4)
		if len(out) >= maxLinkAddrs {
			return nil, fmt.Errorf("more than %d addresses of an interface", maxLinkAddrs)
		}
		if length >= v6Prefix {
			length, size = length-v6Prefix, 16
		}
		addr, ok := netip.AddrFromSlice(in.bytes(size))
		if !ok {
			return nil, errShort
		}
		p := netip.PrefixFrom(addr, length)
		if !p.IsValid() {
			return nil, errors.New("a prefix that is longer than its address")
		}
		out = append(out, p)
	}
	return out, nil
}
