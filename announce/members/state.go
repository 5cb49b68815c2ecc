package members

import (
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/layer2"
)

// State is what a speaker tells the others of itself. It is a value: nobody changes what it points to.
type State struct {
	// Interfaces that it could answer on. Of each travel the name, the MAC address, Up, Carrier, Broadcast, Enslaved,
	// the addresses with their prefixes and the default routes, so that layer2.Choose gives the same answer
	// everywhere; the index, the epoch and the problem are its own affair, and zero elsewhere.
	Interfaces []layer2.Link
	// Held are the addresses that it answers for, in order, without repetition.
	Held []netip.Addr
	// Starting says that it does not know yet what it should announce.
	Starting bool
	// Draining says that its node is being emptied: it holds what it has until another one takes it over.
	Draining bool
}

// Holds reports whether the speaker answers for the address.
func (s State) Holds(addr netip.Addr) bool {
	_, found := slices.BinarySearchFunc(s.Held, addr.Unmap().WithZone(""), netip.Addr.Compare)
	return found
}

// The registers of a speaker, by tag. Each travels as opaque bytes, so that a speaker passes on what it does not know.
// New ones are added at the end; those that are not known are kept and skipped.
const (
	tagFlags      = firstRegister + iota // a uvarint of the bits below
	tagInterfaces                        // see appendLinks
)

const (
	flagStarting = 1 << iota
	flagDraining
	flagLeaving
)

// registers is the part of a state that is replaced as a whole, register by register.
type registers map[uint64]string

// registersOf encodes everything but the addresses held.
func registersOf(s State, leaving bool) registers {
	var flags uint64
	for bit, set := range map[uint64]bool{flagStarting: s.Starting, flagDraining: s.Draining, flagLeaving: leaving} {
		if set {
			flags |= bit
		}
	}
	return registers{
		tagFlags:      string(appendUvarint(nil, flags)),
		tagInterfaces: string(appendLinks(nil, s.Interfaces)),
	}
}

// state is the inverse of registersOf. What is missing is zero.
func (r registers) state() (s State, leaving bool, err error) {
	if raw, ok := r[tagFlags]; ok {
		in := reader{b: []byte(raw)}
		flags := in.uvarint()
		s.Starting, s.Draining, leaving = flags&flagStarting != 0, flags&flagDraining != 0, flags&flagLeaving != 0
		if in.err != nil {
			return State{}, false, in.err
		}
	}
	if raw, ok := r[tagInterfaces]; ok {
		if s.Interfaces, err = readLinks([]byte(raw)); err != nil {
			return State{}, false, err
		}
	}
	return s, leaving, nil
}

// addresses returns addrs in order, each once, as plain IPv4 or IPv6 addresses.
func addresses(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if a.IsValid() {
			out = append(out, a.Unmap().WithZone(""))
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// compare returns what has to be added to and removed from before to get now. Both are in order.
func compare(before, now []netip.Addr) (added, removed []netip.Addr) {
	for len(before) > 0 && len(now) > 0 {
		switch c := before[0].Compare(now[0]); {
		case c == 0:
			before, now = before[1:], now[1:]
		case c < 0:
			removed, before = append(removed, before[0]), before[1:]
		default:
			added, now = append(added, now[0]), now[1:]
		}
	}
	return append(added, now...), append(removed, before...)
}

// merge returns held with what was added, and without what was removed; all are in order. held is left as it is.
func merge(held, added, removed []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(held)+len(added))
	for len(held) > 0 || len(added) > 0 {
		var next netip.Addr
		if len(added) == 0 || len(held) > 0 && held[0].Compare(added[0]) <= 0 {
			if next, held = held[0], held[1:]; len(added) > 0 && added[0] == next {
				added = added[1:]
			}
		} else {
			next, added = added[0], added[1:]
		}
		for len(removed) > 0 && removed[0].Less(next) {
			removed = removed[1:]
		}
		if len(removed) == 0 || removed[0] != next {
			out = append(out, next)
		}
	}
	return out
}
