package layer2

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// gaps are the times between the rounds in which a newly taken address is announced: at once and at 0.1, 0.5, 1, 2
// and 4 seconds.
var gaps = [...]time.Duration{
	100 * time.Millisecond, 400 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
}

const (
	refreshEvery   = 60 * time.Second       // after the first rounds; jittered by a tenth either way
	refreshSpacing = 100 * time.Millisecond // between two addresses' refreshes
	lastRound      = len(gaps) + 1          // the round that repeats
)

// schedule says which address is announced next on an interface, and when. Earlier rounds come before later ones,
// so that of many addresses taken at once all are announced before the first is repeated.
type schedule struct {
	frame   time.Duration // one frame's share of a second
	entries map[netip.Addr]*entry
	due     [lastRound + 1]dueHeap // by round
	free    time.Time              // when the interface's next frame may be sent
	refresh time.Time              // when the next refresh may be

	defences []netip.Addr // to be announced once, before all others
}

type entry struct {
	addr  netip.Addr
	due   time.Time
	round int
	pos   int // in its heap
}

func newSchedule(rate int) *schedule {
	return &schedule{frame: time.Second / time.Duration(rate), entries: map[netip.Addr]*entry{}}
}

// add has addr announced from now on. Adding one that is there starts its rounds again.
func (s *schedule) add(addr netip.Addr, now time.Time) {
	s.remove(addr)
	e := &entry{addr: addr, due: now}
	s.entries[addr] = e
	heap.Push(&s.due[0], e)
}

func (s *schedule) remove(addr netip.Addr) {
	if e, ok := s.entries[addr]; ok {
		heap.Remove(&s.due[e.round], e.pos)
		delete(s.entries, addr)
		s.defences = slices.DeleteFunc(s.defences, func(a netip.Addr) bool { return a == addr })
	}
}

// defend has addr announced once, out of turn, by a single frame.
func (s *schedule) defend(addr netip.Addr) {
	if _, ok := s.entries[addr]; ok && !slices.Contains(s.defences, addr) {
		s.defences = append(s.defences, addr)
	}
}

// popDefence is the address to defend now, if there is one.
func (s *schedule) popDefence(now time.Time) (netip.Addr, bool) {
	if len(s.defences) == 0 || now.Before(s.free) {
		return netip.Addr{}, false
	}
	addr := s.defences[0]
	s.defences = s.defences[1:]
	s.free = now.Add(s.frame)
	return addr, true
}

// restart has every address announced as if it were taken now.
func (s *schedule) restart(now time.Time) {
	for addr := range s.entries {
		s.add(addr, now)
	}
}

// next is when pop will have something; false when there is nothing to announce.
func (s *schedule) next() (time.Time, bool) {
	if len(s.defences) > 0 {
		return s.free, true
	}
	var first time.Time
	for round := range s.due {
		if len(s.due[round]) == 0 {
			continue
		}
		due := later(s.due[round][0].due, s.free)
		if round == lastRound {
			due = later(due, s.refresh)
		}
		if first.IsZero() || due.Before(first) {
			first = due
		}
	}
	return first, !first.IsZero()
}

// pop is the address to announce now, if there is one. It counts as announced: its next round follows.
func (s *schedule) pop(now time.Time) (netip.Addr, bool) {
	if now.Before(s.free) {
		return netip.Addr{}, false
	}
	for round := range s.due {
		h := &s.due[round]
		if len(*h) == 0 || now.Before((*h)[0].due) || round == lastRound && now.Before(s.refresh) {
			continue
		}
		e := heap.Pop(h).(*entry)
		s.free = now.Add(time.Duration(framesPerRound(e.addr)) * s.frame)
		if round < len(gaps) {
			e.due = now.Add(gaps[round])
		} else {
			e.due = now.Add(jittered(refreshEvery))
		}
		if round == lastRound {
			s.refresh = now.Add(refreshSpacing)
		}
		e.round = min(round+1, lastRound)
		heap.Push(&s.due[e.round], e)
		return e.addr, true
	}
	return netip.Addr{}, false
}

func jittered(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// dueHeap has the earliest entry first; equal ones in the order of their addresses.
type dueHeap []*entry

func (h dueHeap) Len() int { return len(h) }

func (h dueHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].addr.Less(h[j].addr)
}

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.pos = len(*h)
	*h = append(*h, e)
}

func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
