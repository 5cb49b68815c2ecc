package ipam

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Remembered is a released address, as data that one Allocator exports and its successor imports.
type Remembered struct {
	Owner    Owner // who gets it back (Pool.StickyTTL); "": nobody, it only goes to others last (Pool.Cooldown)
	Address  netip.Addr
	Released time.Time
}

// memory is what an owner that lacks an address of a family had last.
type memory [2]struct {
	addr netip.Addr
	at   time.Time
}

// Remembered returns what the Allocator remembers of released addresses, in order. With Remember and Adopt, a new
// Allocator goes on as this one would.
func (a *Allocator) Remembered() []Remembered {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin()
	var all []Remembered
	for owner, m := range a.memories {
		for _, f := range families {
			if a.sticky(m[f].addr, m[f].at) {
				all = append(all, Remembered{owner, m[f].addr, m[f].at})
			}
		}
	}
	for addr, at := range a.released {
		if a.cools(addr, at) {
			all = append(all, Remembered{"", addr, at})
		}
	}
	slices.SortFunc(all, func(x, y Remembered) int {
		return cmp.Or(cmp.Compare(x.Owner, y.Owner), x.Address.Compare(y.Address))
	})
	return all
}

// Remember adds what another Allocator remembered. It concerns owners and addresses that are free now: call it before
// Adopt or after. Of two releases the later counts. What the pools do not remember that long is left out.
func (a *Allocator) Remember(all []Remembered) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin()
	for _, m := range all {
		p, at := a.space.at(m.Address), m.Released.Round(0)
		if p == nil {
			continue
		}
		f := familyOf(m.Address)
		if m.Owner == "" {
			if !a.taken(m.Address) && a.cools(m.Address, at) && at.After(a.released[m.Address]) {
				a.released[m.Address] = at
				a.refrigerate(p, m.Address, at)
			}
			continue
		}
		r, known := a.memories[m.Owner], a.owners[m.Owner]
		if known != nil && known.have.addr(f).IsValid() || !a.sticky(m.Address, at) || !at.After(r[f].at) {
			continue
		}
		r[f].addr, r[f].at = m.Address, at
		a.memories[m.Owner] = r
	}
}

// sticky reports whether a release is still remembered for its owner.
func (a *Allocator) sticky(addr netip.Addr, at time.Time) bool {
	p := a.space.at(addr)
	return p != nil && p.StickyTTL > 0 && a.clock().Sub(at) < p.StickyTTL
}

// cools reports whether an address that was released then goes to others last.
func (a *Allocator) cools(addr netip.Addr, at time.Time) bool {
	p := a.space.at(addr)
	return p != nil && p.Cooldown > 0 && a.clock().Sub(at) < p.Cooldown
}

// remember notes that an owner gives up an address.
func (a *Allocator) remember(r *record, p *pool, addr netip.Addr) {
	if p.StickyTTL == 0 {
		return
	}
	f, m := familyOf(addr), a.memories[r.owner]
	m[f].addr, m[f].at = addr, a.clock()
	a.memories[r.owner] = m
	if len(a.memories) > a.crowd {
		a.sweep()
		a.crowd = 2*len(a.memories) + 1000
	}
}

// recall forgets what an owner that has an address of the family again is remembered for.
func (a *Allocator) recall(r *record, f Family) {
	m, ok := a.memories[r.owner]
	if !ok {
		return
	}
	m[f] = memory{}[f]
	if m == (memory{}) {
		delete(a.memories, r.owner)
	} else {
		a.memories[r.owner] = m
	}
}

// sweep deletes what is not remembered any more.
func (a *Allocator) sweep() {
	for owner, m := range a.memories {
		for _, f := range families {
			if !a.sticky(m[f].addr, m[f].at) {
				m[f] = memory{}[f]
			}
		}
		if m == (memory{}) {
			delete(a.memories, owner)
		} else {
			a.memories[owner] = m
		}
	}
	for addr, at := range a.released {
		if !a.cools(addr, at) {
			delete(a.released, addr)
		}
	}
}

// refrigerate moves a free address from the holes to those that cool.
func (a *Allocator) refrigerate(p *pool, addr netip.Addr, at time.Time) {
	f := familyOf(addr)
	n, ok := p.line[f].number(fromAddr(addr))
	if _, reserved := p.reserved[addr]; !ok || reserved {
		return
	}
	if !p.free[f].take(n) {
		p.cooling[f].live-- // it cooled already, since an earlier release
	}
	p.cool(f, n, at)
}

// now is the time of the running call, which is asked for only once and only if it matters.
func (a *Allocator) clock() time.Time {
	if a.time.IsZero() {
		a.time = a.now().Round(0)
	}
	return a.time
}

// begin starts a call: time passes.
func (a *Allocator) begin() {
	a.time = time.Time{}
	a.thaw()
}
