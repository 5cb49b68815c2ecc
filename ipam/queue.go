package ipam

import (
	"container/heap"
	"net/netip"
	"slices"
)

// queue holds the owners that lack something, in groups of those that can be served alike, so that a freed address
// asks the head of a few groups instead of everybody.
type queue struct {
	groups  map[class]*group
	waiting map[wake][]*group // whom to ask when that happens
}

// class is what the owners of a group have in common: if the head cannot be served, none of them can.
type class struct {
	choice    *choice
	families  Families
	namespace string  // where a pool has a quota
	beside    *pool   // lacks a second address, in this pool
	second    bool    // has one address already
	solo      *record // an owner unlike others: requests an address, shares, or has something reserved
}

// wake is something that may enable waiting owners to be served.
type wake struct {
	kind   wakeKind
	family Family
	pool   *pool
	addr   netip.Addr
	text   string
}

type wakeKind uint8

const (
	onFree  wakeKind = iota // an address of the family is free in the pool
	onAddr                  // this address is free, or those who have it changed
	onQuota                 // the namespace (text) has fewer addresses of the pool
	onKey                   // those who have addresses with this sharing key (text) changed
)

// group is a heap of the owners of a class, by compareTurns.
type group struct {
	class   class
	members []*record
	wakes   []wake
	awake   bool // in the running wakers
	byFree  bool // and nothing but free space woke it
}

func (g *group) Len() int           { return len(g.members) }
func (g *group) Less(i, j int) bool { return compareTurns(g.members[i], g.members[j]) < 0 }
func (g *group) Swap(i, j int) {
	g.members[i], g.members[j] = g.members[j], g.members[i]
	g.members[i].slot, g.members[j].slot = int32(i), int32(j)
}
func (g *group) Push(x any) {
	r := x.(*record)
	r.group, r.slot = g, int32(len(g.members))
	g.members = append(g.members, r)
}
func (g *group) Pop() any {
	last := len(g.members) - 1
	r := g.members[last]
	g.members[last] = nil
	g.members = g.members[:last]
	r.group = nil
	return r
}

// classOf returns the class of an owner that has nothing and requests no address.
func (a *Allocator) classOf(r *record) class {
	if r.share().Key != "" || len(a.space.reserved[r.owner]) > 0 {
		return class{solo: r}
	}
	c := class{choice: r.choice, families: r.families}
	if r.choice.quotas {
		c.namespace = r.namespace()
	}
	return c
}

// file has an owner wait. What nothing but another request or other pools can help needs no queue. The owner's turn
// must not have changed since it was filed; leave first where it has.
func (q *queue) file(r *record, o *obstacle) {
	if len(o.wakes) == 0 {
		q.leave(r)
		return
	}
	g := r.group
	if g == nil || g.class != o.class {
		q.leave(r)
		if g = q.groups[o.class]; g == nil {
			if q.groups == nil {
				q.groups, q.waiting = map[class]*group{}, map[wake][]*group{}
			}
			g = &group{class: o.class}
			q.groups[o.class] = g
		}
		heap.Push(g, r)
	}
	if !slices.Equal(g.wakes, o.wakes) { // what holds up one member now holds up all
		q.unhook(g)
		g.wakes = o.wakes
		for _, w := range g.wakes {
			q.waiting[w] = append(q.waiting[w], g)
		}
	}
}

// leave takes an owner out of the queue.
func (q *queue) leave(r *record) {
	g := r.group
	if g == nil {
		return
	}
	heap.Remove(g, int(r.slot))
	if len(g.members) == 0 {
		q.unhook(g)
		delete(q.groups, g.class)
	}
}

func (q *queue) unhook(g *group) {
	for _, w := range g.wakes {
		groups := q.waiting[w]
		if i := slices.Index(groups, g); i >= 0 {
			last := len(groups) - 1
			groups[i], groups[last] = groups[last], nil
			if q.waiting[w] = groups[:last]; last == 0 {
				delete(q.waiting, w)
			}
		}
	}
	g.wakes = nil
}

// hopeless reports whether the group was woken by free space that others have taken meanwhile.
func (g *group) hopeless() bool {
	return g.byFree && !slices.ContainsFunc(g.wakes, func(w wake) bool { return w.kind == onFree && w.pool.vacant(w.family) })
}

// wakers is a heap of groups that may be served, by the turn of their heads; those whose owners have one address
// already come last.
type wakers []*group

func (w wakers) Len() int { return len(w) }
func (w wakers) Less(i, j int) bool {
	if w[i].class.second != w[j].class.second {
		return w[j].class.second
	}
	return compareTurns(w[i].members[0], w[j].members[0]) < 0
}
func (w wakers) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *wakers) Push(x any)   { *w = append(*w, x.(*group)) }
func (w *wakers) Pop() any {
	last := len(*w) - 1
	g := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return g
}
