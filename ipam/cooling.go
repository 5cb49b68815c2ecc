package ipam

import (
	"container/heap"
	"time"
)

// cooling is the addresses of one family in one pool that are free but were released lately, by their numbers: the
// one that was released first is on top. Numbers that were taken meanwhile stay until they come to the top.
type cooling struct {
	heap cooled
	live int // how many are in it and free
}

type release struct {
	n  uint128
	at time.Time
}

type cooled []release

func (c cooled) Len() int { return len(c) }
func (c cooled) Less(i, j int) bool {
	if d := c[i].at.Compare(c[j].at); d != 0 {
		return d < 0
	}
	return c[i].n.less(c[j].n)
}
func (c cooled) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *cooled) Push(x any)   { *c = append(*c, x.(release)) }
func (c *cooled) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	*c = (*c)[:last]
	return x
}

// cool puts a number that is in no hole among those that cool.
func (p *pool) cool(f Family, n uint128, at time.Time) {
	heap.Push(&p.cooling[f].heap, release{n, at})
	p.cooling[f].live++
}

// coolest returns the cooling address that was released first. There must be one that is free.
func (a *Allocator) coolest(p *pool, f Family) uint128 {
	c := &p.cooling[f]
	for !a.isCooling(p, f, c.heap[0]) {
		heap.Pop(&c.heap)
	}
	return c.heap[0].n
}

// isCooling reports whether a number is free, and cools since that release.
func (a *Allocator) isCooling(p *pool, f Family, r release) bool {
	addr := f.addr(p.line[f].at(r.n))
	at, ok := a.released[addr]
	return ok && at.Equal(r.at) && !p.free[f].contains(r.n)
}

// thaw frees what has cooled long enough.
func (a *Allocator) thaw() {
	for _, p := range a.space.coolers {
		for f := range p.cooling {
			c := &p.cooling[f]
			for len(c.heap) > 0 && a.clock().Sub(c.heap[0].at) >= p.Cooldown {
				r := heap.Pop(&c.heap).(release)
				if a.isCooling(p, Family(f), r) {
					delete(a.released, Family(f).addr(p.line[f].at(r.n)))
					p.free[f].give(r.n)
					c.live--
				}
			}
		}
	}
}
