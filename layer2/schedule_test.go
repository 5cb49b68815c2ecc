package layer2

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// play runs a schedule in its own time until d has passed, and returns when each address was announced.
func play(s *schedule, start time.Time, d time.Duration) (order []netip.Addr, at map[netip.Addr][]time.Duration) {
	at = map[netip.Addr][]time.Duration{}
	for {
		now, ok := s.next()
		if !ok || now.Sub(start) > d {
			return order, at
		}
		addr, ok := s.pop(now)
		if !ok {
			panic("nothing to announce when next said so")
		}
		order, at[addr] = append(order, addr), append(at[addr], now.Sub(start))
	}
}

func addresses(n int) []netip.Addr {
	addrs := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	for len(addrs) < n {
		addrs = append(addrs, addrs[len(addrs)-1].Next())
	}
	return addrs
}

func TestScheduleRounds(t *testing.T) {
	start := time.Now()
	s := newSchedule(50)
	s.add(vip4, start)
	_, at := play(s, start, 200*time.Second)
	want := []time.Duration{0, 100, 500, 1000, 2000, 4000}
	for i, w := range want {
		if got := at[vip4][i]; got != w*time.Millisecond {
			t.Errorf("round %d after %v, want %v", i, got, w*time.Millisecond)
		}
	}
	if n := len(at[vip4]); n != len(want)+3 {
		t.Fatalf("%d rounds in 200 s, want %d", n, len(want)+3)
	}
	for i := len(want); i < len(at[vip4]); i++ {
		if gap := at[vip4][i] - at[vip4][i-1]; gap < 54*time.Second || gap > 66*time.Second {
			t.Errorf("refreshed after %v, want about 60 s", gap)
		}
	}
	s.remove(vip4)
	if _, ok := s.next(); ok {
		t.Error("something is due after the only address was removed")
	}
}

// Of many addresses taken at once each is announced before any is repeated, at 50 frames a second; later they
// take turns at one in 100 ms.
func TestScheduleManyAddresses(t *testing.T) {
	const n = 2000
	start := time.Now()
	s := newSchedule(50)
	for _, addr := range addresses(n) {
		s.add(addr, start)
	}
	order, at := play(s, start, 20*time.Minute)
	seen := map[netip.Addr]bool{}
	for _, addr := range order[:n] {
		seen[addr] = true
	}
	if len(seen) != n {
		t.Errorf("%d addresses among the first %d announcements, want all", len(seen), n)
	}
	var frames []time.Duration // two for each announcement
	for _, times := range at {
		last := times[len(times)-1] - times[len(times)-2]
		if last < 180*time.Second || last > 220*time.Second {
			t.Errorf("refreshed after %v, want about 200 s at one address in 100 ms", last)
		}
		for _, when := range times {
			frames = append(frames, when, when)
		}
	}
	slices.Sort(frames)
	for i, when := range frames[:len(frames)-50] {
		within := frames[i+50] - when
		if within < time.Second || when > 800*time.Second && within < 2400*time.Millisecond {
			t.Fatalf("51 frames within %v, %v after the start", within, when)
		}
	}
}

// A defence is one frame, before all others, within the same pace.
func TestScheduleDefence(t *testing.T) {
	now := time.Now()
	s, addrs := newSchedule(50), addresses(3)
	for _, addr := range addrs[:2] {
		s.add(addr, now)
	}
	s.pop(now)
	for _, addr := range []netip.Addr{addrs[1], addrs[1], addrs[2]} { // the last one is not announced at all
		s.defend(addr)
	}
	if _, ok := s.popDefence(now); ok {
		t.Error("a defence did not wait for its turn")
	}
	next, ok := s.next()
	if now.Add(40*time.Millisecond) != next || !ok {
		t.Errorf("the defence is due after %v", next.Sub(now))
	}
	if addr, ok := s.popDefence(next); !ok || addr != addrs[1] {
		t.Errorf("defended %v", addr)
	}
	if _, ok := s.popDefence(next.Add(time.Second)); ok {
		t.Error("defended twice")
	}
	if after, _ := s.next(); after.Sub(next) != 20*time.Millisecond {
		t.Errorf("the next announcement is %v later, want a frame's share", after.Sub(next))
	}
	s.defend(addrs[0])
	s.remove(addrs[0])
	if _, ok := s.popDefence(next.Add(time.Second)); ok {
		t.Error("defended what was withdrawn")
	}
}

// A stupid twin: whatever is added and removed, the heaps hold exactly the entries.
func TestScheduleAddRemove(t *testing.T) {
	addrs, now := addresses(50), time.Now()
	s, want := newSchedule(50), map[netip.Addr]bool{}
	for range 20000 {
		addr := addrs[rand.N(len(addrs))]
		switch rand.N(4) {
		case 0:
			s.add(addr, now)
			want[addr] = true
		case 1:
			s.remove(addr)
			delete(want, addr)
		case 2:
			if got, ok := s.pop(now); ok && !want[got] {
				t.Fatalf("announced %v, which was removed", got)
			}
		case 3:
			now = now.Add(rand.N(time.Second))
		}
		total := 0
		for round, h := range s.due {
			for pos, e := range h {
				if total++; e.pos != pos || e.round != round || s.entries[e.addr] != e {
					t.Fatalf("entry %+v at %d of round %d", e, pos, round)
				}
			}
		}
		if total != len(want) || len(s.entries) != len(want) {
			t.Fatalf("%d due, %d entries, want %d", total, len(s.entries), len(want))
		}
	}
}
