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
	mostRanges = 300  // keeps a filter well within 4096 instructions, and in the 20 kB that old kernels have for it
	whole      = 2048 // bytes taken of an accepted frame
)

// arpFilter accepts ARP requests for the addresses.
func arpFilter(addrs []netip.Addr) []bpf.Instruction {
	return program([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 20, Size: 2}, // operation
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 1, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 38, Size: 4}, // target protocol address
	}, addrs)
}

// nsFilter accepts neighbour solicitations for addresses with the same last 32 bits.
func nsFilter(addrs []netip.Addr) []bpf.Instruction {
	return program([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 20, Size: 2}, // next header and hop limit
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpv6<<8 | hopLimit, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 54, Size: 2}, // type and code
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 135 << 8, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadAbsolute{Off: 74, Size: 4}, // end of the target address
	}, addrs)
}

// otherHosts drops frames for other hosts.
var otherHosts = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: otherHost, SkipTrue: 1},
	bpf.RetConstant{},
}

// program has check load the last 32 bits of the address asked for, and compares them with those of addrs. Addresses
// between them are let through where there would be too many ranges: the responder looks each one up anyway.
func program(check []bpf.Instruction, addrs []netip.Addr) []bpf.Instruction {
	values := make([]uint32, 0, len(addrs))
	for _, addr := range addrs {
		b := addr.AsSlice()
		values = append(values, binary.BigEndian.Uint32(b[len(b)-4:]))
	}
	p := append(slices.Clone(otherHosts), check...)
	for _, s := range cover(values, mostRanges) {
		p = append(p,
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: s.first, SkipFalse: 2},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: s.last, SkipTrue: 1},
			bpf.RetConstant{Val: whole})
	}
	return append(p, bpf.RetConstant{})
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
