package rawsock

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
)

const (
	otherHost  = 3    // PACKET_OTHERHOST: not for this interface, as of a VLAN that it has not
	thisHost   = 0    // PACKET_HOST: to this interface's own Ethernet address
	mostRanges = 200  // keeps a filter well within 4096 instructions, and in the 20 kB that old kernels have for it
	whole      = 2048 // bytes taken of an accepted frame
)

// arpFilter accepts ARP requests and replies with one of the addresses as target or sender.
func arpFilter(addrs []netip.Addr) []bpf.Instruction {
	p := append(slices.Clone(otherHosts),
		bpf.LoadAbsolute{Off: 20, Size: 2}, // operation
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 1, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 2, SkipTrue: 1},
		bpf.RetConstant{})
	ranges := cover(lastBits(addrs), mostRanges)
	p = append(p, bpf.LoadAbsolute{Off: 38, Size: 4}) // target protocol address
	p = append(p, accept(ranges)...)
	p = append(p, bpf.LoadAbsolute{Off: 28, Size: 4}) // sender protocol address
	p = append(p, accept(ranges)...)
	return append(p, bpf.RetConstant{})
}

// ndpFilter accepts neighbour solicitations and advertisements for addresses with the same last 32 bits.
func ndpFilter(addrs []netip.Addr) []bpf.Instruction {
	return slices.Concat(otherHosts, []bpf.Instruction{
		bpf.LoadAbsolute{Off: 20, Size: 2}, // next header and hop limit
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpv6<<8 | hopLimit, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 54, Size: 2}, // type and code
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 135 << 8, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 136 << 8, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 74, Size: 4}, // end of the target address
	}, accept(cover(lastBits(addrs), mostRanges)), []bpf.Instruction{bpf.RetConstant{}})
}

// echo4Filter accepts ICMP echo requests in one piece to the addresses, sent to this station alone.
func echo4Filter(addrs []netip.Addr) []bpf.Instruction {
	return slices.Concat(onlyThisHost, []bpf.Instruction{
		bpf.LoadAbsolute{Off: 23, Size: 1}, // protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpv4, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 20, Size: 2}, // flags and fragment offset
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: 0x3fff, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadMemShift{Off: 14}, // header length
		bpf.LoadIndirect{Off: 14, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: echoRequest4 << 8, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 30, Size: 4}, // destination
	}, accept(cover(lastBits(addrs), mostRanges)), []bpf.Instruction{bpf.RetConstant{}})
}

// echo6Filter accepts ICMPv6 echo requests to addresses with the same last 32 bits, sent to this station alone.
func echo6Filter(addrs []netip.Addr) []bpf.Instruction {
	return slices.Concat(onlyThisHost, []bpf.Instruction{
		bpf.LoadAbsolute{Off: 20, Size: 1}, // next header
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpv6, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 54, Size: 2}, // type and code
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: echoRequest6 << 8, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 50, Size: 4}, // end of the destination
	}, accept(cover(lastBits(addrs), mostRanges)), []bpf.Instruction{bpf.RetConstant{}})
}

// otherHosts drops frames for other hosts.
var otherHosts = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: otherHost, SkipTrue: 1},
	bpf.RetConstant{},
}

// onlyThisHost drops frames for others, many or all.
var onlyThisHost = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: thisHost, SkipTrue: 1},
	bpf.RetConstant{},
}

// lastBits are the last 32 bits of each address.
func lastBits(addrs []netip.Addr) []uint32 {
	values := make([]uint32, 0, len(addrs))
	for _, addr := range addrs {
		b := addr.AsSlice()
		values = append(values, binary.BigEndian.Uint32(b[len(b)-4:]))
	}
	return values
}

// accept takes the frame if the 32 bits that have been loaded are in one of the ranges. Addresses between them are let
// through where there would be too many ranges: the responder looks each one up anyway.
func accept(ranges []span) []bpf.Instruction {
	p := make([]bpf.Instruction, 0, 3*len(ranges))
	for _, s := range ranges {
		p = append(p,
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: s.first, SkipFalse: 2},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: s.last, SkipTrue: 1},
			bpf.RetConstant{Val: whole})
	}
	return p
}

type span struct{ first, last uint32 }

// cover is the ranges that contain the values and nothing else; if they are more than most, the closest of them
// are made one, until they are not.
func cover(values []uint32, most int) []span {
	slices.Sort(values)
	values = slices.Compact(values)
	var cuts []int // where a range begins, but for the first
	for i := 1; i < len(values); i++ {
		if values[i]-values[i-1] > 1 {
			cuts = append(cuts, i)
		}
	}
	if len(cuts) >= most {
		gap := func(i int) uint32 { return values[i] - values[i-1] }
		slices.SortStableFunc(cuts, func(i, j int) int {
			return cmp.Compare(gap(j), gap(i)) // widest first
		})
		cuts = cuts[:most-1]
		slices.Sort(cuts)
	}
	var spans []span
	first := 0
	for _, cut := range append(cuts, len(values)) {
		if cut > first {
			spans = append(spans, span{values[first], values[cut-1]})
		}
		first = cut
	}
	return spans
}
