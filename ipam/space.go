package ipam

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"sort"
)

// space is where addresses come from: the pools, and what is free in them.
type space struct {
	given    []Pool      // as SetPools got them
	never    []Range     // as SetNever got them
	pools    []*pool     // in the same order
	order    []*pool     // in the order in which they are tried
	ranges   [2][]placed // by family, ascending, disjoint
	coolers  []*pool     // those with a Cooldown
	selects  bool        // some pool has a Selector
	reserved map[Owner][]netip.Addr
	common   *choice // the pools of an owner with no particular wish
	choices  map[string]*choice
}

type pool struct {
	Pool
	rank     int // its place in space.order
	line     [2]line
	free     [2]holes   // numbers on the line that are neither held, reserved nor cooling
	cooling  [2]cooling // and those that are cooling
	size     [2]*big.Int
	present  [2]bool // has ranges of the family
	used     [2]int  // addresses that are held
	taken    [2]int  // numbers that are held or reserved
	reserved map[netip.Addr]Owner
	quota    map[string]int    // addresses held by a namespace, if MaxPerNamespace is set
	sites    map[keyed][]*site // ascending
}

type placed struct {
	from, to uint128
	pool     *pool
	shown    Range
}

// newSpace checks the pools; the error lists every mistake.
func newSpace(pools []Pool, never []Range) (*space, error) {
	s := &space{never: never, reserved: map[Owner][]netip.Addr{}, choices: map[string]*choice{}}
	errs := []error{checkPools(pools)}
	for _, given := range pools {
		p := &pool{Pool: given.clone()}
		s.given = append(s.given, p.Pool)
		s.pools = append(s.pools, p)
		for _, r := range p.Ranges {
			if r.IsValid() {
				f := r.Family()
				p.present[f] = true
				s.ranges[f] = append(s.ranges[f], placed{fromAddr(r.From), fromAddr(r.To), p, r})
			}
		}
		if p.Cooldown > 0 {
			s.coolers = append(s.coolers, p)
		}
		s.selects = s.selects || p.Selector != nil
	}
	if err := errors.Join(append(errs, s.overlaps()...)...); err != nil {
		return nil, err
	}
	s.order = slices.SortedStableFunc(slices.Values(s.pools), func(a, b *pool) int { return cmp.Compare(b.Priority, a.Priority) })
	for i, p := range s.order {
		p.rank = i
		p.dig(never)
		for _, r := range p.Reservations {
			s.reserved[r.Owner] = append(s.reserved[r.Owner], r.Address)
		}
	}
	for _, addrs := range s.reserved {
		slices.SortFunc(addrs, netip.Addr.Compare)
	}
	s.common = s.choice(func(p *pool) bool { return !p.Manual && !p.Disabled && p.Selector == nil })
	return s, nil
}

// overlaps sorts the ranges and says which have an address in common.
func (s *space) overlaps() (overlaps []error) {
	for _, ranges := range s.ranges {
		slices.SortStableFunc(ranges, func(a, b placed) int { return a.shown.From.Compare(b.shown.From) })
		var last placed // of the ranges so far, the one that ends last
		for i, r := range ranges {
			if i > 0 && !last.to.less(r.from) {
				overlaps = append(overlaps, fmt.Errorf("pool %q: %s overlaps %s of pool %q",
					r.pool.Name, r.shown, last.shown, last.pool.Name))
			}
			if i == 0 || last.to.less(r.to) {
				last = r
			}
		}
	}
	return overlaps
}

// dig numbers what a pool may assign, and frees it but for what is reserved.
func (p *pool) dig(never []Range) {
	ranges, gaps := spansOf(p.Ranges), spansOf(p.Exclude, never)
	for _, f := range families {
		p.line[f] = draw(ranges[f], gaps[f], f == IPv6 || !p.AvoidBuggyIPs)
		if p.size[f] = p.line[f].size(); !p.line[f].empty() {
			p.free[f].insert(uint128{}, p.line[f].last())
		}
	}
	p.reserved = make(map[netip.Addr]Owner, len(p.Reservations))
	for _, r := range p.Reservations {
		p.reserved[r.Address] = r.Owner
		f := familyOf(r.Address)
		if n, ok := p.line[f].number(fromAddr(r.Address)); ok {
			p.free[f].take(n)
			p.taken[f]++
		}
	}
}

// spansOf sorts ranges by family.
func spansOf(lists ...[]Range) (spans [2][]span) {
	for _, list := range lists {
		for _, r := range list {
			f := r.Family()
			spans[f] = append(spans[f], span{from: fromAddr(r.From), to: fromAddr(r.To)})
		}
	}
	return spans
}

// named returns the pool of that name, or nil.
func (s *space) named(name string) *pool {
	for _, p := range s.pools {
		if p.Name == name {
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

// assignable reports whether the pool may give the address to an owner, as far as its rules go.
func (p *pool) assignable(addr netip.Addr, to Owner) bool {
	if owner, reserved := p.reserved[addr]; reserved {
		return owner == to
	}
	_, ok := p.line[familyOf(addr)].number(fromAddr(addr))
	return ok
}

// take marks an address of the pool as held.
func (p *pool) take(addr netip.Addr) {
	f := familyOf(addr)
	p.used[f]++
	if n, ok := p.unreserved(addr); ok {
		if !p.free[f].take(n) {
			p.cooling[f].live--
		}
		p.taken[f]++
	}
}

// give marks a held address as free again. It returns its number if anybody may have it.
func (p *pool) give(addr netip.Addr) (n uint128, ok bool) {
	f := familyOf(addr)
	p.used[f]--
	if n, ok = p.unreserved(addr); ok {
		p.taken[f]--
	}
	return n, ok
}

// unreserved returns the number of an address that is on the line and not reserved.
func (p *pool) unreserved(addr netip.Addr) (uint128, bool) {
	if len(p.reserved) > 0 {
		if _, reserved := p.reserved[addr]; reserved {
			return uint128{}, false
		}
	}
	return p.line[familyOf(addr)].number(fromAddr(addr))
}

func (p *pool) has(f Family) bool    { return p.present[f] }
func (p *pool) vacant(f Family) bool { return !p.free[f].empty() || p.cooling[f].live > 0 }

// choice is a list of pools that may serve an owner, in the order in which they are tried. Owners with the same list
// share it.
type choice struct {
	pools  []*pool
	quotas bool // one of them has a quota
}

// choice returns the list of the pools that fit: those with a Selector before those without.
func (s *space) choice(fits func(*pool) bool) *choice {
	c, key := &choice{}, make([]byte, 0, 2*len(s.order))
	for _, selective := range [...]bool{true, false} {
		for _, p := range s.order {
			if (p.Selector != nil) == selective && fits(p) {
				c.pools = append(c.pools, p)
				c.quotas = c.quotas || p.MaxPerNamespace > 0
				key = fmt.Appendf(key, "%d,", p.rank)
			}
		}
	}
	if known := s.choices[string(key)]; known != nil {
		return known
	}
	s.choices[string(key)] = c
	return c
}

// choiceOf returns the pools for an owner that requests no address: those that may serve it and are asked for, or not
// Manual, or have something reserved for it.
func (s *space) choiceOf(r *record) *choice {
	reserved := s.reserved[r.owner]
	name := r.pool()
	if name == "" && !s.selects && len(reserved) == 0 {
		return s.common
	}
	request := r.request()
	return s.choice(func(p *pool) bool {
		if p.Disabled || name != "" && name != p.Name || p.Selector != nil && !p.Selector.Matches(request) {
			return false
		}
		return name != "" || !p.Manual || slices.ContainsFunc(reserved, func(addr netip.Addr) bool { return s.at(addr) == p })
	})
}
