package bgp

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Community is a tag that a route carries to its peers: a standard one (RFC 1997), or a large one (RFC 8092). It is
// comparable; the zero value is the standard community 0:0.
type Community struct {
	large   bool
	a, b, c uint32 // of a standard one a is all of it
}

// StandardCommunity returns a community of 32 bits; the upper 16 are by custom an ASN, the lower 16 are its owner's.
func StandardCommunity(value uint32) Community { return Community{a: value} }

// LargeCommunity returns a community of three numbers: an ASN, and two of its owner's.
func LargeCommunity(asn, data1, data2 uint32) Community { return Community{true, asn, data1, data2} }

// The well-known communities (https://www.iana.org/assignments/bgp-well-known-communities) that say something of a
// single route, by the names that routers know them by.
var wellKnown = []struct {
	name  string
	value uint32
}{
	{"graceful-shutdown", 0xffff0000},   // RFC 8326
	{"accept-own", 0xffff0001},          // RFC 7611
	{"llgr-stale", 0xffff0006},          // RFC 9494
	{"no-llgr", 0xffff0007},             // RFC 9494
	{"blackhole", 0xffff029a},           // RFC 7999
	{"no-export", 0xffffff01},           // RFC 1997
	{"no-advertise", 0xffffff02},        // RFC 1997
	{"no-export-subconfed", 0xffffff03}, // RFC 1997
	{"no-peer", 0xffffff04},             // RFC 3765
}

// GracefulShutdown marks a route that is about to be withdrawn, so that others are taken (RFC 8326).
var GracefulShutdown = StandardCommunity(0xffff0000)

// WellKnownCommunities returns the names that ParseCommunity knows.
func WellKnownCommunities() []string {
	names := make([]string, 0, len(wellKnown))
	for _, w := range wellKnown {
		names = append(names, w.name)
	}
	return names
}

// ParseCommunity reads a standard community, "64500:100", a large one, "large:64500:1:2", or a well-known one's name,
// "no-export".
func ParseCommunity(text string) (Community, error) {
	for _, w := range wellKnown {
		if w.name == text {
			return StandardCommunity(w.value), nil
		}
	}
	rest, large := strings.CutPrefix(text, "large:")
	parts, bits, want := strings.Split(rest, ":"), 16, 2
	if large {
		bits, want = 32, 3
	}
	words := make([]uint32, 0, 3)
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, bits)
		if err == nil {
			words = append(words, uint32(n))
		}
	}
	switch {
	case len(words) != len(parts) || len(parts) != want:
		return Community{}, fmt.Errorf("community %q: want two numbers up to 65535 such as 64500:100, "+
			"large: and three up to 4294967295 such as large:64500:1:2, or a name such as no-export", text)
	case large:
		return LargeCommunity(words[0], words[1], words[2]), nil
	}
	return StandardCommunity(words[0]<<16 | words[1]), nil
}

// Standard returns the value of a standard community; ok is false of a large one.
func (c Community) Standard() (value uint32, ok bool) { return c.a, !c.large }

// Large returns the three numbers of a large community; ok is false of a standard one.
func (c Community) Large() (numbers [3]uint32, ok bool) { return [3]uint32{c.a, c.b, c.c}, c.large }

// String is what ParseCommunity reads: a well-known one's name, or the numbers.
func (c Community) String() string {
	if c.large {
		return fmt.Sprintf("large:%d:%d:%d", c.a, c.b, c.c)
	}
	for _, w := range wellKnown {
		if w.value == c.a {
			return w.name
		}
	}
	return fmt.Sprintf("%d:%d", c.a>>16, c.a&0xffff)
}

// MarshalText makes the community readable in JSON.
func (c Community) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (c *Community) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCommunity(string(text))
	return err
}

// Compare orders communities: standard ones first, then by their numbers.
func (c Community) Compare(o Community) int {
	if c.large != o.large {
		if o.large {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(c.a, o.a), cmp.Compare(c.b, o.b), cmp.Compare(c.c, o.c))
}
