package ipam

import "net/netip"

// renew replaces the request of an owner and takes from it what it does not ask for any more.
func (a *Allocator) renew(r *record, w wish, invalid error) (freed []netip.Addr) {
	before := r.wish
	if !before.created.Equal(w.created) || !before.since.Equal(w.since) || invalid != nil {
		a.queue.leave(r) // its turn changes
	}
	if r.invalid = invalid; r.invalid != nil {
		r.wish.created, r.wish.since = w.created, w.since
		return nil
	}
	r.wish = w
	moved := w.pool != "" && w.pool != before.pool && w.pool != r.have.Pool
	for _, f := range [...]Family{IPv4, IPv6} {
		addr, pin := r.have.addr(f), w.pins[f]
		if addr.IsValid() && (moved || !w.families.want(f) || pin.IsValid() && pin != addr) {
			a.drop(r, f)
			freed = append(freed, addr)
			a.tx[a.touch(r)].lost = &RequestChangedError{addr}
		}
	}
	return freed
}

// pending reports whether an owner is to be given something; who is not leaves the queue.
func (a *Allocator) pending(r *record) bool {
	if r.invalid != nil || r.complete() {
		a.queue.leave(r)
		return false
	}
	return true
}

// fillKept completes an owner that requires two addresses and has one. If that fails it loses the one it has, which
// is returned.
func (a *Allocator) fillKept(r *record) (freed []netip.Addr) {
	if r.have.isZero() || r.wish.families != RequireDual || r.complete() {
		return nil
	}
	addr, o := a.chooseSecond(r)
	if o == nil {
		a.hold(r, r.have.Pool, addr)
		a.queue.leave(r)
		return nil
	}
	freed = r.have.Addrs()
	if e := &a.tx[a.touch(r)]; e.lost == nil {
		e.lost = o.err
	}
	a.clear(r)
	return freed
}

// fill serves an owner that has nothing, or files it for what it lacks, which is returned.
func (a *Allocator) fill(r *record) *lack {
	if !r.have.isZero() {
		return nil
	}
	got, o := a.choose(&r.wish)
	if o != nil {
		a.queue.file(r, o.lack)
		return &o.lack
	}
	a.touch(r)
	a.queue.leave(r)
	for _, addr := range [...]netip.Addr{got.V4, got.V6} {
		if addr.IsValid() {
			a.hold(r, got.Pool, addr)
		}
	}
	a.fillSecond(r)
	return nil
}

// fillSecond serves an owner that prefers two addresses and has one, or files it for the other, which is returned.
func (a *Allocator) fillSecond(r *record) *lack {
	if r.have.isZero() || r.complete() {
		return nil
	}
	addr, o := a.chooseSecond(r)
	if o != nil {
		a.queue.file(r, o.lack)
		return &o.lack
	}
	a.touch(r)
	a.queue.leave(r)
	a.hold(r, r.have.Pool, addr)
	return nil
}

// serve gives freed addresses to those who wait for them: first to owners that have nothing, then to those that lack
// a second address.
func (a *Allocator) serve(freed []netip.Addr) {
	if len(a.queue.groups) == 0 {
		return
	}
	var first, second []*group
	for _, addr := range freed {
		if p := a.space.at(addr); p != nil {
			f, s := a.queue.heads(p, addr)
			first, second = append(first, f...), append(second, s...)
		}
	}
	serveGroups(first, a.fill)
	serveGroups(second, a.fillSecond)
}

// serveGroups serves the heads of the groups in turn, until none of them can be.
func serveGroups(groups []*group, fill func(*record) *lack) {
	for g := next(groups); g != nil; g = next(groups) {
		if l := fill(g.members[0]); l != nil && *l == g.lack {
			for i := range groups {
				if groups[i] == g {
					groups[i] = &group{} // nobody in it can be served
				}
			}
		}
	}
}

// hold gives a free address to an owner.
func (a *Allocator) hold(r *record, pool string, addr netip.Addr) {
	a.space.take(addr)
	a.held[addr] = r
	r.have.Pool = pool
	r.have.set(familyOf(addr), addr)
}

// drop takes the address of a family from an owner.
func (a *Allocator) drop(r *record, f Family) {
	addr := r.have.addr(f)
	if !addr.IsValid() {
		return
	}
	delete(a.held, addr)
	a.space.give(addr)
	r.have.set(f, netip.Addr{})
	a.relabel(r)
}

func (a *Allocator) clear(r *record) {
	a.drop(r, IPv4)
	a.drop(r, IPv6)
}

// relabel names the pool that the owner's address is in.
func (a *Allocator) relabel(r *record) {
	switch {
	case r.have.V4.IsValid():
		r.have.Pool = a.space.at(r.have.V4).name
	case r.have.V6.IsValid():
		r.have.Pool = a.space.at(r.have.V6).name
	default:
		r.have.Pool = ""
	}
}
