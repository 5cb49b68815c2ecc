package ipam

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Allocator assigns the addresses of its pools. Its methods may be called concurrently.
//
// At rest, no address is free that a waiting owner could have.
type Allocator struct {
	mu    sync.RWMutex
	now   func() time.Time
	space *space
	queue queue

	owners   map[Owner]*record
	held     map[netip.Addr]*record // by owners that do not share
	sites    map[netip.Addr]*site   // by owners that may share
	memories map[Owner]memory
	released map[netip.Addr]time.Time // free addresses of pools with a Cooldown
	crowd    int                      // how many memories are too many to keep those that nobody remembers

	// Of the running call:
	tx     []entry
	woken  []wake
	moves  int       // addresses that changed hands
	ousted []*record // lost an address to another, and lack it
	time   time.Time // zero: nobody asked yet
}

// entry is what an owner had before the running call.
type entry struct {
	record *record
	before Assignment
	lost   error
	told   bool // report it, whatever it looks like
	gone   bool // released by this call
	err    error
	moves  int // that err was found after so many
}

// Options are what an Allocator may be made with. The zero value is what New uses.
type Options struct {
	Now   func() time.Time // the clock for Pool.StickyTTL and Pool.Cooldown; nil: time.Now
	Never []Range          // see SetNever
}

// New returns an Allocator with these pools, of which it keeps a copy. The error lists every mistake: missing or
// repeated names, no addresses, bad ranges, overlaps, exclusions and reservations outside their pool.
func New(pools []Pool) (*Allocator, error) { return Options{}.New(pools) }

// New returns an Allocator with these options; see the function New.
func (o Options) New(pools []Pool) (*Allocator, error) {
	if err := checkNever(o.Never); err != nil {
		return nil, err
	}
	s, err := newSpace(pools, slices.Clone(o.Never))
	if err != nil {
		return nil, err
	}
	a := &Allocator{now: o.Now, space: s, memories: map[Owner]memory{}, released: map[netip.Addr]time.Time{}}
	a.owners, a.held, a.sites = map[Owner]*record{}, map[netip.Addr]*record{}, map[netip.Addr]*site{}
	if a.now == nil {
		a.now = time.Now
	}
	return a, nil
}

// Assign gives the owner what it asks for, or has it wait; waiting owners are served by the calls that make it
// possible, in the order of (Since, Created, Owner). Assign is idempotent: it returns no Change for an owner for whom
// nothing changed. Asked for something else, an owner keeps of what it has whatever fits the new request; a pool that
// is asked for by the same name as before is not compared again, so that renaming a pool moves nobody. Of two owners
// that can no longer share their address the older (Created, then Owner) keeps it, and the other is in the changes. An
// invalid request changes nothing but is remembered; its Change carries an InvalidRequestError.
func (a *Allocator) Assign(request Request) []Change {
	if request.Owner == "" {
		return []Change{{Err: noOwner()}}
	}
	w, err := newWish(request)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin()
	r := a.record(request.Owner)
	a.touch(r)
	a.renew(r, w, err)
	if len(a.ousted) > 0 {
		a.settle(append(a.ousted, r))
	} else if a.pending(r) {
		a.fillKept(r)
		a.fill(r)
		a.fillSecond(r)
	}
	a.serve()
	return a.finish()
}

func noOwner() error { return &InvalidRequestError{Problem: "it names no owner"} }

// Release forgets an owner, except as Pool.StickyTTL says. Its own Change comes first, if it had something, then those
// of the owners that were served with what it had.
func (a *Allocator) Release(owner Owner) []Change {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.owners[owner]
	if r == nil {
		return nil
	}
	a.begin()
	a.tx[a.touch(r)].gone = true
	a.queue.leave(r)
	delete(a.owners, owner)
	a.drop(r, IPv4)
	a.drop(r, IPv6)
	a.serve()
	return a.finish()
}

// Lookup returns what the owner has, or, as an error, why it waits just now; ErrUnknownOwner if it never asked.
func (a *Allocator) Lookup(owner Owner) (Assignment, error) {
	if r, have := a.peek(owner); r == nil {
		return Assignment{}, ErrUnknownOwner
	} else if !have.isZero() {
		return have, nil
	}
	a.mu.Lock() // finding the reason tidies up
	defer a.mu.Unlock()
	r := a.owners[owner]
	switch {
	case r == nil:
		return Assignment{}, ErrUnknownOwner
	case !r.have.isZero():
		return r.have, nil
	}
	a.begin()
	return Assignment{}, a.why(r)
}

func (a *Allocator) peek(owner Owner) (*record, Assignment) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	r := a.owners[owner]
	if r == nil {
		return nil, Assignment{}
	}
	return r, r.have
}

// Holders returns the owners that have an address, in order.
func (a *Allocator) Holders(addr netip.Addr) []Owner {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Owner
	for _, r := range a.holders(addr) {
		all = append(all, r.owner)
	}
	slices.Sort(all)
	return all
}

// PoolOf returns the name of the pool that the address is in, assigned or not.
func (a *Allocator) PoolOf(addr netip.Addr) (name string, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if p := a.space.at(addr); p != nil {
		return p.Name, true
	}
	return "", false
}

// record returns the record of an owner, new if need be.
func (a *Allocator) record(owner Owner) *record {
	r := a.owners[owner]
	if r == nil {
		r = &record{owner: owner, choice: a.space.common}
		a.owners[owner] = r
	}
	return r
}

// touch notes what an owner has before the call changes it, and returns the index of the note.
func (a *Allocator) touch(r *record) int {
	if r.entry == 0 {
		a.tx = append(a.tx, entry{record: r, before: r.have})
		r.entry = int32(len(a.tx))
	}
	return int(r.entry) - 1
}

// finish ends the call: it returns what changed, in the order in which the owners were touched.
func (a *Allocator) finish() []Change {
	var changes []Change
	for i := range a.tx {
		e := &a.tx[i]
		r := e.record
		r.entry = 0
		c := Change{Owner: r.owner, Before: e.before, After: r.have, Lost: e.lost}
		if !e.gone {
			c.Err = a.whyNow(r, e)
		}
		if e.told || c.Before != c.After || !e.gone && !sameText(c.Err, r.told()) {
			changes = append(changes, c)
		}
		r.setProblem(r.invalid(), c.Err)
		a.tx[i] = entry{}
	}
	if cap(a.tx) > 1024 { // a call that touched everybody leaves nothing behind
		a.tx = nil
	}
	a.tx, a.ousted, a.moves = a.tx[:0], nil, 0
	return slices.Clip(changes)
}

func sameText(x, y error) bool {
	if x == nil || y == nil {
		return x == nil && y == nil
	}
	return x.Error() == y.Error()
}

// whyNow is why, without looking again if nothing changed since the owner was last looked at.
func (a *Allocator) whyNow(r *record, e *entry) error {
	if e.err != nil && e.moves == a.moves && r.invalid() == nil && r.have.isZero() {
		return e.err
	}
	return a.why(r)
}

// why returns the reason why the owner has not what it asks for. It is nil for one that has at least one address.
func (a *Allocator) why(r *record) error {
	if r.invalid() != nil || !r.have.isZero() {
		return r.invalid()
	}
	if _, o := a.choose(r); o != nil {
		return o.err
	}
	return nil
}
