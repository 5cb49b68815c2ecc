package ipam

import (
	"net/netip"
	"slices"
)

// Adopt takes over the addresses that owners already use, all owners at once, before anything is assigned anew. The
// order of the holdings does not matter; each owner appears once. An owner keeps every address that is in a pool whose
// Selector matches, that it does not ask against, and that it can share with those who have it; of two that cannot
// share the older (Created, then Owner) keeps it. Quotas, Sharing and Reservations of the pools take nothing from it.
// Then everybody who lacks something is served in turn. A requested pool is not compared with an adopted address: it
// may have been divided or renamed since. Adopt returns the owners whose addresses are not exactly those they came
// with, and those who wait. Owners that the Allocator knows already are treated as by Assign.
func (a *Allocator) Adopt(holdings []Holding) []Change {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin()
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
		a.renew(r, w, err)
		if !known {
			a.claim(r, h.Addrs, &a.tx[e])
		}
		touched = append(touched, r)
	}
	a.settle(append(touched, a.ousted...))
	a.serve()
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
			e.before.Pool = p.Name
		}
		if err := a.contest(r, p, addr); err != nil {
			e.lost = err
		} else {
			a.hold(r, addr)
		}
	}
	a.relabel(r)
}

// contest says why an owner that uses an address already may not keep it.
func (a *Allocator) contest(r *record, p *pool, addr netip.Addr) error {
	f := familyOf(addr)
	switch pin := r.pin(f); {
	case p == nil:
		return &AddressNotInPoolError{Address: addr}
	case r.invalid() == nil && (!r.families.want(f) || pin.IsValid() && pin != addr):
		return &RequestChangedError{addr}
	case !p.serves(r):
		return &NoMatchingPoolError{Pool: p.Name, Why: NotSelected}
	default:
		return a.refusal(r, p, addr, true)
	}
}
