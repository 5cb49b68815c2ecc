package ipam

import (
	"net/netip"
	"slices"
	"sync"
)

// Allocator assigns the addresses of its pools. Its methods may be called concurrently.
//
// At rest, no address is free that a waiting owner could have.
type Allocator struct {
	mu     sync.RWMutex
	space  *space
	owners map[Owner]*record
	held   map[netip.Addr]*record
	queue  queue
	tx     []entry // of the running call
}

// entry is what an owner had before the running call.
type entry struct {
	record *record
	before Assignment
	lost   error
	told   bool // report it, whatever it looks like
	gone   bool // released by this call
}

// New returns an Allocator with these pools, of which it keeps a copy. Pools are tried in the order given. The error
// lists every mistake: missing or repeated names, no addresses, bad ranges, overlaps.
func New(pools []Pool) (*Allocator, error) {
	s, err := newSpace(pools)
	if err != nil {
		return nil, err
	}
	return &Allocator{space: s, owners: map[Owner]*record{}, held: map[netip.Addr]*record{}}, nil
}

// Assign gives the owner what it asks for, or has it wait; waiting owners are served by the calls that make it
// possible, in the order of (Since, Created, Owner). Assign is idempotent: it returns no Change for an owner for whom
// nothing changed. Asked for something else, an owner keeps of what it has whatever fits the new request; a pool that
// is asked for by the same name as before is not compared again, so that renaming a pool moves nobody. An invalid
// request changes nothing but is remembered; its Change carries an InvalidRequestError.
func (a *Allocator) Assign(request Request) []Change {
	if request.Owner == "" {
		return []Change{{Err: noOwner()}}
	}
	w, err := newWish(request)
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.record(request.Owner)
	a.touch(r)
	freed := a.renew(r, w, err)
	if a.pending(r) {
		freed = append(freed, a.fillKept(r)...)
		a.fill(r)
		a.fillSecond(r)
	}
	a.serve(freed)
	return a.finish()
}

func noOwner() error { return &InvalidRequestError{Problem: "it names no owner"} }

// Release forgets an owner. Its own Change comes first, if it had something, then those of the owners that were
// served with what it had.
func (a *Allocator) Release(owner Owner) []Change {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.owners[owner]
	if r == nil {
		return nil
	}
	a.tx[a.touch(r)].gone = true
	a.queue.leave(r)
	delete(a.owners, owner)
	freed := r.have.Addrs()
	a.clear(r)
	a.serve(freed)
	return a.finish()
}

// Lookup returns what the owner has, or, as an error, why it waits just now; ErrUnknownOwner if it never asked.
func (a *Allocator) Lookup(owner Owner) (Assignment, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	r := a.owners[owner]
	if r == nil {
		return Assignment{}, ErrUnknownOwner
	}
	if !r.have.isZero() {
		return r.have, nil
	}
	return Assignment{}, a.why(r)
}

// PoolOf returns the name of the pool that the address is in, assigned or not.
func (a *Allocator) PoolOf(addr netip.Addr) (name string, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if p := a.space.at(addr); p != nil {
		return p.name, true
	}
	return "", false
}

// Usage counts the addresses of every pool, in the order of the pools, for each family that the pool has, IPv4 first.
func (a *Allocator) Usage() []Usage {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.space.usage()
}

// record returns the record of an owner, new if need be.
func (a *Allocator) record(owner Owner) *record {
	r := a.owners[owner]
	if r == nil {
		r = &record{owner: owner}
		a.owners[owner] = r
	}
	return r
}

// touch notes what an owner has before the call changes it, and returns the index of the note.
func (a *Allocator) touch(r *record) int {
	if r.entry == 0 {
		a.tx = append(a.tx, entry{record: r, before: r.have})
		r.entry = len(a.tx)
	}
	return r.entry - 1
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
			c.Err = a.why(r)
		}
		if e.told || c.Before != c.After || !e.gone && text(c.Err) != text(r.told) {
			changes = append(changes, c)
		}
		r.told = c.Err
		a.tx[i] = entry{}
	}
	if cap(a.tx) > 1024 { // a call that touched everybody leaves nothing behind
		a.tx = nil
	}
	a.tx = a.tx[:0]
	return slices.Clip(changes)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// why returns the reason why the owner has not what it asks for. It is nil for one that has at least one address.
func (a *Allocator) why(r *record) error {
	if r.invalid != nil || !r.have.isZero() {
		return r.invalid
	}
	if _, o := a.choose(&r.wish); o != nil {
		return o.err
	}
	return nil
}
