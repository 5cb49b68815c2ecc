package ipam

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"sort"
)

// Pool is a named set of addresses. Pools do not overlap, nor do the ranges of one.
type Pool struct {
	Name   string
	Ranges []Range
	Manual bool // serves only requests that name the pool or one of its addresses
}

// Usage counts the addresses of one family in one pool.
type Usage struct {
	Pool   string
	Family Family
	Size   *big.Int // all addresses, exact
	InUse  int      // those that have an owner
}

// Free returns how many addresses have no owner.
func (u Usage) Free() *big.Int { return new(big.Int).Sub(u.Size, big.NewInt(int64(u.InUse))) }

// space is where addresses come from: the pools, and what is free in them.
type space struct {
	given  []Pool      // as SetPools got them
	pools  []*pool     // in the same order
	auto   []*pool     // those that are not Manual
	ranges [2][]placed // by family, ascending, disjoint
}

type pool struct {
	name   string
	manual bool
	free   [2]holes
	size   [2]*big.Int // nil: none of this family
	used   [2]int
}

type placed struct {
	from, to uint128
	pool     *pool
	shown    Range
}

// newSpace checks the pools; the error lists every mistake.
func newSpace(pools []Pool) (*space, error) {
	s := &space{}
	var errs []error
	for i, given := range pools {
		given.Ranges = slices.Clone(given.Ranges)
		s.given = append(s.given, given)
		if given.Name == "" {
			errs = append(errs, fmt.Errorf("pool %d has no name", i))
		} else if s.named(given.Name) != nil {
			errs = append(errs, fmt.Errorf("two pools are named %q", given.Name))
		}
		if len(given.Ranges) == 0 {
			errs = append(errs, fmt.Errorf("pool %q has no addresses", given.Name))
		}
		p := &pool{name: given.Name, manual: given.Manual}
		s.pools = append(s.pools, p)
		if !p.manual {
			s.auto = append(s.auto, p)
		}
		for _, r := range given.Ranges {
			if err := r.check(); err != nil {
				errs = append(errs, fmt.Errorf("pool %q: %w", given.Name, err))
				continue
			}
			f := r.Family()
			s.ranges[f] = append(s.ranges[f], placed{fromAddr(r.From), fromAddr(r.To), p, r})
		}
	}
	errs = append(errs, s.arrange()...)
	return s, errors.Join(errs...)
}

// arrange sorts the ranges, digs the holes, and returns the overlaps.
func (s *space) arrange() (overlaps []error) {
	for f, ranges := range s.ranges {
		slices.SortStableFunc(ranges, func(a, b placed) int { return a.shown.From.Compare(b.shown.From) })
		var last placed // of the ranges so far, the one that ends last
		for i, r := range ranges {
			if r.pool.size[f] == nil {
				r.pool.size[f] = new(big.Int)
			}
			r.pool.size[f].Add(r.pool.size[f], r.shown.Size())
			if i > 0 && !last.to.less(r.from) {
				overlaps = append(overlaps, fmt.Errorf("pool %q: %s overlaps %s of pool %q",
					r.pool.name, r.shown, last.shown, last.pool.name))
			}
			if i == 0 || last.to.less(r.to) {
				last = r
			}
		}
		if len(overlaps) == 0 {
			dig(Family(f), ranges)
		}
	}
	return overlaps
}

// dig makes a hole of every range, joining those of a pool that touch.
func dig(f Family, ranges []placed) {
	for i := 0; i < len(ranges); {
		first := ranges[i]
		to := first.to
		for i++; i < len(ranges) && ranges[i].pool == first.pool && to.next() == ranges[i].from; i++ {
			to = ranges[i].to
		}
		first.pool.free[f].insert(first.from, to)
	}
}

// named returns the pool of that name, or nil.
func (s *space) named(name string) *pool {
	for _, p := range s.pools {
		if p.name == name {
			return p
		}
	}
	return nil
}

// at returns the pool that the address is in, or nil.
func (s *space) at(addr netip.Addr) *pool {
	if checkAddr(addr) != nil {
		return nil
	}
	ranges, x := s.ranges[familyOf(addr)], fromAddr(addr)
	i := sort.Search(len(ranges), func(i int) bool { return x.less(ranges[i].from) })
	if i == 0 || ranges[i-1].to.less(x) {
		return nil
	}
	return ranges[i-1].pool
}

// take marks an address of a pool as used.
func (s *space) take(addr netip.Addr) {
	p, f := s.at(addr), familyOf(addr)
	p.free[f].take(fromAddr(addr))
	p.used[f]++
}

// give marks a used address as free again, if it still is in a pool.
func (s *space) give(addr netip.Addr) {
	if p, f := s.at(addr), familyOf(addr); p != nil {
		p.free[f].give(fromAddr(addr))
		p.used[f]--
	}
}

func (p *pool) has(f Family) bool          { return p.size[f] != nil }
func (p *pool) vacant(f Family) bool       { return !p.free[f].empty() }
func (p *pool) lowest(f Family) netip.Addr { return f.addr(p.free[f].lowest()) }

func (s *space) usage() []Usage {
	var all []Usage
	for _, p := range s.pools {
		for _, f := range [...]Family{IPv4, IPv6} {
			if p.has(f) {
				all = append(all, Usage{p.name, f, new(big.Int).Set(p.size[f]), p.used[f]})
			}
		}
	}
	return all
}
