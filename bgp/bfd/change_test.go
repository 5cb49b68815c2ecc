package bfd

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func (e *end) set(t *testing.T, p Parameters) {
	t.Helper()
	if err := e.Set(p); err != nil {
		t.Fatal(err)
	}
}

func TestParametersChangeWhileUp(t *testing.T) {
	upPair(t, nil, func(t *testing.T, n *network, a, b *end) {
		for _, p := range []Parameters{
			{Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond},
			{Receive: 2 * time.Second, Transmit: 5 * time.Second, Multiplier: 2},
			{Receive: 50 * time.Millisecond, Transmit: 50 * time.Millisecond, Multiplier: 20},
			{Receive: 300 * time.Millisecond, Transmit: 300 * time.Millisecond, Multiplier: 3},
		} {
			for _, e := range []*end{a, b} {
				e.set(t, p)
				if e.Status().Negotiated {
					t.Errorf("%+v are in force before the neighbour knows of them", p)
				}
			}
			time.Sleep(20 * time.Second)
			want := p.withDefaults()
			for _, e := range []*end{a, b} {
				s := e.Status()
				if s.Transmit != max(want.Transmit, want.Receive) || s.Receive != s.Transmit || s.Detection != time.Duration(want.Multiplier)*s.Receive || !s.Negotiated {
					t.Errorf("%+v: %+v", p, s)
				}
			}
		}
		if a.Status().Downs+b.Status().Downs != 0 {
			t.Error("the session went down")
		}
		since := time.Now()
		a.set(t, Parameters{MinimumTTL: 77})
		time.Sleep(time.Second)
		for _, p := range n.packets(hostA, since) {
			if p.Poll {
				t.Error("the same parameters are polled for")
			}
		}
	})
}

// TestSlowerOnlyAfterFinal is RFC 5880 section 6.8.3: until the neighbour has answered, the old interval is kept to.
func TestSlowerOnlyAfterFinal(t *testing.T) {
	upPair(t, nil, func(t *testing.T, n *network, a, b *end) {
		n.losing(func(from netip.Addr, p Packet) bool { return from == netip.MustParseAddr(hostB) && p.Final })
		since := time.Now()
		a.set(t, Parameters{Receive: 50 * time.Millisecond, Transmit: 3 * time.Second})
		time.Sleep(10 * time.Second)
		polls := n.packets(hostA, since)
		for _, p := range polls {
			if !p.Poll || p.DesiredMinTx != 3*time.Second || p.RequiredMinRx != 50*time.Millisecond {
				t.Fatalf("%+v", p)
			}
		}
		if polls[0].at != since {
			t.Errorf("the change is told %v later", polls[0].at.Sub(since))
		}
		gaps(t, polls, 225*time.Millisecond, 300*time.Millisecond, 30)
		if s := a.Status(); s.Receive != 300*time.Millisecond || s.Detection != 900*time.Millisecond || s.Downs != 0 {
			t.Errorf("%+v", s)
		}
		n.cut()
		time.Sleep(5 * time.Second)
		if s := a.Status(); s.Transmit != 3*time.Second || s.Receive != 300*time.Millisecond || b.Status().Detection != 9*time.Second {
			t.Errorf("%+v\n%+v", s, b.Status())
		}
	})
}

// TestShrinkingIntervalsAreFollowedAtOnce is about a neighbour that takes in a packet a second until it is Up, as FRR.
func TestShrinkingIntervalsAreFollowedAtOnce(t *testing.T) {
	m := in(Up)
	p := packet(Up)
	p.RequiredMinRx = time.Second
	m.receive(p, start)
	if at := m.nextSend().Sub(start); at != 875*time.Millisecond {
		t.Fatalf("sends after %v", at)
	}
	p.RequiredMinRx = 300 * time.Millisecond
	m.receive(p, start.Add(10*time.Millisecond))
	if at := m.next().Sub(start); at != 262500*time.Microsecond {
		t.Fatalf("sends after %v", at)
	}
}

func TestRestart(t *testing.T) {
	upPair(t, func(a, _ *Config) { a.Multiplier = 5 }, func(t *testing.T, n *network, a, b *end) {
		before := a.Status()
		saved, err := a.Suspend(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		since := time.Now()
		if b.Status().Detection != 30*time.Second {
			t.Errorf("B waits for %v", b.Status().Detection)
		}
		a.Close()
		a.manager.Close()
		time.Sleep(25 * time.Second)
		if got := n.packets(hostA, since.Add(1)); len(got) != 0 {
			t.Errorf("sent while suspended: %+v", got)
		}
		text, err := json.Marshal([]Saved{saved})
		var resume []Saved
		if err != nil || json.Unmarshal(text, &resume) != nil {
			t.Fatal(err)
		}

		m := newManager(Options{Resume: resume}, n.hosts[netip.MustParseAddr(hostA)])
		defer m.Close()
		again := open(t, m, hostA, hostB)
		time.Sleep(5 * time.Second)
		s := again.Status()
		if s.State != Up || s.LocalDiscriminator != before.LocalDiscriminator || s.Transmit != 300*time.Millisecond || !s.Negotiated {
			t.Errorf("%+v", s)
		}
		if !slices.Equal(again.changes(), []State{Up}) || again.sender.port() != saved.SourcePort {
			t.Errorf("told %v, from port %d", again.changes(), again.sender.port())
		}
		if b.Status().Downs != 0 || b.Status().Ups != 1 || b.Status().Detection != 900*time.Millisecond {
			t.Errorf("B: %+v", b.Status())
		}
		n.cut(hostB)
		time.Sleep(time.Second)
		if !again.Status().Dead {
			t.Errorf("a death after the restart is not found: %+v", again.Status())
		}
	})
}

// TestSnapshot has a process killed and followed by another one before the neighbour has missed it, which sees no change
// then, and one that comes too late, which is no death of the neighbour's.
func TestSnapshot(t *testing.T) {
	for away, downs := range map[time.Duration]uint64{500 * time.Millisecond: 0, 5 * time.Second: 1} {
		upPair(t, nil, func(t *testing.T, n *network, a, b *end) {
			a.set(t, Parameters{Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond, Multiplier: 8})
			time.Sleep(5 * time.Second)
			saved, err := a.Snapshot()
			if err != nil || !saved.Until.IsZero() {
				t.Fatal(saved, err)
			}
			n.cut(hostA) // and what is left of it is not heard any more
			time.Sleep(away)
			a.manager.Close()
			time.Sleep(time.Millisecond)
			n.cut()
			m := newManager(Options{Resume: []Saved{saved}}, n.hosts[netip.MustParseAddr(hostA)])
			defer m.Close()
			again := open(t, m, hostA, hostB)
			time.Sleep(10 * time.Second)
			if s := b.Status(); s.State != Up || s.Downs != downs {
				t.Errorf("after %v B: %+v", away, s)
			}
			if s := again.Status(); s.State != Up || again.dead() != 0 {
				t.Errorf("after %v: %+v", away, s)
			}
		})
	}
	pair(t, nil, func(t *testing.T, n *network, a, b *end) {
		if _, err := a.Snapshot(); !errors.Is(err, ErrNotUp) {
			t.Errorf("of a session that is not up: %v", err)
		}
	})
}

func TestNothingToResume(t *testing.T) {
	tests := []struct {
		name string
		away time.Duration
		gone bool // the neighbour has lost the session
		want []State
	}{
		{"away for too long", 31 * time.Second, false, []State{Init, Up}},
		{"the neighbour began anew", 5 * time.Second, true, []State{Up, Down, Init, Up}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			upPair(t, nil, func(t *testing.T, n *network, a, b *end) {
				saved, err := a.Suspend(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				a.manager.Close()
				if tt.gone {
					b.Close()
					b = open(t, b.manager, hostB, hostA)
				}
				time.Sleep(tt.away)
				m := newManager(Options{Resume: []Saved{saved}}, n.hosts[netip.MustParseAddr(hostA)])
				defer m.Close()
				again := open(t, m, hostA, hostB)
				time.Sleep(10 * time.Second)
				if got := again.changes(); !slices.Equal(got, tt.want) && !slices.Equal(got, slices.DeleteFunc(slices.Clone(tt.want), func(s State) bool { return s == Init })) {
					t.Errorf("told %v, want %v", got, tt.want)
				}
				if again.dead() != 0 {
					t.Error("a session that this process never saw Up takes the neighbour down")
				}
				b.is(t, Up)
			})
		})
	}
}

func TestSuspendWithoutAnAnswer(t *testing.T) {
	upPair(t, nil, func(t *testing.T, n *network, a, _ *end) {
		n.losing(func(_ netip.Addr, p Packet) bool { return p.Final })
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := a.Suspend(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Suspend: %v", err)
		}
		since := time.Now()
		time.Sleep(20 * time.Second)
		if got := n.packets(hostA, since); len(got) != 0 {
			t.Errorf("sent after Suspend: %+v", got)
		}
		if _, err := a.Suspend(ctx); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Suspend again: %v", err)
		}
	})
	upPair(t, nil, func(t *testing.T, n *network, a, b *end) {
		n.cut(hostB)
		if _, err := a.Suspend(context.Background()); !errors.Is(err, ErrNotUp) {
			t.Errorf("Suspend: %v", err)
		}
	})
	pair(t, nil, func(t *testing.T, n *network, a, b *end) {
		if _, err := a.Suspend(context.Background()); !errors.Is(err, ErrNotUp) {
			t.Errorf("Suspend: %v", err)
		}
		time.Sleep(5 * time.Second)
		if got := n.packets(hostA, time.Time{}); len(got) > 2 {
			t.Errorf("%d packets", len(got))
		}
	})
}

// TestAnyWeather has two ends change, close, restart and lose packets at random. Whatever comes, they keep to the
// intervals, and are Up soon after it has ended.
func TestAnyWeather(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) { weather(t, rand.New(rand.NewPCG(seed, 1))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func weather(t *testing.T, r *rand.Rand) {
	n := newNetwork()
	n.delay = time.Duration(r.IntN(50)) * time.Millisecond
	names := [2]string{hostA, hostB}
	var managers [2]*Manager
	var ends [2]*end
	for i := range ends {
		managers[i] = newManager(Options{}, n.host(names[i]))
		ends[i] = open(t, managers[i], names[i], names[1-i])
	}
	loss := r.Float64() * 0.5
	lots := rand.New(rand.NewPCG(r.Uint64(), 2)) // drawn under the network's lock
	n.losing(func(netip.Addr, Packet) bool { return lots.Float64() < loss })
	for range 30 {
		time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
		i := r.IntN(2)
		switch r.IntN(6) {
		case 0, 1, 2:
			interval := func() time.Duration { return time.Duration(10+r.IntN(1500)) * time.Millisecond }
			ends[i].set(t, Parameters{Receive: interval(), Transmit: interval(), Multiplier: uint8(1 + r.IntN(5)), Passive: i == 1 && r.IntN(2) == 0})
		case 3:
			ends[i].Close()
			ends[i] = open(t, managers[i], names[i], names[1-i])
		case 4:
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			saved, err := ends[i].Suspend(ctx)
			cancel()
			managers[i].Close()
			var o Options
			if err == nil {
				o.Resume = []Saved{saved}
			}
			managers[i] = newManager(o, n.hosts[netip.MustParseAddr(names[i])])
			ends[i] = open(t, managers[i], names[i], names[1-i])
		}
	}
	n.losing(nil)
	for _, e := range ends {
		e.set(t, Parameters{})
	}
	time.Sleep(20 * time.Second)
	before := ends[0].Status().Downs + ends[1].Status().Downs
	since := time.Now()
	time.Sleep(time.Minute)
	for i, e := range ends {
		if s := e.Status(); s.State != Up || !s.Negotiated || s.Detection != 900*time.Millisecond || s.Late != 0 {
			t.Errorf("%+v", s)
		}
		gaps(t, n.packets(names[i], since), 225*time.Millisecond, 300*time.Millisecond, 100)
	}
	if ends[0].Status().Downs+ends[1].Status().Downs != before {
		t.Error("the session does not stay Up")
	}
	for _, m := range managers {
		m.Close()
	}
}
