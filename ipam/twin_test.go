package ipam

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// twin is an Allocator that is too simple to be wrong: it lists addresses, loops over owners, and asks everybody who
// waits again after every call.
type twin struct {
	pools    []Pool
	never    []Range
	now      time.Time
	owners   map[Owner]*twinOwner
	memories map[Owner]map[Family]Remembered
	released map[netip.Addr]time.Time
}

type twinOwner struct {
	req     Request // the last valid one; times of the last one
	have    Assignment
	invalid error
	told    string
}

func newTwin(pools []Pool) *twin {
	return &twin{pools: pools, owners: map[Owner]*twinOwner{},
		memories: map[Owner]map[Family]Remembered{}, released: map[netip.Addr]time.Time{}}
}

// list returns all addresses of a family in some ranges, ascending.
func list(ranges []Range, f Family) []netip.Addr {
	var all []netip.Addr
	for _, r := range ranges {
		if familyOf(r.From) != f {
			continue
		}
		for addr := r.From; ; addr = addr.Next() {
			all = append(all, addr)
			if addr == r.To {
				break
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

func (t *twin) poolAt(addr netip.Addr) *Pool {
	for i, p := range t.pools {
		if addr.IsValid() && slices.Contains(list(p.Ranges, familyOf(addr)), addr) {
			return &t.pools[i]
		}
	}
	return nil
}

// older orders owners by age.
func older(a, b *twinOwner) bool {
	if !a.req.Created.Equal(b.req.Created) {
		return a.req.Created.Before(b.req.Created)
	}
	return a.req.Owner < b.req.Owner
}

// holders returns who has the address, the oldest first.
func (t *twin) holders(addr netip.Addr) []*twinOwner {
	var all []*twinOwner
	for _, o := range t.owners {
		if addr.IsValid() && (o.have.V4 == addr || o.have.V6 == addr) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *twinOwner) int {
		if older(a, b) {
			return -1
		}
		return 1
	})
	return all
}

func (t *twin) sticks(m Remembered) bool {
	p := t.poolAt(m.Address)
	return p != nil && m.Released.Add(p.StickyTTL).After(t.now)
}

func (t *twin) cools(addr netip.Addr) bool {
	p, at := t.poolAt(addr), t.released[addr]
	return p != nil && !at.IsZero() && at.Add(p.Cooldown).After(t.now)
}

// prune forgets what counts no more.
func (t *twin) prune() {
	for owner, m := range t.memories {
		maps.DeleteFunc(t.memories[owner], func(_ Family, m Remembered) bool { return !t.sticks(m) })
		if len(m) == 0 {
			delete(t.memories, owner)
		}
	}
	maps.DeleteFunc(t.released, func(addr netip.Addr, _ time.Time) bool { return !t.cools(addr) })
}

func (t *twin) remember(o *twinOwner, p *Pool, addr netip.Addr) {
	if p.StickyTTL > 0 {
		if t.memories[o.req.Owner] == nil {
			t.memories[o.req.Owner] = map[Family]Remembered{}
		}
		t.memories[o.req.Owner][familyOf(addr)] = Remembered{o.req.Owner, addr, t.now}
	}
}

func (t *twin) hold(o *twinOwner, f Family, addr netip.Addr) {
	o.have.set(f, addr)
	delete(t.released, addr)
	delete(t.memories[o.req.Owner], f)
	t.relabel(o)
}

func (t *twin) drop(o *twinOwner, f Family) {
	addr := o.have.addr(f)
	if !addr.IsValid() {
		return
	}
	o.have.set(f, netip.Addr{})
	t.relabel(o)
	p := t.poolAt(addr)
	t.remember(o, p, addr)
	if len(t.holders(addr)) == 0 && p.Cooldown > 0 {
		t.released[addr] = t.now
	}
}

func (t *twin) relabel(o *twinOwner) {
	o.have.Pool = ""
	for _, addr := range o.have.Addrs()[:min(1, len(o.have.Addrs()))] {
		o.have.Pool = t.poolAt(addr).Name
	}
}

func (o *twinOwner) complete() bool {
	for _, f := range wanted(o.req.Families) {
		if !o.have.addr(f).IsValid() {
			return false
		}
	}
	return true
}

// turns returns the owners with a valid request, in the order in which they are served.
func (t *twin) turns(only ...Owner) []*twinOwner {
	var turns []*twinOwner
	for owner, o := range t.owners {
		if o.invalid == nil && (len(only) == 0 || slices.Contains(only, owner)) {
			turns = append(turns, o)
		}
	}
	slices.SortFunc(turns, func(a, b *twinOwner) int {
		if c := a.req.Since.Compare(b.req.Since); c != 0 {
			return c
		}
		if older(a, b) {
			return -1
		}
		return 1
	})
	return turns
}

// settle gives some owners, or all, what they can have.
func (t *twin) settle(only ...Owner) {
	for _, o := range t.turns(only...) {
		if o.req.Families == RequireDual && !o.have.isZero() && t.second(o) != nil {
			t.drop(o, IPv4)
			t.drop(o, IPv6)
		}
	}
	for _, o := range t.turns(only...) {
		if o.have.isZero() {
			t.first(o)
		}
	}
	for _, o := range t.turns(only...) {
		_ = t.second(o)
	}
}

// serve serves the first in turn of those that can be, until none can be.
func (t *twin) serve() {
	for served := true; served; {
		served = false
		for _, o := range t.turns() {
			if o.have.isZero() && t.first(o) {
				served = true
				break
			}
		}
		if served {
			continue
		}
		for _, o := range t.turns() {
			if !o.have.isZero() && !o.complete() && t.second(o) == nil {
				served = true
				break
			}
		}
	}
}

// renew replaces a request, and returns who lost an address to the owner.
func (t *twin) renew(r Request) (ousted []Owner) {
	o := t.owners[r.Owner]
	if o == nil {
		o = &twinOwner{req: Request{Owner: r.Owner}}
		t.owners[r.Owner] = o
	}
	was := o.req.Pool
	_, o.invalid = newWish(r)
	switch {
	case o.invalid == nil:
		o.req = r
	case o.req.Families == 0 && o.have.isZero(): // what it may share and where it belongs, but no wish
		o.req = r
		o.req.Families, o.req.Pool, o.req.Addresses = 0, "", nil
	default:
		o.req.Created, o.req.Since = r.Created, r.Since
	}
	for _, f := range []Family{IPv4, IPv6} {
		for _, h := range t.holders(o.have.addr(f)) {
			switch {
			case h == o || !t.clash(o, h):
			case older(h, o):
				t.drop(o, f)
			case o.have.addr(f).IsValid():
				t.drop(h, f)
				ousted = append(ousted, h.req.Owner)
			}
		}
	}
	if o.invalid != nil {
		return ousted
	}
	moved := r.Pool != "" && r.Pool != was && r.Pool != o.have.Pool
	for _, f := range []Family{IPv4, IPv6} {
		if addr, pin := o.have.addr(f), pinOf(r, f); addr.IsValid() && (moved || !slices.Contains(wanted(r.Families), f) ||
			pin.IsValid() && pin != addr || !selects(t.poolAt(addr), r)) {
			t.drop(o, f)
		}
	}
	return ousted
}

// assign is Allocator.Assign; changes maps each changed owner to the text of its change.
func (t *twin) assign(r Request) map[Owner]string {
	before := t.snapshot()
	t.settle(append(t.renew(r), r.Owner)...)
	t.serve()
	return t.changes(before, r.Owner)
}

func (t *twin) release(owner Owner) map[Owner]string {
	before := t.snapshot()
	if o := t.owners[owner]; o != nil {
		t.drop(o, IPv4)
		t.drop(o, IPv6)
	}
	delete(t.owners, owner)
	t.serve()
	return t.changes(before)
}

// losses are the addresses that would have no pool, or none that serves their owners.
func (t *twin) losses(pools []Pool) map[netip.Addr][]Owner {
	lost := map[netip.Addr][]Owner{}
	next := newTwin(pools)
	for owner, o := range t.owners {
		for _, addr := range o.have.Addrs() {
			if p := next.poolAt(addr); p == nil || !selects(p, o.req) {
				lost[addr] = append(lost[addr], owner)
			}
		}
	}
	return lost
}

func (t *twin) setPools(pools []Pool, never []Range) map[Owner]string {
	before, lost := t.snapshot(), t.losses(pools)
	t.prune()
	t.pools, t.never = pools, never
	for addr, owners := range lost {
		for _, owner := range owners {
			o := t.owners[owner]
			o.have.set(familyOf(addr), netip.Addr{})
			if p := t.poolAt(addr); p != nil {
				t.remember(o, p, addr)
				t.released[addr] = t.now
			}
		}
	}
	for _, o := range t.owners {
		t.relabel(o)
	}
	maps.DeleteFunc(t.released, func(addr netip.Addr, _ time.Time) bool { return len(t.holders(addr)) > 0 })
	if len(t.owners) > 0 {
		t.settle()
	}
	t.serve()
	return t.changes(before, slices.Collect(maps.Keys(t.owners))...)
}

func (t *twin) err(o *twinOwner) error {
	if o.invalid != nil || !o.have.isZero() {
		return o.invalid
	}
	_, err := t.choose(o)
	return err
}

func (t *twin) snapshot() map[Owner]Assignment {
	have := map[Owner]Assignment{}
	for owner, o := range t.owners {
		have[owner] = o.have
	}
	return have
}

// changes compares with before; of the asked owners also what they are told.
func (t *twin) changes(before map[Owner]Assignment, asked ...Owner) map[Owner]string {
	changes := map[Owner]string{}
	for owner, was := range before {
		if t.owners[owner] == nil && !was.isZero() {
			changes[owner] = describe(Change{Before: was})
		}
	}
	for owner, o := range t.owners {
		c := Change{Before: before[owner], After: o.have, Err: t.err(o)}
		told := text(c.Err)
		if c.Before != c.After || slices.Contains(asked, owner) && told != o.told {
			changes[owner] = describe(c)
			o.told = told
		}
	}
	return changes
}

func describe(c Change) string { return fmt.Sprintf("%v to %v, err %v", c.Before, c.After, c.Err) }

func (t *twin) lookup(owner Owner) (Assignment, error) {
	o := t.owners[owner]
	if o == nil {
		return Assignment{}, ErrUnknownOwner
	}
	if !o.have.isZero() {
		return o.have, nil
	}
	return o.have, t.err(o)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
