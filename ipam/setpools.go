package ipam

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// Loss is an address that an owner would lose.
type Loss struct {
	Owner   Owner
	Address netip.Addr
	Pool    string // that the address is in now
	Err     error  // why: an AddressNotInPoolError, NoMatchingPoolError or, for a second address, why it has to go along
	// Follows says that the address goes only because its owner requires two and loses the other. It needs no release.
	Follows bool
}

// LossError says that new pools would take addresses from their owners that may not be taken.
type LossError struct{ Losses []Loss }

func (e *LossError) Error() string {
	first := e.Losses[0]
	s := fmt.Sprintf("%s would lose %s: %s", first.Owner, first.Address, first.Err)
	if more := len(e.Losses) - 1; more > 0 {
		s += fmt.Sprintf(" (and %d more)", more)
	}
	return s
}

// Everything is a release for SetPools that lets every address be taken.
const Everything = "*"

// SetPools replaces the pools. An address that is still in some pool whose Selector serves its owner stays with it,
// whatever the pool is called now and whatever else its rules say. Other addresses would be lost, and SetPools refuses
// that with a LossError unless the release names each of them: by the pool that it is in now, by itself or by a range
// in the form of ParseRange, or with Everything. An owner that loses one gets another in the same call if possible,
// and waiting owners are served. The changes are in the order of (Since, Created, Owner). With an error, which lists
// every mistake as New does, nothing changes.
func (a *Allocator) SetPools(pools []Pool, release ...string) ([]Change, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := newSpace(pools, a.space.never)
	if err != nil {
		return nil, err
	}
	if reflect.DeepEqual(s.given, a.space.given) {
		return nil, nil
	}
	a.begin()
	if err := unreleased(a.losses(s), release); err != nil {
		return nil, err
	}
	return a.replace(s), nil
}

// unreleased returns a LossError with the losses that a release does not cover, if there are any.
func unreleased(losses []Loss, release []string) error {
	losses = slices.DeleteFunc(slices.Clone(losses), func(l Loss) bool { return l.Released(release...) })
	if len(losses) == 0 {
		return nil
	}
	return &LossError{losses}
}

// Plan says what SetPools would do with the same arguments, and changes nothing: the error is SetPools' own, and the
// losses are those of all owners if everything were released, by owner; with a LossError they are more than its own.
func (a *Allocator) Plan(pools []Pool, release ...string) ([]Loss, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := newSpace(pools, a.space.never)
	if err != nil {
		return nil, err
	}
	a.begin()
	losses := a.losses(s)
	if len(losses) == 0 {
		return nil, nil
	}
	refusal := unreleased(losses, release)
	losses = nil
	for _, c := range a.clone().replace(s) {
		for _, f := range families {
			addr := c.Before.addr(f)
			if !addr.IsValid() || addr == c.After.addr(f) {
				continue
			}
			err, follows := a.loss(s, a.owners[c.Owner], addr), false
			if err == nil {
				err, follows = c.Lost, true
			}
			losses = append(losses, Loss{c.Owner, addr, a.space.at(addr).Name, err, follows})
		}
	}
	sortLosses(losses)
	return losses, refusal
}

// SetNever replaces the set of addresses that are never assigned, though they are in a pool: gateways, say. Ranges may
// overlap and lie outside every pool. Who has such an address keeps it, and reservations override. The changes are of
// owners that are served with what may be assigned now.
func (a *Allocator) SetNever(ranges []Range) ([]Change, error) {
	if err := checkNever(ranges); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Equal(ranges, a.space.never) {
		return nil, nil
	}
	s, err := newSpace(a.space.given, slices.Clone(ranges))
	if err != nil {
		return nil, err
	}
	a.begin()
	return a.replace(s), nil
}

func checkNever(ranges []Range) error {
	for _, r := range ranges {
		if err := r.check(); err != nil {
			return fmt.Errorf("never assigning: %w", err)
		}
	}
	return nil
}

// Released reports whether a release, as SetPools takes it, covers the loss.
func (l Loss) Released(release ...string) bool {
	return slices.ContainsFunc(release, func(word string) bool {
		if word == Everything || word == l.Pool {
			return true
		}
		r, err := ParseRange(word)
		return err == nil && r.Contains(l.Address)
	})
}

// losses lists the addresses that would not stay with their owners in another space.
func (a *Allocator) losses(s *space) (losses []Loss) {
	for owner, r := range a.owners {
		for _, f := range families {
			if addr := r.have.addr(f); addr.IsValid() {
				if err := a.loss(s, r, addr); err != nil {
					losses = append(losses, Loss{owner, addr, a.space.at(addr).Name, err, false})
				}
			}
		}
	}
	sortLosses(losses)
	return losses
}

func sortLosses(losses []Loss) {
	slices.SortFunc(losses, func(x, y Loss) int {
		if c := strings.Compare(string(x.Owner), string(y.Owner)); c != 0 {
			return c
		}
		return x.Address.Compare(y.Address)
	})
}

// loss says why an address would not stay with its owner in another space, or is nil.
func (a *Allocator) loss(s *space, r *record, addr netip.Addr) error {
	switch p := s.at(addr); {
	case p == nil:
		return &AddressNotInPoolError{Address: addr}
	case !p.serves(r):
		return &NoMatchingPoolError{Pool: p.Name, Why: NotSelected}
	default:
		return nil
	}
}

// replace puts everything that stays into another space, takes away the rest, and serves everybody.
func (a *Allocator) replace(s *space) []Change {
	a.sweep()
	a.space, a.queue, a.woken = s, queue{}, nil
	a.held, a.sites = make(map[netip.Addr]*record, len(a.held)), make(map[netip.Addr]*site, len(a.sites))
	var lacking []*record
	for _, r := range a.owners {
		r.group, r.choice = nil, s.choiceOf(r)
		a.carry(r)
		if r.invalid() == nil && !r.complete() {
			a.touch(r)
			lacking = append(lacking, r)
		}
	}
	for addr, at := range a.released {
		if p := s.at(addr); a.taken(addr) {
			delete(a.released, addr)
		} else if a.cools(addr, at) {
			a.refrigerate(p, addr, at)
		}
	}
	a.settle(lacking)
	a.serve()
	slices.SortFunc(a.tx, func(x, y entry) int { return compareTurns(x.record, y.record) })
	return a.finish()
}

// carry takes an owner's addresses over into the new space.
func (a *Allocator) carry(r *record) {
	have := Assignment{}
	var lost error
	for _, f := range families {
		addr := r.have.addr(f)
		if !addr.IsValid() {
			continue
		}
		p := a.space.at(addr)
		if err := a.loss(a.space, r, addr); err == nil {
			if !a.taken(addr) {
				p.take(addr)
			}
			a.link(r, p, addr)
			have.set(f, addr)
		} else if lost = err; p != nil {
			a.remember(r, p, addr)
			a.released[addr] = a.clock()
		}
	}
	have.Pool = a.label(have)
	if have != r.have {
		a.tx[a.touch(r)].lost = lost
		r.have = have
	}
}

// clone copies what replace changes.
func (a *Allocator) clone() *Allocator {
	c := &Allocator{now: a.now, time: a.time, space: a.space, memories: maps.Clone(a.memories), released: maps.Clone(a.released)}
	c.owners = make(map[Owner]*record, len(a.owners))
	for owner, r := range a.owners {
		kept := *r
		c.owners[owner] = &kept
	}
	return c
}
