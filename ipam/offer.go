package ipam

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
)

// suit says why an address suits an owner: the lower, the better.
type suit uint8

const (
	forIt    suit = iota // it is reserved for the owner
	hadIt                // the owner had it
	besideIt             // those who share with the owner have it
	justFree             // it is free
)

// offer is an address that a pool could give an owner.
type offer struct {
	addr netip.Addr
	suit suit
	cost int // of the namespace's quota
}

// mask is a set of families.
type mask uint8

const (
	only4 mask = 1 << IPv4
	only6 mask = 1 << IPv6
	both       = only4 | only6
)

// attempts are the sets of families that are worth having, in the order in which they are tried.
var attempts = [...][]mask{
	SingleIPv4: {only4}, SingleIPv6: {only6}, RequireDual: {both},
	PreferDualIPv4: {both, only4, only6}, PreferDualIPv6: {both, only6, only4},
}

// hinted reports whether something other than free space may suit the owner.
func (a *Allocator) hinted(r *record) bool {
	if r.share().Key != "" || len(a.space.reserved) > 0 && len(a.space.reserved[r.owner]) > 0 {
		return true
	}
	if len(a.memories) == 0 {
		return false
	}
	_, remembered := a.memories[r.owner]
	return remembered
}

// room returns how many more addresses of the pool the owner's namespace may have.
func (p *pool) room(r *record) int {
	if p.MaxPerNamespace == 0 {
		return math.MaxInt
	}
	return max(0, p.MaxPerNamespace-p.quota[r.namespace()])
}

// offer returns the address of a family that the pool would give the owner: reserved for it, else remembered for it,
// else beside its sharing key, else a free one. The address is not valid if there is none.
func (a *Allocator) offer(r *record, p *pool, f Family, room int, hinted bool) offer {
	if hinted {
		for _, addr := range a.space.reserved[r.owner] {
			if familyOf(addr) == f && a.space.at(addr) == p && !a.taken(addr) {
				return offer{addr, forIt, 0}
			}
		}
		if o := a.remembered(r, p, f); o.addr.IsValid() && o.cost <= room {
			return o
		}
		for _, s := range p.sites[p.keyedFor(r, f)] {
			if o := (offer{s.addr, besideIt, p.cost(r, s)}); o.cost <= room && a.joins(r, p, s) {
				return o
			}
		}
	}
	if room < 1 || !p.vacant(f) {
		return offer{}
	}
	return offer{f.addr(p.line[f].at(a.pick(r, p, f))), justFree, 1}
}

// pick returns the number of a free address by the pool's Assignment, or the one that has cooled longest.
func (a *Allocator) pick(r *record, p *pool, f Family) uint128 {
	switch {
	case p.free[f].empty():
		return a.coolest(p, f)
	case p.Assignment == Stable:
		return p.free[f].from(start(r.owner, p.line[f].last().next()))
	default:
		return p.free[f].lowest()
	}
}

// start is the number at which Stable starts on a line of so many addresses.
func start(owner Owner, addresses uint128) uint128 {
	sum := sha256.Sum256([]byte(owner))
	return uint128{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}.mod(addresses)
}

// remembered offers what the owner released, if the pool may still give it.
func (a *Allocator) remembered(r *record, p *pool, f Family) offer {
	m, ok := a.memories[r.owner]
	if !ok || a.space.at(m[f].addr) != p || !a.sticky(m[f].addr, m[f].at) || !p.assignable(m[f].addr, r.owner) {
		return offer{}
	}
	if s := a.sites[m[f].addr]; s != nil && s.key() == r.share().Key && a.joins(r, p, s) {
		return offer{m[f].addr, hadIt, p.cost(r, s)}
	}
	if a.taken(m[f].addr) {
		return offer{}
	}
	return offer{m[f].addr, hadIt, 1}
}

// joins reports whether an owner with the site's key may be given its address.
func (a *Allocator) joins(r *record, p *pool, s *site) bool {
	_, onLine := p.unreserved(s.addr)
	return onLine && s.admits(r, p.Sharing)
}

// cost is what joining a site takes from the quota of the owner's namespace.
func (p *pool) cost(r *record, s *site) int {
	if _, found := s.place(r.namespace()); found {
		return 0
	}
	return 1
}

// keyedFor is where addresses beside the owner's key are found.
func (p *pool) keyedFor(r *record, f Family) keyed {
	k := keyed{family: f, key: r.share().Key}
	if p.Sharing == SharedInNamespace {
		k.namespace = r.namespace()
	}
	return k
}

// try has one pool offer addresses of all the families, and says how well the best of them suits.
func (a *Allocator) try(r *record, p *pool, want mask, room int, hinted bool) (got Assignment, best suit, ok bool) {
	got, best = Assignment{Pool: p.Name}, justFree
	for _, f := range families {
		if want&(1<<f) == 0 {
			continue
		}
		o := a.offer(r, p, f, room, hinted)
		if !o.addr.IsValid() {
			return Assignment{}, best, false
		}
		got.set(f, o.addr)
		room -= o.cost
		best = min(best, o.suit)
	}
	if p.Manual && r.pool() == "" && best != forIt {
		return Assignment{}, best, false
	}
	return got, best, true
}

// best finds addresses of all the families in the pool that suits best, and of equal ones in the first.
func (a *Allocator) best(r *record, want mask) (got Assignment, ok bool) {
	hinted := a.hinted(r)
	best := justFree + 1
	for _, p := range r.choice.pools {
		offered, suit, able := a.try(r, p, want, p.room(r), hinted)
		if able && suit < best {
			got, best, ok = offered, suit, true
		}
		if ok && (!hinted || best == forIt) {
			break
		}
	}
	return got, ok
}

// blocked reports whether only the quota keeps the pool from serving the owner.
func (a *Allocator) blocked(r *record, p *pool) bool {
	return p.MaxPerNamespace > 0 && slices.ContainsFunc(attempts[r.families], func(want mask) bool {
		_, _, able := a.try(r, p, want, math.MaxInt, a.hinted(r))
		return able
	})
}
