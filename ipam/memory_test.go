package ipam

import (
	"slices"
	"testing"
	"time"
)

// timed makes an allocator with a clock that the test moves.
func timed(t *testing.T, ranges string, rules func(*Pool)) (*Allocator, func(time.Duration)) {
	t.Helper()
	all := pools(t, "a: "+ranges)
	rules(&all[0])
	now := time.Unix(1e9, 0)
	a, err := Options{Now: func() time.Time { return now }}.New(all)
	if err != nil {
		t.Fatal(err)
	}
	return a, func(d time.Duration) { now = now.Add(d) }
}

func TestSticky(t *testing.T) {
	a, pass := timed(t, "10.0.0.0/29", func(p *Pool) { p.StickyTTL = time.Hour })
	if got := assignAll(a, "a", "b", "c"); got != "0, 1, 2" {
		t.Fatal(got)
	}
	a.Release("a")
	a.Release("c")
	pass(59 * time.Minute)
	if u := a.Usage()[0]; u.Remembered != 2 || u.Free().Int64() != 7 {
		t.Errorf("usage %+v", u)
	}
	if got := assignAll(a, "c", "new", "a"); got != "2, 0, 3" { // what is remembered for one is free for others
		t.Error(got)
	}
	a.Release("c")
	pass(time.Hour)
	if got := assignAll(a, "x", "c"); got != "2, 4" {
		t.Error(got)
	}
	a.Release("c")
	a.Release("new")
	pass(time.Hour)
	if got := assignAll(a, "c"); got != "0" || len(a.Remembered()) != 0 {
		t.Error(got, a.Remembered())
	}
}

func TestCooldown(t *testing.T) {
	a, pass := timed(t, "10.0.0.0/30", func(p *Pool) { p.Cooldown = time.Minute })
	assignAll(a, "0", "1", "2")
	a.Release("1")
	pass(time.Second)
	a.Release("0")
	pass(time.Second)
	if got := assignAll(a, "x", "y", "z"); got != "3, 1, 0" { // the longest released first, and never withheld
		t.Error(got)
	}
	a.Release("x")
	a.Release("y")
	pass(time.Minute)
	a.Release("z")
	if got := assignAll(a, "p", "q", "r", "s"); got != "1, 3, 0, "+exhaustedA {
		t.Error(got)
	}
	// Who asks for a cooling address gets it.
	a.Release("p")
	a.Release("r")
	a.Assign(Request{Owner: "s", Families: SingleIPv4, Addresses: addrs("10.0.0.1")})
	expect(t, a, "s", "a 10.0.0.1")
	if got := assignAll(a, "t"); got != "0" {
		t.Error(got)
	}
}

// A successor goes on with what was remembered, whether it hears of that before or after it adopts.
func TestRemember(t *testing.T) {
	rules := func(p *Pool) { p.Cooldown, p.StickyTTL = time.Minute, time.Hour }
	a, _ := timed(t, "10.0.0.0/29", rules)
	assignAll(a, "a", "b", "c")
	a.Release("a")
	a.Release("b")
	remembered := a.Remembered()
	if len(remembered) != 4 || remembered[0].Owner != "" || remembered[3].Owner != "b" || remembered[3].Address != addrs("10.0.0.1")[0] {
		t.Fatal(remembered)
	}
	for _, first := range []bool{true, false} {
		b, _ := timed(t, "10.0.0.0/29", rules)
		if first {
			b.Remember(remembered)
		}
		b.Adopt([]Holding{holding("c", 0, SingleIPv4, "10.0.0.2")})
		if !first {
			b.Remember(remembered)
		}
		b.Remember(append(slices.Clone(remembered), Remembered{"x", addrs("192.0.2.1")[0], time.Now()}))
		if got := b.Remembered(); !slices.Equal(got, remembered) {
			t.Errorf("%v, want %v", got, remembered)
		}
		if got := assignAll(b, "new", "b", "other"); got != "3, 1, 4" {
			t.Error(got)
		}
	}
}

// What nobody remembers any more is forgotten even if nobody asks.
func TestMemoriesDoNotPileUp(t *testing.T) {
	a, pass := timed(t, "10.0.0.0/29", func(p *Pool) { p.Cooldown, p.StickyTTL = time.Minute, time.Hour })
	for i := range 20000 {
		owner := Owner(time.Duration(i).String())
		assignAll(a, owner)
		a.Release(owner)
		pass(time.Minute)
	}
	if len(a.memories) > 3000 || len(a.released) > 2 || len(a.space.pools[0].cooling[IPv4].heap) > 2 {
		t.Errorf("%d memories, %d releases, %d cooling", len(a.memories), len(a.released), len(a.space.pools[0].cooling[IPv4].heap))
	}
}
