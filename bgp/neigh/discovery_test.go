package neigh

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	start   = time.Unix(1_000_000, 0)
	routerA = netip.MustParseAddr("fe80::a")
	routerB = netip.MustParseAddr("fe80::b")
)

// simulation plays a link's time. It notes when something is sent.
type simulation struct {
	discovery
	now                   time.Time
	advertised, solicited []time.Duration // since start
}

// until plays to a time after start, with what happens at others on the way.
func (s *simulation) until(end time.Duration, others map[time.Duration]func()) {
	if s.now.IsZero() {
		s.now = start
	}
	for {
		advertise, solicit := s.due(s.now)
		at := s.now.Sub(start)
		if advertise {
			s.advertised = append(s.advertised, at)
		}
		if solicit {
			s.solicited = append(s.solicited, at)
		}
		next := s.next()
		var do func()
		for t, f := range others {
			if when := start.Add(t); when.After(s.now) && !when.After(next) {
				next, do = when, f
			}
		}
		if !next.After(s.now) {
			panic(fmt.Sprintf("a busy loop at %s", at))
		}
		if next.After(start.Add(end)) {
			s.now = start.Add(end)
			return
		}
		if s.now = next; do != nil {
			do()
		}
	}
}

func (s *simulation) knows(t *testing.T, want netip.Addr, complaint string) {
	t.Helper()
	got, err := s.router("eth1")
	if got != want || (err == nil) != (complaint == "") || err != nil && !strings.Contains(err.Error(), complaint) {
		t.Errorf("after %s: got %v, %v, want %v, %q", s.now.Sub(start), got, err, want, complaint)
	}
}

func sent(times []time.Duration, from, to time.Duration) (n int) {
	for _, t := range times {
		if t >= from && t < to {
			n++
		}
	}
	return n
}

func TestDiscoverySearches(t *testing.T) {
	var s simulation
	s.until(10500*time.Millisecond, nil)
	if a, b := fmt.Sprint(s.advertised), fmt.Sprint(s.solicited); a != b || a != "[0s 1s 2s 3s 4s 5s 6s 7s 8s 9s 10s]" {
		t.Errorf("advertised %s, solicited %s", a, b)
	}
	s.knows(t, netip.Addr{}, "no router has advertised itself on eth1")

	s.hear(s.now, routerA, 30*time.Second)
	s.knows(t, routerA, "")
	s.until(35*time.Second, nil)
	if got := fmt.Sprint(s.advertised[11:], s.solicited[11:]); got != "[10.5s 20.5s 30.5s] []" {
		t.Errorf("with a router: %s", got)
	}
	s.until(40*time.Second, nil)
	s.knows(t, routerA, "")
	s.until(40501*time.Millisecond, nil)
	s.knows(t, netip.Addr{}, "no router advertises itself on eth1 any more (RFC 4861); the last was fe80::a")
	if n := sent(s.solicited, 35*time.Second, 40500*time.Millisecond); n != 5 {
		t.Errorf("a router that is about to be forgotten is solicited %d times: want 5", n)
	}
}

func TestDiscoveryBelievesARouterForItsLifetime(t *testing.T) {
	const s0 = time.Second
	for _, c := range []struct {
		name     string
		heard    []time.Duration
		lifetime time.Duration
		gone     time.Duration
	}{
		{"its own", []time.Duration{1 * s0}, 9 * s0, 10 * s0},
		{"renewed", []time.Duration{1 * s0, 5 * s0}, 9 * s0, 14 * s0},
		{"no default router: as long as RFC 4861 lets it be silent", []time.Duration{1 * s0}, 0, 1801 * s0},
		{"no default router, two gaps say little", []time.Duration{1 * s0, 2 * s0, 3 * s0}, 0, 1803 * s0},
		{"no default router: three of its intervals", []time.Duration{1 * s0, 2 * s0, 12 * s0, 22 * s0}, 0, 52 * s0},
		{"no default router: but of 3 s at least", []time.Duration{1 * s0, 2 * s0, 3 * s0, 4 * s0}, 0, 13 * s0},
	} {
		var s simulation
		for _, at := range c.heard {
			s.until(at, nil)
			s.hear(s.now, routerA, c.lifetime)
		}
		s.until(c.gone-time.Millisecond, nil)
		if _, err := s.router("eth1"); err != nil {
			t.Errorf("%s: before %s: %v", c.name, c.gone, err)
		}
		s.until(c.gone, nil)
		if _, err := s.router("eth1"); err == nil {
			t.Errorf("%s: still known after %s", c.name, c.gone)
		}
	}
}

func TestDiscoveryWantsOneRouter(t *testing.T) {
	answers := func(s *simulation, from ...netip.Addr) map[time.Duration]func() {
		others := map[time.Duration]func(){}
		for i, r := range from {
			others[20*time.Second+time.Duration(i+1)*500*time.Millisecond] = func() { s.hear(s.now, r, 1800*time.Second) }
		}
		return others
	}
	begin := func() *simulation {
		s := new(simulation)
		s.until(10*time.Second, nil)
		s.hear(s.now, routerA, 1800*time.Second)
		s.until(20*time.Second, nil)
		s.hear(s.now, routerB, 1800*time.Second)
		s.knows(t, netip.Addr{}, "several routers advertise themselves on eth1: fe80::a, fe80::b; an unnumbered session wants a point-to-point link")
		return s
	}
	s := begin() // A was replaced by B
	s.until(26*time.Second, answers(s, routerB))
	s.knows(t, routerB, "")
	if n := sent(s.solicited, 20*time.Second, 26*time.Second); n != 5 {
		t.Errorf("solicited %d times while in doubt: want 5", n)
	}
	s = begin() // both are there
	s.until(time.Minute, answers(s, routerB, routerA))
	s.knows(t, netip.Addr{}, "several")
	if n := sent(s.solicited, 21*time.Second, time.Minute); n != 0 {
		t.Errorf("solicited %d times though both have answered", n)
	}
}

func TestDiscoveryBearsFloods(t *testing.T) {
	var s simulation
	s.until(0, nil)
	for i := range 10_000 {
		s.until(time.Duration(i+1)*time.Millisecond, nil)
		s.asked()
		s.hear(s.now, netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(i >> 8), 15: byte(i)}), time.Hour)
	}
	if len(s.advertised) > 41 || len(s.solicited) > 11 || len(s.routers) != mostKept {
		t.Errorf("%d advertisements and %d solicitations in 10 s, %d routers kept", len(s.advertised), len(s.solicited), len(s.routers))
	}
}

// TestDiscoveryTellsARouterThatHasJustStarted: it has forgotten us, and accepts nothing before it hears of us again.
func TestDiscoveryTellsARouterThatHasJustStarted(t *testing.T) {
	var s simulation
	s.hear(start, routerA, 30*time.Second)
	s.until(14*time.Second, nil)
	s.hear(s.now, routerA, 30*time.Second)
	s.until(15*time.Second, nil)
	if got := s.advertised[len(s.advertised)-1]; got != 14*time.Second {
		t.Errorf("answered at %s: want at once, at 14s", got)
	}
	s.until(16*time.Second, nil)
	s.hear(s.now, routerA, 30*time.Second)
	s.until(17*time.Second, nil)
	if got := s.advertised[len(s.advertised)-1]; got != 14*time.Second {
		t.Errorf("answered again at %s: that is too often", got)
	}
}

// TestDiscoveryDoesNotTalkToItself has two of us at the ends of a link, each of which takes the other for a router.
func TestDiscoveryDoesNotTalkToItself(t *testing.T) {
	const delay = 2 * time.Millisecond
	var ends [2]discovery
	type flight struct {
		at          time.Time
		to          int
		advertising bool
	}
	var wire []flight
	messages := 0
	for now := start; now.Before(start.Add(time.Hour)); now = now.Add(time.Millisecond) {
		for len(wire) > 0 && !wire[0].at.After(now) {
			f := wire[0]
			wire = wire[1:]
			if f.advertising {
				ends[f.to].hear(now, []netip.Addr{routerB, routerA}[f.to], 0)
			} else {
				ends[f.to].asked()
			}
		}
		for i := range ends {
			advertise, solicit := ends[i].due(now)
			if solicit {
				wire = append(wire, flight{now.Add(delay), 1 - i, false})
			}
			if advertise {
				wire = append(wire, flight{now.Add(delay), 1 - i, true})
				messages++
			}
		}
	}
	if messages < 360 || messages > 730 {
		t.Errorf("%d advertisements in an hour: want one or two every 10 s", messages)
	}
	for i := range ends {
		if got, err := ends[i].router("eth1"); err != nil {
			t.Errorf("end %d: %v, %v", i, got, err)
		}
	}
}

// TestDiscoveryOfShortLifetimes: routers may advertise themselves several times a second, to be missed soon.
func TestDiscoveryOfShortLifetimes(t *testing.T) {
	var s simulation
	s.hear(start, routerA, 3*time.Second)
	s.until(2900*time.Millisecond, nil)
	if got := fmt.Sprint(s.solicited); got != "[2s]" {
		t.Errorf("solicited at %s: want once, in the last third of its lifetime", got)
	}
	s.hear(s.now, routerB, time.Hour)
	s.knows(t, netip.Addr{}, "several")
	s.until(3*time.Second, nil)
	s.knows(t, routerB, "") // to be asked has not prolonged A's life
}
