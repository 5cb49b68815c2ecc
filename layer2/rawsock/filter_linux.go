package rawsock

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
)

const (
	otherHost   = 3    // PACKET_OTHERHOST: not for this interface, as of a VLAN that it has not
	maxFiltered = 1500 // more addresses than a filter of 4096 instructions has room for: accept all requests
	whole       = 2048 // bytes taken of an accepted frame
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

// program has check load the last 32 bits of the address asked for, and compares them with those of addrs.
func program(check []bpf.Instruction, addrs []netip.Addr) []bpf.Instruction {
	p := append(slices.Clone(otherHosts), check...)
	if len(addrs) > maxFiltered {
		return append(p, bpf.RetConstant{Val: whole})
	}
	for _, addr := range addrs {
		b := addr.AsSlice()
		p = append(p,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(b[len(b)-4:]), SkipTrue: 1},
			bpf.RetConstant{Val: whole})
	}
	return append(p, bpf.RetConstant{})
}
