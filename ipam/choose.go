package ipam

import "net/netip"

// obstacle says why a wish cannot be granted now, and what would have to happen.
type obstacle struct {
	err   error
	class class
	wakes []wake
}

func never(err error) *obstacle { return &obstacle{err: err} }

// choose finds addresses for an owner that has none.
func (a *Allocator) choose(r *record) (Assignment, *obstacle) {
	if name := r.pool(); name != "" && a.space.named(name) == nil {
		return Assignment{}, never(&NoMatchingPoolError{Pool: name})
	}
	if r.pinned() {
		return a.choosePinned(r)
	}
	for _, want := range attempts[r.families] {
		if got, ok := a.best(r, want); ok {
			return got, nil
		}
	}
	return Assignment{}, a.obstacle(r)
}

// obstacle says why an owner that requests no address cannot be served.
func (a *Allocator) obstacle(r *record) *obstacle {
	most := len(r.choice.pools)
	all, able := make([]string, 0, most), make([]string, 0, most)
	var quota error
	o := &obstacle{class: a.classOf(r), wakes: make([]wake, 0, most)}
	for _, p := range r.choice.pools {
		listed := !p.Manual || r.pool() != ""
		if listed {
			all = append(all, p.Name)
		}
		if !p.able(r.families) {
			continue
		}
		if listed {
			able = append(able, p.Name)
		}
		o.wakes = p.emptiness(r, o.wakes)
		if a.blocked(r, p) {
			o.wakes = append(o.wakes, wake{kind: onQuota, pool: p, text: r.namespace()})
			if quota == nil {
				quota = &QuotaExceededError{p.Name, r.namespace(), p.MaxPerNamespace}
			}
		}
	}
	if len(r.choice.pools) > 0 {
		o.wakes = append(o.wakes, a.hopes(r)...)
	}
	switch {
	case len(all) == 0: // but perhaps one that has something reserved
		o.err = a.refused(r)
	case quota != nil:
		o.err = quota
	case len(able) > 0:
		o.err = &PoolExhaustedError{able, r.families}
	default:
		o.err = &FamilyUnavailableError{all, r.families}
	}
	return o
}

// refused says why no pool at all serves the owner without a request for an address.
func (a *Allocator) refused(r *record) error {
	if name := r.pool(); name != "" {
		return a.space.named(name).refused(r)
	}
	for _, p := range a.space.pools {
		if !p.Manual && !p.Disabled {
			return &NoMatchingPoolError{Why: NotSelected}
		}
	}
	return &NoMatchingPoolError{}
}

// refused says why a pool may not serve an owner anew, even on request.
func (p *pool) refused(r *record) error {
	switch {
	case p.Disabled:
		return &NoMatchingPoolError{Pool: p.Name, Why: PoolDisabled}
	case !p.serves(r):
		return &NoMatchingPoolError{Pool: p.Name, Why: NotSelected}
	default:
		return nil
	}
}

// able reports whether the pool has the families that are needed, full or not.
func (p *pool) able(f Families) bool {
	switch f {
	case SingleIPv4, SingleIPv6:
		return p.has(f.first())
	case RequireDual:
		return p.has(IPv4) && p.has(IPv6)
	default:
		return p.has(IPv4) || p.has(IPv6)
	}
}

// emptiness adds what can be freed in a pool that is full for the owner.
func (p *pool) emptiness(r *record, wakes []wake) []wake {
	for _, f := range families {
		if r.families.want(f) && p.has(f) && !p.vacant(f) {
			wakes = append(wakes, wake{kind: onFree, pool: p, family: f})
		}
	}
	return wakes
}

// hopes is what besides free space and quotas can serve an owner: its key's addresses, and what is reserved for it.
func (a *Allocator) hopes(r *record) (wakes []wake) {
	if key := r.share().Key; key != "" {
		wakes = append(wakes, wake{kind: onKey, text: key})
	}
	for _, addr := range a.space.reserved[r.owner] {
		wakes = append(wakes, wake{kind: onAddr, addr: addr})
	}
	return wakes
}

// choosePinned grants the requested addresses, and adds one of a family that is wanted besides.
func (a *Allocator) choosePinned(r *record) (Assignment, *obstacle) {
	var got Assignment
	var p *pool
	room := 0
	for _, f := range families {
		pin := r.pin(f)
		if !pin.IsValid() {
			continue
		}
		at, cost, o := a.pinned(r, pin, p)
		if o != nil {
			return Assignment{}, o
		}
		if p == nil {
			p, room = at, at.room(r)
		}
		if room -= cost; room < 0 {
			return Assignment{}, a.overQuota(r, p)
		}
		got.set(f, pin)
	}
	got.Pool = p.Name
	if !r.families.dual() || got.V4.IsValid() && got.V6.IsValid() {
		return got, nil
	}
	f := IPv4
	if got.V4.IsValid() {
		f = IPv6
	}
	if second := a.offer(r, p, f, room, a.hinted(r)); second.addr.IsValid() {
		got.set(f, second.addr)
	} else if r.families == RequireDual {
		return Assignment{}, a.noSecond(r, p, f)
	}
	return got, nil
}

// pinned returns the pool of a requested address that the owner may have, and what it takes from the quota. It must be
// in want, unless that is nil.
func (a *Allocator) pinned(r *record, pin netip.Addr, want *pool) (p *pool, cost int, o *obstacle) {
	p = a.space.at(pin)
	name := r.pool()
	switch {
	case p == nil && name == "":
		return nil, 0, never(&AddressNotInPoolError{Address: pin})
	case name != "" && (p == nil || p.Name != name):
		return nil, 0, never(&AddressNotInPoolError{Address: pin, Pool: name})
	case want != nil && p != want:
		return nil, 0, never(&InvalidRequestError{Problem: "it asks for addresses of two pools, " +
			`"` + want.Name + `" and "` + p.Name + `", and both have to come from one`})
	}
	if err := p.grants(r, pin); err != nil {
		return nil, 0, never(err)
	}
	if err := a.refusal(r, p, pin, false); err != nil {
		return nil, 0, &obstacle{err, class{solo: r}, []wake{{kind: onAddr, addr: pin}}}
	}
	if s := a.sites[pin]; s != nil {
		return p, p.cost(r, s), nil
	}
	if _, reserved := p.reserved[pin]; reserved {
		return p, 0, nil
	}
	return p, 1, nil
}

// grants says why a pool does not grant a request for an address of it, whoever has it.
func (p *pool) grants(r *record, pin netip.Addr) error {
	if err := p.refused(r); err != nil {
		return err
	}
	owner, reserved := p.reserved[pin]
	switch {
	case p.Requests == NoRequests:
		return &InvalidRequestError{Problem: `pool "` + p.Name + `" grants no requests for addresses`}
	case reserved && owner != r.owner:
		return &AddressReservedError{pin, p.Name, owner}
	case p.Requests == RequestsIfReserved && !reserved:
		return &AddressReservedError{Address: pin, Pool: p.Name}
	case !p.assignable(pin, r.owner):
		return &AddressNotInPoolError{Address: pin, Pool: p.Name, Never: true}
	default:
		return nil
	}
}

// chooseSecond finds the second address for a dual-stack owner that has one.
func (a *Allocator) chooseSecond(r *record) (netip.Addr, *obstacle) {
	f := r.missing()
	p := a.space.at(r.have.addr(f.other()))
	if pin := r.pin(f); pin.IsValid() {
		at, cost, o := a.pinned(r, pin, p)
		if o == nil && cost > at.room(r) {
			o = a.overQuota(r, p)
		}
		if o != nil {
			o.class.second = true
			return netip.Addr{}, o
		}
		return pin, nil
	}
	if !p.has(f) {
		return netip.Addr{}, never(&FamilyUnavailableError{[]string{p.Name}, RequireDual})
	}
	if err := p.refused(r); err != nil {
		return netip.Addr{}, never(err)
	}
	if second := a.offer(r, p, f, p.room(r), a.hinted(r)); second.addr.IsValid() {
		return second.addr, nil
	}
	o := a.noSecond(r, p, f)
	if o.class = a.classOf(r); o.class.solo == nil {
		o.class.choice, o.class.families = nil, SingleIPv4+Families(f)
		o.class.beside = p
		if o.class.namespace = ""; p.MaxPerNamespace > 0 {
			o.class.namespace = r.namespace()
		}
	}
	o.class.second = true
	return netip.Addr{}, o
}

// noSecond says why there is no address of the family in the pool beside another.
func (a *Allocator) noSecond(r *record, p *pool, f Family) *obstacle {
	if !p.has(f) {
		return never(&FamilyUnavailableError{[]string{p.Name}, r.families})
	}
	o := &obstacle{
		err:   &PoolExhaustedError{[]string{p.Name}, SingleIPv4 + Families(f)},
		class: class{solo: r},
		wakes: append(a.hopes(r), wake{kind: onFree, pool: p, family: f}),
	}
	if p.MaxPerNamespace > 0 && a.offer(r, p, f, int(^uint(0)>>1), a.hinted(r)).addr.IsValid() {
		o.err = &QuotaExceededError{p.Name, r.namespace(), p.MaxPerNamespace}
		o.wakes = append(a.hopes(r), wake{kind: onQuota, pool: p, text: r.namespace()})
	}
	return o
}

func (a *Allocator) overQuota(r *record, p *pool) *obstacle {
	return &obstacle{
		err:   &QuotaExceededError{p.Name, r.namespace(), p.MaxPerNamespace},
		class: class{solo: r},
		wakes: []wake{{kind: onQuota, pool: p, text: r.namespace()}},
	}
}
