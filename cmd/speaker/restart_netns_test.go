package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/bfd"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// What the tests tell every peer, and what comes of it.
var watched = bgp.BFD{Enabled: true}

const (
	normal     = 300 * time.Millisecond
	multiplier = 3
)

// eachRouter runs a test with a station of each maker whose speaker runs.
func eachRouter(t *testing.T, test func(t *testing.T, s *station)) {
	t.Helper()
	for _, m := range routers.Makers {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			s := newStation(t, m)
			s.start(fresh, watched)
			s.up(normal, multiplier)
			test(t, s)
		})
	}
}

// follow starts another speaker a while after the last one, and waits until all is as before.
func (s *station) follow(after time.Duration) {
	s.t.Helper()
	<-time.After(after)
	s.start(restarting, watched)
	s.up(normal, multiplier)
}

// dies waits until the router has found all sessions dead, and fails if it was not BFD that found it.
func (s *station) dies(since time.Time, events *nstest.RouteEvents) {
	s.t.Helper()
	var gone []nstest.RouteEvent
	nstest.Eventually(s.t, "the routes are gone", func() (bool, any) {
		gone = slices.DeleteFunc(events.Of(prefixes(0)...), func(e nstest.RouteEvent) bool { return !e.Deleted || e.At.Before(since) })
		return len(gone) == len(prefixes(0)), gone
	})
	s.t.Logf("withdrawn after %s to %s", gone[0].At.Sub(since).Round(time.Millisecond), gone[len(gone)-1].At.Sub(since).Round(time.Millisecond))
	for _, x := range sessions {
		if why := s.cause(x); !strings.Contains(why, "BFD") {
			s.t.Errorf("%s: the router took it down for %q", x.name, why)
		}
	}
}

// cause is why the router has lost the session.
func (s *station) cause(x session) string {
	s.t.Helper()
	if s.frr != nil {
		n := s.frr.Neighbour(x.ours)
		return n.LastResetDueTo + ": " + n.LastNotificationReason
	}
	var why string
	for line := range strings.Lines(s.bird.Log()) {
		if _, text, _ := strings.Cut(line, x.name+": "); strings.HasPrefix(text, "Error: ") || strings.Contains(text, "session down") {
			why = text
		}
	}
	return why
}

// TestNetnsPlannedRestart has a speaker replaced by another one, twice, without a word to the router's kernel. A death is
// found as before.
func TestNetnsPlannedRestart(t *testing.T) {
	eachRouter(t, func(t *testing.T, s *station) {
		s.steady(1)
		events := nstest.ListenForRoutes(t, s.router, "eth0")
		for i := range 2 {
			s.leave()
			s.follow(3 * time.Second)
			s.steady(2 + i)
		}
		s.untouched(events)
		since := time.Now()
		s.signal(syscall.SIGSTOP)
		s.dies(since, events)
	})
}

// TestNetnsKilledSpeaker: BIRD takes BFD's word for it, and withdraws (docs/interop.md).
func TestNetnsKilledSpeaker(t *testing.T) {
	t.Parallel()
	s := newStation(t, routers.FRRouting)
	s.start(fresh, watched)
	s.up(normal, multiplier)
	events := nstest.ListenForRoutes(t, s.router, "eth0")
	for _, away := range []time.Duration{time.Second, 3 * time.Second} {
		s.kill()
		s.follow(away)
		s.untouched(events)
	}
	since := time.Now()
	s.signal(syscall.SIGSTOP)
	s.dies(since, events)
}

// TestNetnsKilledInTime has another speaker there before BFD has missed the one that was killed: neither router's kernel
// sees anything of it.
func TestNetnsKilledInTime(t *testing.T) {
	const interval, multiplier = time.Second, 5
	slow := bgp.BFD{Enabled: true, Receive: interval, Transmit: interval, Multiplier: multiplier}
	for _, m := range routers.Makers {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			s := newStation(t, m)
			s.start(fresh, slow)
			s.up(interval, multiplier)
			events := nstest.ListenForRoutes(t, s.router, "eth0")
			s.kill()
			<-time.After(time.Second)
			s.start(restarting, slow)
			s.up(interval, multiplier)
			<-time.After(multiplier * interval) // whatever it has missed would be found by then
			s.untouched(events)
			for _, l := range s.look() {
				if l.BFD.Ups != 0 && l.BFD.Downs != 0 || l.Theirs.Falls != 0 {
					t.Errorf("%s has fallen: %+v", l.Name, l)
				}
			}
		})
	}
}

// TestNetnsDeadNode cuts the node's links, behind a switch and a gateway: nothing but silence tells the router.
func TestNetnsDeadNode(t *testing.T) {
	eachRouter(t, func(t *testing.T, s *station) {
		events := nstest.ListenForRoutes(t, s.router, "eth0")
		since := time.Now()
		nstest.Run(t, "ip", "-n", s.middle, "link", "set", "near", "down")
		nstest.Run(t, "ip", "-n", s.middle, "link", "set", "gateway", "down")
		s.dies(since, events)
		nstest.Eventually(t, "the node knows", func() (bool, any) {
			all := s.look()
			return !slices.ContainsFunc(all, func(l look) bool { return l.Ours.State == bgp.Established }), all
		})
		for _, l := range s.look() {
			if l.Ours.Lost != "BFD: "+bfd.DetectionTimeExpired.String() || l.Ours.Flaps != 1 {
				t.Errorf("%s: the node took it down for %q: %+v", l.Name, l.Ours.Lost, l)
			}
		}
		nstest.Run(t, "ip", "-n", s.middle, "link", "set", "near", "up")
		nstest.Run(t, "ip", "-n", s.middle, "link", "set", "gateway", "up")
		s.up(normal, multiplier)
	})
}

// TestNetnsChangedProfile changes the parameters while everything is up.
func TestNetnsChangedProfile(t *testing.T) {
	eachRouter(t, func(t *testing.T, s *station) {
		events := nstest.ListenForRoutes(t, s.router, "eth0")
		for _, b := range []bgp.BFD{{Enabled: true, Receive: 500 * time.Millisecond, Transmit: 500 * time.Millisecond, Multiplier: 5}, watched} {
			s.set(b)
			b = b.WithDefaults()
			s.up(b.Transmit, int(b.Multiplier))
		}
		s.steady(1)
		s.untouched(events)
	})
}
