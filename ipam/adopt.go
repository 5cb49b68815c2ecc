package ipam

import (
	"net/netip"
	"reflect"
	"slices"
)

// Adopt takes over the addresses that owners already use, all owners at once, before anything is assigned anew. The
// order of the holdings does not matter; each owner appears once. An owner keeps every address that is in a pool and
// that it does not ask against; of two that use one address the older (Created, then Owner) keeps it. Then everybody
// who lacks something is served in turn. A requested pool is not compared with an adopted address: it may have been
// divided or renamed since. Adopt returns the owners whose addresses are not exactly those they came with, and those
// who wait. Owners that the Allocator knows already are treated as by Assign.
func (a *Allocator) Adopt(holdings []Holding) []Change {
	a.mu.Lock()
	defer a.mu.Unlock()
	var freed []netip.Addr
	var changes []Change
	var touched []*record
	for _, h := range sortHoldings(holdings) {
		if h.Owner == "" {
			changes = append(changes, Change{Err: noOwner()})
			continue
		}
		known := a.owners[h.Owner] != nil
		r := a.record(h.Owner)
		e := a.touch(r)
		w, err := newWish(h.Request)
		freed = append(freed, a.renew(r, w, err)...)
		if !known {
			a.claim(r, h.Addrs, &a.tx[e])
		}
		touched = append(touched, r)
	}
	freed = append(freed, a.settle(touched)...)
	a.serve(freed)
	return append(changes, a.finish()...)
}

// claim gives an owner those of the addresses that it may keep.
func (a *Allocator) claim(r *record, addrs []netip.Addr, e *entry) {
	addrs = slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	for _, addr := range addrs {
		if checkAddr(addr) != nil || e.before.addr(familyOf(addr)).IsValid() {
			e.told = true // After cannot be what it came with
			continue
		}
		f, p := familyOf(addr), a.space.at(addr)
		e.before.set(f, addr)
		if p != nil && e.before.Pool == "" {
			e.before.Pool = p.name
		}
		pin := r.wish.pins[f]
		switch holder := a.held[addr]; {
		case p == nil:
			e.lost = &AddressNotInPoolError{Address: addr}
		case r.invalid == nil && (!r.wish.families.want(f) || pin.IsValid() && pin != addr):
			e.lost = &RequestChangedError{addr}
		case holder != nil:
			e.lost = &AddressInUseError{addr, p.name, holder.owner}
		default:
			a.hold(r, p.name, addr)
		}
	}
	a.relabel(r)
}

// settle serves owners of which each may lack something. Those that would otherwise lose what they have come first,
// then those that have nothing, then those that lack a second address. It returns what was given up.
func (a *Allocator) settle(records []*record) (freed []netip.Addr) {
	var lacking []*record
	for _, r := range records {
		if r.invalid == nil && !r.complete() {
			lacking = append(lacking, r)
		}
	}
	slices.SortFunc(lacking, compareTurns)
	for _, r := range lacking {
		freed = append(freed, a.fillKept(r)...)
	}
	for _, r := range lacking {
		a.fill(r)
	}
	for _, r := range lacking {
		a.fillSecond(r)
	}
	return freed
}

// SetPools replaces the pools. An address that is still in some pool stays with its owner, whatever the pool is called
// now and whether it is Manual; an owner that loses one gets another in the same call if possible, and waiting owners
// are served. The changes are in the order of (Since, Created, Owner). With an error, which lists every mistake as New
// does, nothing changes.
func (a *Allocator) SetPools(pools []Pool) ([]Change, error) {
	s, err := newSpace(pools)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if reflect.DeepEqual(s.given, a.space.given) {
		return nil, nil
	}
	a.space, a.queue = s, queue{}
	records := make([]*record, 0, len(a.owners))
	for _, r := range a.owners {
		e := a.touch(r)
		r.group = nil
		for _, f := range [...]Family{IPv4, IPv6} {
			switch addr := r.have.addr(f); {
			case !addr.IsValid():
			case s.at(addr) != nil:
				s.take(addr)
			default:
				delete(a.held, addr)
				r.have.set(f, netip.Addr{})
				a.tx[e].lost = &AddressNotInPoolError{Address: addr}
			}
		}
		a.relabel(r)
		records = append(records, r)
	}
	a.settle(records)
	slices.SortFunc(a.tx, func(x, y entry) int { return compareTurns(x.record, y.record) })
	return a.finish(), nil
}
