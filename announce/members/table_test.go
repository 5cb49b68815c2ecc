package members

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// post is the messages on their way to one speaker: they come in any order, some twice, some never.
type post []record

func (p *post) deliver(t *testing.T, to *table, rng *rand.Rand, now time.Time) (passOn []record) {
	t.Helper()
	for len(*p) > 0 && rng.IntN(4) > 0 {
		i := rng.IntN(len(*p))
		r := (*p)[i]
		if rng.IntN(5) > 0 {
			*p = slices.Delete(*p, i, i+1)
		}
		if rng.IntN(10) == 0 {
			continue
		}
		r, err := readRecord(r.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if to.take(r, now).news {
			passOn = append(passOn, r)
		}
	}
	return passOn
}

// The stupid twin of a table is the state that was set: after any changes, messages lost, doubled and out of order,
// and restarts, whoever asks for what is behind knows it.
func TestTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	now := time.Now()
	for range 300 {
		a, b, c := newTable("a", 1), newTable("b", 1), newTable("c", 1)
		var want State
		var toB, toC post
		for range rng.IntN(60) {
			now = now.Add(time.Duration(rng.IntN(100)) * time.Millisecond)
			switch rng.IntN(12) {
			case 0: // a restarts, by a clock that may have been set back
				a = newTable("a", 1+rng.Uint64N(1<<60))
				want = State{}
			case 1:
				exchange(t, a, b, now)
			case 2:
				exchange(t, b, c, now)
			default:
				want = State{Starting: rng.IntN(3) == 0, Draining: rng.IntN(3) == 0, Restarting: time.Duration(rng.IntN(2)) * time.Minute}
				for range rng.IntN(9) {
					want.Held = append(want.Held, netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(20))}))
				}
				r, ok := a.set(want, false)
				if !ok {
					break
				}
				if rng.IntN(6) == 0 {
					r = record{node: "a", head: r.head}
				}
				toB, toC = append(toB, r), append(toC, r)
			}
			toC = append(toC, toB.deliver(t, b, rng, now)...)
			toC.deliver(t, c, rng, now)
		}
		b.hearOf("a", a.own().head, now)
		now = now.Add(time.Second)
		for _, x := range []*table{b, c} {
			behind := x.behind(now)
			if x == b && !slices.Contains(behind, "a") && x.replicas["a"].head.less(a.own().head) {
				t.Fatalf("b has %v of %v and does not know that it is behind", x.replicas["a"].head, a.own().head)
			}
			exchange(t, x, a, now)
			exchange(t, x, a, now) // a may have learnt that it had to outdo its older self
			p := x.replicas["a"]
			if p.head != a.own().head || p.state.Starting != want.Starting || p.state.Draining != want.Draining || !slices.Equal(p.held, addresses(want.Held)) {
				t.Fatalf("%s knows %v %+v, want %v %+v", x.self, p.head, p.state, a.own().head, want)
			}
			if len(x.behind(now.Add(time.Hour))) != 0 {
				t.Fatalf("%s is still behind", x.self)
			}
		}
	}
}

// exchange gives each of two tables what the other one knows.
func exchange(t *testing.T, a, b *table, now time.Time) {
	t.Helper()
	never := func(string) time.Duration { return 0 }
	fromA, fromB := a.exchange(never), b.exchange(never)
	for _, x := range []struct {
		to *table
		b  []byte
	}{{a, fromB}, {b, fromA}} {
		records, err := x.to.newer(x.b[2:])
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			x.to.take(r, now)
		}
	}
}

func TestSetSaysWhatChanged(t *testing.T) {
	a := newTable("a", 1)
	if _, ok := a.set(State{}, false); ok {
		t.Error("nothing set is told")
	}
	s := State{Held: addrs("10.0.0.2", "10.0.0.1"), Interfaces: links}
	r, ok := a.set(s, false)
	if !ok || len(r.added) != 2 || len(r.registers) != 1 || r.base != 1 || r.version != 2 {
		t.Errorf("%+v", r)
	}
	if _, ok := a.set(s, false); ok {
		t.Error("the same state is told again")
	}
	s.Held = addrs("10.0.0.1")
	if r, ok := a.set(s, false); !ok || len(r.added) != 0 || !slices.Equal(r.removed, addrs("10.0.0.2")) || len(r.registers) != 0 {
		t.Errorf("%+v", r)
	}
	if r, ok := a.set(s, true); !ok || len(r.registers) != 1 {
		t.Errorf("leaving: %+v", r)
	}
}

// What a newer version of a speaker tells reaches another newer one through an older one between them, also where
// that has put it together from differences.
func TestUnknownRegistersArePassedOn(t *testing.T) {
	now := time.Now()
	old, other := newTable("old", 1), newTable("other", 1)
	first := full("new", head{5, 1})
	first.registers[77], first.registers[78] = "one", "stays"
	old.take(first, now)
	old.take(record{node: "new", head: head{5, 2}, content: difference, base: 1, registers: registers{77: "two"}}, now)
	exchange(t, old, other, now)
	got := other.replicas["new"]
	if got.head != (head{5, 2}) || got.regs[77] != "two" || got.regs[78] != "stays" || !got.state.Draining || len(got.state.Interfaces) != 2 {
		t.Errorf("%+v", got)
	}
}

// A difference that waits for one that never comes does not fill the memory, nor do speakers that nobody knows.
func TestTableHasLimits(t *testing.T) {
	a := newTable("a", 1)
	now := time.Now()
	for i := range uint64(1000) {
		a.take(record{node: "b", head: head{1, 3 + i}, content: difference, base: 2 + i}, now)
	}
	if n := len(a.replicas["b"].wait); n != maxPending {
		t.Errorf("%d differences wait, want %d", n, maxPending)
	}
	for i := range 2 * maxSpeakers {
		a.hearOf(string(rune('A'+i)), head{1, 1}, now)
	}
	if n := len(a.replicas); n != maxSpeakers {
		t.Errorf("%d speakers, want %d", n, maxSpeakers)
	}
}

// What another speaker remembers of one for longer than a day is not taken up anew; what it knows more of one that is known is.
func TestOldRecord(t *testing.T) {
	m := &Membership{opts: Options{Node: "a"}, peers: map[string]*peer{}, table: newTable("a", 1), wake: make(chan struct{}, 1), changed: make(chan struct{})}
	now := time.Now()
	old := record{node: "b", head: head{1, 1}, content: complete, age: memory + time.Minute}
	m.take(old, nil, now)
	if m.peers["b"] != nil || m.table.replicas["b"] != nil {
		t.Error("it was taken up")
	}
	young := old
	young.age = memory - time.Minute
	m.take(young, nil, now)
	old.version = 2
	m.take(old, nil, now)
	if p := m.table.replicas["b"]; p == nil || p.version != 2 {
		t.Errorf("%+v, want version 2", p)
	}
}
