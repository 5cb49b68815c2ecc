package members

import (
	"net/netip"
	"slices"
	"time"

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
	// Unproven says that its node was not seen to forward since it booted: it takes nothing new that another one can.
	Unproven bool
	// Restarting, if it is not zero, says that the speaker ends, or has just begun, and that its node goes on forwarding
	// what comes for the addresses in Held: for that long from when it is first told others answer in its place. A
	// speaker that ends is to say Draining as well, for those of a version that does not know of this. In whole
	// milliseconds.
	Restarting time.Duration
	// Standing are the addresses that it answers for in the place of speakers that restart, in order, without repetition.
	// Of very many the last may not be told.
	Standing []netip.Addr
}

// Holds reports whether the speaker answers for the address.
func (s State) Holds(addr netip.Addr) bool { return contains(s.Held, addr) }

// StandsIn reports whether the speaker answers for the address in the place of another one.
func (s State) StandsIn(addr netip.Addr) bool { return contains(s.Standing, addr) }

// contains reports whether an address is in a list in order.
func contains(all []netip.Addr, addr netip.Addr) bool {
	_, found := slices.BinarySearchFunc(all, addr.Unmap().WithZone(""), netip.Addr.Compare)
	return found
}

// The registers of a speaker, by tag. Each travels as opaque bytes, so that a speaker passes on what it does not know.
// New ones are added at the end; those that are not known are kept and skipped.
const (
	tagFlags      = firstRegister + iota // a uvarint of the bits below
	tagInterfaces                        // see appendLinks
	tagRestarting                        // a uvarint of milliseconds; empty: it does not restart
	tagStanding                          // a set; empty: there is none
)

// mostRestarting is how long a restart may take, whatever is told.
const mostRestarting = time.Hour

const (
	flagStarting = 1 << iota
	flagDraining
	flagLeaving
	flagUnproven
)

// registers is the part of a state that is replaced as a whole, register by register.
type registers map[uint64]string

// registersOf encodes everything but the addresses held.
func registersOf(s State, leaving bool) registers {
	var flags uint64
	for bit, set := range map[uint64]bool{flagStarting: s.Starting, flagDraining: s.Draining, flagLeaving: leaving, flagUnproven: s.Unproven} {
		if set {
			flags |= bit
		}
	}
	r := registers{
		tagFlags:      string(appendUvarint(nil, flags)),
		tagInterfaces: string(appendLinks(nil, s.Interfaces)),
		tagRestarting: "",
		tagStanding:   "",
	}
	if ms := s.Restarting / time.Millisecond; ms > 0 {
		r[tagRestarting] = string(appendUvarint(nil, uint64(min(ms, mostRestarting/time.Millisecond))))
	}
	if standing := addresses(s.Standing); len(standing) > 0 {
		set := encodeSet(standing)
		for len(set) > maxRegister {
			standing = standing[:len(standing)/2]
			set = encodeSet(standing)
		}
		r[tagStanding] = string(set)
	}
	return r
}

// state is the inverse of registersOf. What is missing is zero.
func (r registers) state() (s State, leaving bool, err error) {
	if raw, ok := r[tagFlags]; ok {
		in := reader{b: []byte(raw)}
		flags := in.uvarint()
		s.Starting, s.Draining, leaving = flags&flagStarting != 0, flags&flagDraining != 0, flags&flagLeaving != 0
		s.Unproven = flags&flagUnproven != 0
		if in.err != nil {
			return State{}, false, in.err
		}
	}
	if raw, ok := r[tagInterfaces]; ok {
		if s.Interfaces, err = readLinks([]byte(raw)); err != nil {
			return State{}, false, err
		}
	}
	if raw := r[tagRestarting]; raw != "" {
		ms, err := number([]byte(raw))
		if err != nil {
			return State{}, false, err
		}
		s.Restarting = time.Duration(min(ms, uint64(mostRestarting/time.Millisecond))) * time.Millisecond
	}
	if raw := r[tagStanding]; raw != "" {
		if s.Standing, err = readSet([]byte(raw)); err != nil {
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

// common reports whether two lists in order have an address in common.
func common(a, b []netip.Addr) bool {
	for len(a) > 0 && len(b) > 0 {
		switch a[0].Compare(b[0]) {
		case -1:
			a = a[1:]
		case 1:
			b = b[1:]
		default:
			return true
		}
	}
	return false
}
