package ipam

import "net/netip"

// renew replaces the request of an owner, and takes from it what it does not ask for any more, what its pool's
// Selector does not let it have, and what it cannot share any more with older owners. Younger owners that now clash
// with it lose the address, and are noted in a.ousted.
func (a *Allocator) renew(r *record, w wish, invalid error) {
	if r.turn != w.turn || invalid != nil {
		a.queue.leave(r) // its turn changes
	}
	fresh := r.families == 0 && r.have.isZero()
	details, f := r.details, r.families
	if invalid == nil || fresh {
		details, f = w.details, w.families
	}
	relinked := !r.have.isZero() && r.relinks(details, w.turn)
	if relinked {
		a.eachAddr(r, func(p *pool, addr netip.Addr) { a.unlink(r, p, addr) })
	}
	before := r.pool()
	r.turn, r.details, r.families = w.turn, details, f
	r.choice = a.space.choiceOf(r)
	r.setProblem(invalid, r.told())
	if relinked {
		a.eachAddr(r, func(p *pool, addr netip.Addr) { a.relink(r, p, addr) })
	}
	if invalid != nil {
		return
	}
	name := r.pool()
	moved := name != "" && name != before && name != r.have.Pool
	for _, f := range families {
		addr, pin := r.have.addr(f), r.pin(f)
		var lost error
		switch {
		case !addr.IsValid():
		case moved || !r.families.want(f) || pin.IsValid() && pin != addr:
			lost = &RequestChangedError{addr}
		case a.space.selects:
			if p := a.space.at(addr); !p.serves(r) {
				lost = &NoMatchingPoolError{Pool: p.Name, Why: NotSelected}
			}
		}
		if lost != nil {
			a.drop(r, f)
			a.tx[a.touch(r)].lost = lost
		}
	}
}

// eachAddr calls do with the addresses that the owner has now.
func (a *Allocator) eachAddr(r *record, do func(*pool, netip.Addr)) {
	have := r.have
	for _, f := range families {
		if addr := have.addr(f); addr.IsValid() {
			do(a.space.at(addr), addr)
		}
	}
}

// relinks reports whether something changes that its fellow holders or its namespace's quota depend on.
func (r *record) relinks(d *details, t turn) bool {
	if d == nil {
		d = &noDetails
	}
	shares := r.share().Key != "" || d.share.Key != ""
	return r.namespace() != d.namespace || shares && (!r.share().equal(d.share) || r.turn.compareCreated(t) != 0)
}

// relink enters an owner again that was unlinked from an address, unless an older holder keeps it from that. Younger
// ones that clash with it have to go.
func (a *Allocator) relink(r *record, p *pool, addr netip.Addr) {
	var ousted []*record
	for _, h := range a.holders(addr) {
		problem := clash(r, h)
		if problem == "" {
			continue
		}
		if compareAges(h, r) < 0 {
			a.part(r, p, familyOf(addr))
			a.tx[a.touch(r)].lost = &SharingConflictError{addr, p.Name, h.owner, problem}
			return
		}
		ousted = append(ousted, h)
	}
	for _, h := range ousted {
		e := a.touch(h)
		a.unlink(h, p, addr)
		a.part(h, p, familyOf(addr))
		a.tx[e].lost = &SharingConflictError{addr, p.Name, r.owner, clash(h, r)}
	}
	a.ousted = append(a.ousted, ousted...)
	a.link(r, p, addr)
}

// holders returns who holds an address, by age.
func (a *Allocator) holders(addr netip.Addr) []*record {
	if s := a.sites[addr]; s != nil {
		return s.holders
	}
	if r := a.held[addr]; r != nil {
		return []*record{r}
	}
	return nil
}

// clash says why two owners cannot have the same address, and is "" if they can.
func clash(r, o *record) string {
	if r.share().Key == "" || r.share().Key != o.share().Key {
		return "they do not have the same sharing key"
	}
	return r.share().clash(*o.share())
}
