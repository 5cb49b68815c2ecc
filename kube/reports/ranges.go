package reports

import (
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/ipam"
)

const (
	// fineRanges is up to how many ranges say exactly which addresses are meant.
	fineRanges = 256
	// mostRanges is how many there are at most: about 60 kB of IPv4, in an object of which the API server takes 1.5 MB.
	mostRanges = 4000
)

// List writes addresses as ranges, such as "10.0.0.1-10.0.0.9". Both lists are in order, without repetitions, and have
// nothing in common. Where ranges of consecutive addresses would be many, one also spans addresses that nobody has, but
// never one of the others, which are those that a Service has and that are not meant.
func List(addrs, others []netip.Addr) Listed {
	ranges, ends := span(addrs, nil, true)
	if len(ranges) > fineRanges {
		ranges, ends = span(addrs, others, false)
	}
	l := Listed{}
	if len(ranges) > mostRanges {
		l.Unlisted = len(addrs) - ends[mostRanges-1]
		ranges = ranges[:mostRanges]
	}
	for _, r := range ranges {
		l.Addresses = append(l.Addresses, r.String())
	}
	return l
}

// span returns ranges of the addresses, and how many of these come up to the end of each.
func span(addrs, others []netip.Addr, exact bool) (ranges []ipam.Range, ends []int) {
	next := 0 // of the others
	for i, a := range addrs {
		for next < len(others) && others[next].Less(a) {
			next++
		}
		last := len(ranges) - 1
		joined := last >= 0 && ranges[last].To.BitLen() == a.BitLen()
		switch {
		case exact:
			joined = joined && ranges[last].To.Next() == a
		case joined && next > 0:
			joined = others[next-1].Less(ranges[last].To)
		}
		if joined {
			ranges[last].To, ends[last] = a, i+1
		} else {
			ranges, ends = append(ranges, ipam.Range{From: a, To: a}), append(ends, i+1)
		}
	}
	return ranges, ends
}

// Set is what somebody reads of Listed.
type Set struct {
	ranges []ipam.Range
	more   bool // addresses after the last range may be meant, too
}

// Set reads the ranges; those that a hand has spoilt are left out.
func (l Listed) Set() Set {
	s := Set{more: l.Unlisted > 0}
	for _, text := range l.Addresses {
		if r, err := ipam.ParseRange(text); err == nil {
			s.ranges = append(s.ranges, r)
		}
	}
	slices.SortFunc(s.ranges, func(a, b ipam.Range) int { return a.From.Compare(b.From) })
	return s
}

// Has says whether an address is in the set, and whether that is known.
func (s Set) Has(a netip.Addr) (has, known bool) {
	i, found := slices.BinarySearchFunc(s.ranges, a, func(r ipam.Range, a netip.Addr) int { return r.From.Compare(a) })
	if found || i > 0 && s.ranges[i-1].Contains(a) {
		return true, true
	}
	return false, !s.more || i < len(s.ranges)
}
