package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Pool is a named set of addresses and the rules by which they are assigned. Only Name and Ranges are needed. Pools do
// not overlap, nor do the ranges of one.
type Pool struct {
	Name   string
	Ranges []Range
	// Exclude is never assigned anew; it lies inside Ranges. Who has such an address keeps it.
	Exclude []Range
	// AvoidBuggyIPs never assigns an IPv4 address that ends in .0 or .255, except by reservation.
	AvoidBuggyIPs bool
	// Disabled serves nobody new. Who has an address keeps it.
	Disabled bool
	// Manual serves only requests that name the pool or one of its addresses, and owners of Reservations.
	Manual bool
	// Priority decides which of several pools is tried first: the higher, and of equal ones the first in the list.
	Priority int
	// Assignment decides which of the free addresses an owner gets.
	Assignment Strategy
	// StickyTTL is how long a released address is remembered for its owner, who gets it back if it is free; 0: not.
	StickyTTL time.Duration
	// Cooldown is how long a released address is given to others last, when nothing else is free; 0: not at all.
	Cooldown time.Duration
	// Sharing is how far an equal Share.Key reaches.
	Sharing Reach
	// Requests decides whose requests for a specific address are granted.
	Requests Requests
	// MaxPerNamespace limits how many addresses the owners of a namespace have together; 0: no limit. A shared address
	// counts once; those in Reservations do not count.
	MaxPerNamespace int
	// Reservations are addresses that only their owners get, and that their owners get first.
	Reservations []Reservation
	// Selector says whom the pool may serve, even on request; nil: everybody. Pools with a Selector are tried before
	// those without.
	Selector Selector
}

// Strategy is a way to pick one of many free addresses.
type Strategy uint8

const (
	// Lowest picks the lowest free address.
	Lowest Strategy = iota
	// Stable starts at a place that depends on the owner alone, and takes the next free address upwards, from the end
	// on at the lowest. The place is the first 16 bytes of the SHA-256 of Request.Owner, as a big-endian number, modulo
	// the number of addresses of the family that the pool may assign. So owners tend to get the same address again.
	Stable
)

// Reach is how far a sharing key reaches.
type Reach uint8

const (
	// SharedInNamespace lets owners of one namespace share an address.
	SharedInNamespace Reach = iota
	// SharedByAll lets owners of all namespaces share an address.
	SharedByAll
	// NotShared lets nobody share an address.
	NotShared
)

// Requests says whose requests for a specific address are granted.
type Requests uint8

const (
	// RequestsOfAll grants everybody's.
	RequestsOfAll Requests = iota
	// RequestsIfReserved grants a request for an address only to the owner that it is reserved for.
	RequestsIfReserved
	// NoRequests grants none. Reserved addresses are given to those who do not ask for a specific address.
	NoRequests
)

// Reservation keeps an address for one owner. It overrides AvoidBuggyIPs and SetNever.
type Reservation struct {
	Address netip.Addr
	Owner   Owner
}

// Selector says whom a pool serves. Matches looks at nothing but the request (its Addresses and times may be in
// another form than they were given in), so that equal requests get equal answers; it is called with the Allocator
// locked and must not use it.
type Selector interface {
	Matches(Request) bool
}

// SelectorFunc is a function as a Selector.
type SelectorFunc func(Request) bool

// Matches calls the function.
func (f SelectorFunc) Matches(r Request) bool { return f(r) }

// clone copies what the caller may change.
func (p Pool) clone() Pool {
	p.Ranges, p.Exclude, p.Reservations = slices.Clone(p.Ranges), slices.Clone(p.Exclude), slices.Clone(p.Reservations)
	return p
}

// contains reports whether the address is in one of the ranges.
func contains(ranges []Range, addr netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r Range) bool { return r.Contains(addr) })
}

// covers reports whether every address of a range is in one of the ranges.
func covers(ranges []Range, r Range) bool {
	f := r.Family()
	outside := draw(spansOf([]Range{r})[f], spansOf(ranges)[f], true)
	return outside.empty()
}

// check lists what is wrong with a pool by itself.
func (p Pool) check() (errs []error) {
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("pool %q: "+format, append([]any{p.Name}, args...)...))
	}
	if len(p.Ranges) == 0 {
		errs = append(errs, fmt.Errorf("pool %q has no addresses", p.Name))
	}
	for _, r := range p.Ranges {
		if err := r.check(); err != nil {
			wrong("%w", err)
		}
	}
	for _, r := range p.Exclude {
		if err := r.check(); err != nil {
			wrong("excluding: %w", err)
		} else if !covers(p.Ranges, r) {
			wrong("excluding %s, which is not in the pool", r)
		}
	}
	for i, r := range p.Reservations {
		switch err := checkAddr(r.Address); {
		case err != nil:
			wrong("reserving: %w", err)
		case r.Owner == "":
			wrong("reserving %s for nobody", r.Address)
		case !contains(p.Ranges, r.Address):
			wrong("reserving %s, which is not in the pool", r.Address)
		case contains(p.Exclude, r.Address):
			wrong("reserving %s, which is excluded", r.Address)
		case slices.ContainsFunc(p.Reservations[:i], func(o Reservation) bool { return o.Address == r.Address }):
			wrong("two reservations of %s", r.Address)
		}
	}
	if p.StickyTTL < 0 || p.Cooldown < 0 || p.MaxPerNamespace < 0 {
		wrong("a duration or limit is negative")
	}
	if p.Assignment > Stable || p.Sharing > NotShared || p.Requests > NoRequests {
		wrong("an unknown Assignment, Sharing or Requests")
	}
	return errs
}

// checkPools lists what is wrong with the pools, but for overlaps.
func checkPools(pools []Pool) error {
	var errs []error
	for i, p := range pools {
		if p.Name == "" {
			errs = append(errs, fmt.Errorf("pool %d has no name", i))
		} else if slices.ContainsFunc(pools[:i], func(o Pool) bool { return o.Name == p.Name }) {
			errs = append(errs, fmt.Errorf("two pools are named %q", p.Name))
		}
		errs = append(errs, p.check()...)
	}
	return errors.Join(errs...)
}
