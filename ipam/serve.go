package ipam

import (
	"container/heap"
	"net/netip"
	"slices"
)

// pending reports whether an owner is to be given something; who is not leaves the queue.
func (a *Allocator) pending(r *record) bool {
	if r.invalid() != nil || r.complete() {
		a.queue.leave(r)
		return false
	}
	return true
}

// fillKept completes an owner that requires two addresses and has one. If that fails it loses the one it has.
func (a *Allocator) fillKept(r *record) {
	if r.have.isZero() || r.families != RequireDual || r.complete() {
		return
	}
	addr, o := a.chooseSecond(r)
	if o == nil {
		a.touch(r)
		a.hold(r, addr)
		a.queue.leave(r)
		return
	}
	if e := &a.tx[a.touch(r)]; e.lost == nil {
		e.lost = o.err
	}
	a.drop(r, IPv4)
	a.drop(r, IPv6)
}

// fill serves an owner that has nothing, or files it for what it lacks.
func (a *Allocator) fill(r *record) (served bool) {
	if !r.have.isZero() {
		return true
	}
	got, o := a.choose(r)
	if o != nil {
		a.queue.file(r, o)
		if r.entry > 0 {
			e := &a.tx[r.entry-1]
			e.err, e.moves = o.err, a.moves
		}
		return false
	}
	a.touch(r)
	a.queue.leave(r)
	for _, f := range families {
		if addr := got.addr(f); addr.IsValid() {
			a.hold(r, addr)
		}
	}
	a.fillSecond(r)
	return true
}

// fillSecond serves an owner that prefers two addresses and has one, or files it for the other.
func (a *Allocator) fillSecond(r *record) (served bool) {
	if r.have.isZero() || r.complete() {
		return true
	}
	addr, o := a.chooseSecond(r)
	if o != nil {
		a.queue.file(r, o)
		return false
	}
	a.touch(r)
	a.queue.leave(r)
	a.hold(r, addr)
	return true
}

// settle serves owners of which each may lack something. Those that would otherwise lose what they have come first,
// then those that have nothing, then those that lack a second address.
func (a *Allocator) settle(records []*record) {
	var lacking []*record
	for _, r := range records {
		if a.pending(r) {
			lacking = append(lacking, r)
		}
	}
	slices.SortFunc(lacking, compareTurns)
	for _, r := range lacking {
		a.fillKept(r)
	}
	for _, r := range lacking {
		a.fill(r)
	}
	for _, r := range lacking {
		a.fillSecond(r)
	}
}

// wake notes that something happened that waiting owners may wait for.
func (a *Allocator) wake(w wake) {
	if len(a.queue.groups) > 0 {
		a.woken = append(a.woken, w)
	}
}

// serve serves those who wait for what happened: always the first in turn of those that can be served.
func (a *Allocator) serve() {
	var awake wakers
	for {
		for _, w := range a.woken {
			for _, g := range a.queue.waiting[w] {
				if g.byFree = w.kind == onFree && (g.byFree || !g.awake); !g.awake {
					g.awake = true
					heap.Push(&awake, g)
				}
			}
		}
		a.woken = a.woken[:0]
		if len(awake) == 0 {
			return
		}
		g := heap.Pop(&awake).(*group)
		g.awake = false
		if g.hopeless() {
			continue
		}
		fill := a.fill
		if g.class.second {
			fill = a.fillSecond
		}
		r := g.members[0]
		if fill(r); r.group != g && len(g.members) > 0 {
			g.awake = true
			heap.Push(&awake, g)
		}
	}
}

// hold gives an owner an address that is free, or whose holders it may join.
func (a *Allocator) hold(r *record, addr netip.Addr) {
	f, p := familyOf(addr), a.space.at(addr)
	if !a.taken(addr) {
		p.take(addr)
		delete(a.released, addr)
	}
	a.link(r, p, addr)
	a.recall(r, f)
	r.have.set(f, addr)
	if f == IPv4 || !r.have.V4.IsValid() {
		r.have.Pool = p.Name
	}
}

// drop takes the address of a family, if there is one, from an owner.
func (a *Allocator) drop(r *record, f Family) {
	addr := r.have.addr(f)
	if !addr.IsValid() {
		return
	}
	p := a.space.at(addr)
	a.unlink(r, p, addr)
	a.part(r, p, f)
	if a.taken(addr) {
		return
	}
	if p.Cooldown > 0 {
		a.released[addr] = a.clock()
	}
	if n, ok := p.give(addr); !ok {
		return
	} else if p.Cooldown > 0 {
		p.cool(f, n, a.clock())
	} else {
		p.free[f].give(n)
	}
	a.wake(wake{kind: onFree, pool: p, family: f})
}

// part has an owner not hold the address of a family any more.
func (a *Allocator) part(r *record, p *pool, f Family) {
	a.remember(r, p, r.have.addr(f))
	r.have.set(f, netip.Addr{})
	a.relabel(r)
}

// relabel names the pool that the owner's address is in.
func (a *Allocator) relabel(r *record) {
	r.have.Pool = a.label(r.have)
}

func (a *Allocator) label(have Assignment) string {
	switch {
	case have.V4.IsValid():
		return a.space.at(have.V4).Name
	case have.V6.IsValid():
		return a.space.at(have.V6).Name
	default:
		return ""
	}
}

// taken reports whether somebody holds the address.
func (a *Allocator) taken(addr netip.Addr) bool {
	return a.held[addr] != nil || len(a.sites) > 0 && a.sites[addr] != nil
}

// link enters an owner as a holder of an address of the pool.
func (a *Allocator) link(r *record, p *pool, addr netip.Addr) {
	a.moves++
	key, namespace := r.share().Key, r.namespace()
	if key == "" {
		a.held[addr] = r
		p.count(addr, namespace, 1)
		return
	}
	s := a.sites[addr]
	if s == nil {
		s = &site{addr: addr}
		a.sites[addr] = s
	}
	if _, found := s.place(namespace); !found {
		p.count(addr, namespace, 1)
	}
	s.add(r)
	p.index(s, namespace)
	a.wake(wake{kind: onAddr, addr: addr})
	a.wake(wake{kind: onKey, text: key})
}

// unlink is the inverse of link.
func (a *Allocator) unlink(r *record, p *pool, addr netip.Addr) {
	a.moves++
	a.wake(wake{kind: onAddr, addr: addr})
	namespace := r.namespace()
	s := a.sites[addr]
	if s == nil {
		delete(a.held, addr)
		a.uncount(p, addr, namespace)
		return
	}
	a.wake(wake{kind: onKey, text: s.key()})
	if len(s.holders) == 1 {
		p.forget(s, namespace)
		delete(a.sites, addr)
		a.uncount(p, addr, namespace)
		return
	}
	s.remove(r)
	if _, found := s.place(namespace); !found {
		if p.Sharing == SharedInNamespace {
			p.forget(s, namespace)
		}
		a.uncount(p, addr, namespace)
	}
}

// count adds to the number of addresses that a namespace has in the pool. What is reserved does not count.
func (p *pool) count(addr netip.Addr, namespace string, n int) {
	if _, reserved := p.reserved[addr]; p.MaxPerNamespace == 0 || reserved {
		return
	}
	if p.quota == nil {
		p.quota = map[string]int{}
	}
	if p.quota[namespace] += n; p.quota[namespace] == 0 {
		delete(p.quota, namespace)
	}
}

func (a *Allocator) uncount(p *pool, addr netip.Addr, namespace string) {
	if p.MaxPerNamespace > 0 {
		p.count(addr, namespace, -1)
		a.wake(wake{kind: onQuota, pool: p, text: namespace})
	}
}
