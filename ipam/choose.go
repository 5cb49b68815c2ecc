package ipam

import "net/netip"

// obstacle says why a wish cannot be granted now, and what would have to change.
type obstacle struct {
	err  error
	lack lack
}

func never(err error) *obstacle { return &obstacle{err, lack{kind: lackPools}} }

// choose finds addresses for an owner that has none. It changes nothing.
func (a *Allocator) choose(w *wish) (Assignment, *obstacle) {
	pools := a.space.auto
	var only *pool
	if w.pool != "" {
		if only = a.space.named(w.pool); only == nil {
			return Assignment{}, never(&NoMatchingPoolError{Pool: w.pool})
		}
		pools = []*pool{only}
	}
	if w.pins[IPv4].IsValid() || w.pins[IPv6].IsValid() {
		return a.choosePinned(w, only)
	}
	if len(pools) == 0 {
		return Assignment{}, never(&NoMatchingPoolError{})
	}
	if got := chooseFree(w.families, pools); !got.isZero() {
		return got, nil
	}
	if able := withFamilies(w.families, pools); len(able) > 0 {
		return Assignment{}, &obstacle{
			&PoolExhaustedError{able, w.families},
			lack{kind: lackAny, families: w.families, pool: only},
		}
	}
	return Assignment{}, never(&FamilyUnavailableError{poolNames(pools), w.families})
}

// chooseFree takes the lowest free addresses of the first pool that can serve all families; for those who only
// prefer two, else of the first that can serve the preferred family, else of the first that can serve the other.
func chooseFree(families Families, pools []*pool) Assignment {
	first := families.first()
	if !families.dual() {
		return chooseOne(first, pools)
	}
	for _, p := range pools {
		if p.vacant(IPv4) && p.vacant(IPv6) {
			return Assignment{p.name, p.lowest(IPv4), p.lowest(IPv6)}
		}
	}
	if families == RequireDual {
		return Assignment{}
	}
	if got := chooseOne(first, pools); !got.isZero() {
		return got
	}
	return chooseOne(first.other(), pools)
}

func chooseOne(f Family, pools []*pool) Assignment {
	for _, p := range pools {
		if p.vacant(f) {
			got := Assignment{Pool: p.name}
			got.set(f, p.lowest(f))
			return got
		}
	}
	return Assignment{}
}

// choosePinned grants the requested addresses, and adds the lowest free one of a family that is wanted besides.
func (a *Allocator) choosePinned(w *wish, only *pool) (Assignment, *obstacle) {
	got, p := Assignment{}, only
	for _, pin := range w.pins {
		if !pin.IsValid() {
			continue
		}
		at, o := a.pinned(pin, p, only)
		if o != nil {
			return Assignment{}, o
		}
		p = at
		got.set(familyOf(pin), pin)
	}
	got.Pool = p.name
	if !w.families.dual() || got.V4.IsValid() && got.V6.IsValid() {
		return got, nil
	}
	f := IPv4
	if got.V4.IsValid() {
		f = IPv6
	}
	switch {
	case p.vacant(f):
		got.set(f, p.lowest(f))
	case w.families != RequireDual:
	case p.has(f):
		return Assignment{}, &obstacle{exhausted(p, f), lack{kind: lackBeside, family: f, pool: p}}
	default:
		return Assignment{}, never(&FamilyUnavailableError{[]string{p.name}, w.families})
	}
	return got, nil
}

// pinned returns the pool of a requested address that is free. It must be in want, unless that is nil; only is the
// requested pool.
func (a *Allocator) pinned(pin netip.Addr, want, only *pool) (*pool, *obstacle) {
	p := a.space.at(pin)
	switch {
	case p == nil && only == nil:
		return nil, never(&AddressNotInPoolError{Address: pin})
	case only != nil && p != only:
		return nil, never(&AddressNotInPoolError{Address: pin, Pool: only.name})
	case want != nil && p != want:
		return nil, never(&InvalidRequestError{Problem: "it asks for addresses of two pools, " +
			`"` + want.name + `" and "` + p.name + `", and both have to come from one`})
	}
	if holder := a.held[pin]; holder != nil {
		return nil, &obstacle{&AddressInUseError{pin, p.name, holder.owner}, lack{kind: lackAddr, addr: pin}}
	}
	return p, nil
}

// chooseSecond finds the second address for a dual-stack owner that has one. It changes nothing.
func (a *Allocator) chooseSecond(r *record) (netip.Addr, *obstacle) {
	f := r.missing()
	p := a.space.at(r.have.addr(f.other()))
	if pin := r.wish.pins[f]; pin.IsValid() {
		if _, o := a.pinned(pin, p, nil); o != nil {
			if o.lack.kind == lackAddr {
				o.lack.kind = lackSecAddr
			}
			return netip.Addr{}, o
		}
		return pin, nil
	}
	switch {
	case p.vacant(f):
		return p.lowest(f), nil
	case p.has(f):
		return netip.Addr{}, &obstacle{exhausted(p, f), lack{kind: lackSecond, family: f, pool: p}}
	default:
		return netip.Addr{}, never(&FamilyUnavailableError{[]string{p.name}, RequireDual})
	}
}

func exhausted(p *pool, f Family) error {
	return &PoolExhaustedError{[]string{p.name}, SingleIPv4 + Families(f)}
}

// withFamilies names the pools that have the families that are needed, full or not.
func withFamilies(families Families, pools []*pool) []string {
	var able []*pool
	for _, p := range pools {
		v4, v6 := p.has(IPv4), p.has(IPv6)
		switch {
		case families == SingleIPv4 && v4, families == SingleIPv6 && v6, families == RequireDual && v4 && v6,
			(families == PreferDualIPv4 || families == PreferDualIPv6) && (v4 || v6):
			able = append(able, p)
		}
	}
	return poolNames(able)
}

func poolNames(pools []*pool) []string {
	names := make([]string, 0, len(pools))
	for _, p := range pools {
		names = append(names, p.name)
	}
	return names
}
