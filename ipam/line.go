package ipam

import (
	"math/big"
	"slices"
	"sort"
)

// line numbers the addresses of one family that a pool may assign, without gaps: 0 is the lowest. Working with these
// numbers makes the k-th assignable address a matter of arithmetic, and keeps what is never assigned out of the holes.
type line struct {
	spans []span // ascending, disjoint
	dense bool   // false: numbers that end in the byte 0 or 255 are left out
}

type span struct {
	from, to uint128 // addresses, inclusive
	first    uint128 // the number of the first address
}

// draw numbers what is in the ranges and not in the gaps. Neither has to be in order; gaps may overlap.
func draw(ranges, gaps []span, dense bool) line {
	l := line{dense: dense}
	byFrom := func(a, b span) int { return a.from.compare(b.from) }
	ranges, gaps = slices.SortedFunc(slices.Values(ranges), byFrom), slices.SortedFunc(slices.Values(gaps), byFrom)
	var next uint128
	add := func(from, to uint128) {
		n := l.below(to.next()).sub(l.below(from)) // wraps with the whole of IPv6, and then nothing follows
		if n.isZero() && !(from.isZero() && to.next().isZero()) {
			return
		}
		l.spans = append(l.spans, span{from, to, next})
		next = next.add(n)
	}
	for _, r := range ranges {
		from, done := r.from, false
		for _, g := range gaps {
			if g.to.less(from) || r.to.less(g.from) {
				continue
			}
			if from.less(g.from) {
				add(from, g.from.prev())
			}
			if !g.to.less(r.to) {
				done = true
				break
			}
			from = g.to.next()
		}
		if !done {
			add(from, r.to)
		}
	}
	return l
}

// below counts the numbers under x that are not left out.
func (l *line) below(x uint128) uint128 {
	if l.dense {
		return x
	}
	low := x.lo & 255 // sparse lines are IPv4, whose numbers fit the lower half
	return uint128{0, x.lo>>8*254 + min(max(low, 1)-1, 254)}
}

func (l *line) empty() bool { return len(l.spans) == 0 }

// last returns the highest number of a line that is not empty.
func (l *line) last() uint128 {
	s := l.spans[len(l.spans)-1]
	return s.first.add(l.below(s.to.next()).sub(l.below(s.from))).prev()
}

// size counts the addresses.
func (l *line) size() *big.Int {
	if l.empty() {
		return new(big.Int)
	}
	return new(big.Int).Add(l.last().big(), big.NewInt(1))
}

// number returns the number of an address, unless it is not on the line.
func (l *line) number(x uint128) (uint128, bool) {
	i := sort.Search(len(l.spans), func(i int) bool { return x.less(l.spans[i].from) })
	if i == 0 || l.spans[i-1].to.less(x) {
		return uint128{}, false
	}
	if low := x.lo & 255; !l.dense && (low == 0 || low == 255) {
		return uint128{}, false
	}
	s := l.spans[i-1]
	return s.first.add(l.below(x).sub(l.below(s.from))), true
}

// at is the inverse of number.
func (l *line) at(n uint128) uint128 {
	i := sort.Search(len(l.spans), func(i int) bool { return n.less(l.spans[i].first) })
	s := l.spans[i-1]
	n = n.sub(s.first).add(l.below(s.from))
	if l.dense {
		return n
	}
	return uint128{0, n.lo/254<<8 + n.lo%254 + 1}
}
