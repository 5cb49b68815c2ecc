package ipam

import (
	"container/heap"
	"net/netip"
)

// queue holds the owners that lack something, in groups of those that lack the same thing, so that a freed address
// asks the head of a few groups instead of everybody.
type queue struct{ groups map[lack]*group }

// lack is what an owner waits for. Owners with the same lack are served in turn: if the head cannot be, none can.
type lack struct {
	kind     lackKind
	families Families
	family   Family
	pool     *pool
	addr     netip.Addr
}

type lackKind uint8

const (
	lackPools   lackKind = iota // nothing that a release could bring: other pools or another request
	lackAny                     // addresses of these families from the pool; nil: from any that is not Manual
	lackAddr                    // this address
	lackBeside                  // an address of the family in the pool, beside a requested one
	lackSecond                  // the same, beside one that the owner has
	lackSecAddr                 // this address, beside one that the owner has
)

// group is a heap of the owners with one lack, by compareTurns.
type group struct {
	lack    lack
	members []*record
}

func (g *group) Len() int           { return len(g.members) }
func (g *group) Less(i, j int) bool { return compareTurns(g.members[i], g.members[j]) < 0 }
func (g *group) Swap(i, j int) {
	g.members[i], g.members[j] = g.members[j], g.members[i]
	g.members[i].slot, g.members[j].slot = i, j
}
func (g *group) Push(x any) {
	r := x.(*record)
	r.group, r.slot = g, len(g.members)
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

// file has an owner wait for what it lacks, and for nothing else. Its turn must not have changed since it was filed;
// leave first where it has.
func (q *queue) file(r *record, l lack) {
	if r.group != nil && r.group.lack == l {
		return
	}
	q.leave(r)
	g := q.groups[l]
	if g == nil {
		g = &group{lack: l}
		if q.groups == nil {
			q.groups = map[lack]*group{}
		}
		q.groups[l] = g
	}
	heap.Push(g, r)
}

// leave takes an owner out of the queue.
func (q *queue) leave(r *record) {
	g := r.group
	if g == nil {
		return
	}
	heap.Remove(g, r.slot)
	if len(g.members) == 0 {
		delete(q.groups, g.lack)
	}
}

// heads returns the groups for which an address of the family in the pool could matter: first those whose owners have
// nothing, then those whose owners lack a second address.
func (q *queue) heads(p *pool, addr netip.Addr) (first, second []*group) {
	f := familyOf(addr)
	add := func(to *[]*group, l lack) {
		if g := q.groups[l]; g != nil {
			*to = append(*to, g)
		}
	}
	for families := SingleIPv4; families <= RequireDual; families++ {
		if families.want(f) {
			add(&first, lack{kind: lackAny, families: families, pool: p})
			if !p.manual {
				add(&first, lack{kind: lackAny, families: families})
			}
		}
	}
	add(&first, lack{kind: lackAddr, addr: addr})
	add(&first, lack{kind: lackBeside, family: f, pool: p})
	add(&second, lack{kind: lackSecond, family: f, pool: p})
	add(&second, lack{kind: lackSecAddr, addr: addr})
	return first, second
}

// next returns the group whose head's turn it is, or nil.
func next(groups []*group) *group {
	var best *group
	for _, g := range groups {
		if len(g.members) > 0 && (best == nil || compareTurns(g.members[0], best.members[0]) < 0) {
			best = g
		}
	}
	return best
}
