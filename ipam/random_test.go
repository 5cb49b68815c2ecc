package ipam

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var seeds = flag.Int("seeds", 100, "random histories that the allocator and its twin are compared over")

// The Allocator and its twin answer alike, whatever is asked, and keep what they promise.
func TestAgreesWithTwin(t *testing.T) {
	for seed := range *seeds {
		w := &world{T: t, rnd: rand.New(rand.NewPCG(uint64(seed), 1)), seed: seed}
		pools := w.pools()
		a, err := New(pools)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		w.a, w.twin = a, newTwin(pools)
		for w.step = range 120 {
			w.act()
			w.verify()
			if t.Failed() {
				return
			}
		}
	}
}

type world struct {
	*testing.T
	rnd        *rand.Rand
	seed, step int
	a          *Allocator
	twin       *twin
	log        []string
}

func (w *world) errorf(format string, args ...any) {
	w.Helper()
	w.Errorf("seed %d step %d: %s\nhistory:\n%v", w.seed, w.step, fmt.Sprintf(format, args...), w.log)
}

// universe is the addresses that pools are cut from: few, so that they run out.
func (w *world) universe(f Family) netip.Addr {
	base := map[Family]string{IPv4: "10.0.0.250", IPv6: "fd00::fffa"}[f] // pools cross 10.0.1.0
	return base2addr(base, w.rnd.IntN(18))
}

func base2addr(base string, n int) netip.Addr {
	addr := netip.MustParseAddr(base)
	for range n {
		addr = addr.Next()
	}
	return addr
}

// pools cuts the universe into random pieces and deals them to up to four pools.
func (w *world) pools() []Pool {
	pools := make([]Pool, 1+w.rnd.IntN(4))
	for i := range pools {
		pools[i] = Pool{Name: string(rune('a' + i)), Manual: w.rnd.IntN(4) == 0}
	}
	for f, base := range []string{"10.0.0.250", "fd00::fffa"} {
		for n := w.rnd.IntN(3); n < 18; {
			size := 1 + w.rnd.IntN(4)
			if w.rnd.IntN(3+f) == 0 {
				p := &pools[w.rnd.IntN(len(pools))]
				p.Ranges = append(p.Ranges, Range{base2addr(base, n), base2addr(base, n+size-1)})
			}
			n += size
		}
	}
	pools = slices.DeleteFunc(pools, func(p Pool) bool { return len(p.Ranges) == 0 })
	w.rnd.Shuffle(len(pools), func(i, j int) { pools[i], pools[j] = pools[j], pools[i] })
	for _, p := range pools {
		w.rnd.Shuffle(len(p.Ranges), func(i, j int) { p.Ranges[i], p.Ranges[j] = p.Ranges[j], p.Ranges[i] })
	}
	return pools
}

func (w *world) request() Request {
	r := Request{
		Owner:    w.owner(),
		Families: Families(w.rnd.IntN(6)),
		Created:  time.Unix(int64(w.rnd.IntN(3)), 0),
		Since:    time.Unix(int64(w.rnd.IntN(3)), 0),
	}
	if w.rnd.IntN(8) > 0 && r.Families == 0 {
		r.Families = SingleIPv4
	}
	if w.rnd.IntN(4) == 0 {
		r.Pool = string(rune('a' + w.rnd.IntN(4)))
	}
	for _, f := range []Family{IPv4, IPv6} {
		if w.rnd.IntN(6) == 0 {
			r.Addresses = append(r.Addresses, w.universe(f))
		}
	}
	return r
}

func (w *world) owner() Owner { return Owner(fmt.Sprintf("o%d", w.rnd.IntN(14))) }

func (w *world) act() {
	before := w.twin.snapshot()
	var got []Change
	var want map[Owner]string
	switch n := w.rnd.IntN(20); {
	case n < 11:
		r := w.request()
		w.log = append(w.log, fmt.Sprintf("assign %+v\n", r))
		got, want = w.a.Assign(r), w.twin.assign(r)
		w.nothingLost(before, r.Owner)
		if again := w.a.Assign(r); len(again) > 0 {
			w.errorf("the same request changes %v", again)
		}
	case n < 17:
		owner := w.owner()
		w.log = append(w.log, fmt.Sprintf("release %s\n", owner))
		got, want = w.a.Release(owner), w.twin.release(owner)
		w.nothingLost(before, owner)
	case n < 19:
		pools := w.pools()
		w.log = append(w.log, fmt.Sprintf("pools %v\n", pools))
		var err error
		if got, err = w.a.SetPools(pools); err != nil {
			w.errorf("%v", err)
		}
		want = w.twin.setPools(pools)
		w.keptInPools(before)
	default:
		w.log = append(w.log, "take over\n")
		w.takeOver()
		return
	}
	w.compare(got, want)
}

func (w *world) compare(got []Change, want map[Owner]string) {
	texts := map[Owner]string{}
	for _, c := range got {
		if _, twice := texts[c.Owner]; twice {
			w.errorf("two changes for %s: %v", c.Owner, got)
		}
		texts[c.Owner] = describe(c)
		kept := true
		for _, addr := range c.Before.Addrs() {
			kept = kept && slices.Contains(c.After.Addrs(), addr)
		}
		if _, known := w.twin.owners[c.Owner]; known && kept != (c.Lost == nil) {
			w.errorf("%s: lost %v, but %s", c.Owner, c.Lost, describe(c))
		}
	}
	if !maps.Equal(texts, want) {
		w.errorf("changes\n%v, want\n%v", texts, want)
	}
}

// nothingLost checks that only the owner itself lost something.
func (w *world) nothingLost(before map[Owner]Assignment, self Owner) {
	for owner, was := range before {
		if now, _ := w.a.Lookup(owner); owner != self {
			for _, addr := range was.Addrs() {
				if !slices.Contains(now.Addrs(), addr) {
					w.errorf("%s lost %s by a change of %s", owner, addr, self)
				}
			}
		}
	}
}

// keptInPools checks that new pools took an address only where it is in none of them, or of two one was left alone.
func (w *world) keptInPools(before map[Owner]Assignment) {
	for owner, was := range before {
		now, _ := w.a.Lookup(owner)
		var in int
		for _, addr := range was.Addrs() {
			if _, ok := w.a.PoolOf(addr); ok {
				in++
			}
		}
		for _, addr := range was.Addrs() {
			_, ok := w.a.PoolOf(addr)
			if ok && !slices.Contains(now.Addrs(), addr) &&
				(in == len(was.Addrs()) || w.twin.owners[owner].req.Families != RequireDual) {
				w.errorf("%s lost %s, which is still in a pool", owner, addr)
			}
		}
	}
}

// takeOver replaces both allocators by ones that adopt: nothing may change.
func (w *world) takeOver() {
	holdings := make([]Holding, 0, len(w.twin.owners))
	before := w.twin.snapshot()
	for owner, o := range w.twin.owners {
		h := Holding{Request: o.req, Addrs: before[owner].Addrs()}
		if o.invalid != nil {
			h.Families = 0
			o.invalid = &InvalidRequestError{"it says no families"}
			o.told = ""
		}
		holdings = append(holdings, h)
	}
	w.rnd.Shuffle(len(holdings), func(i, j int) { holdings[i], holdings[j] = holdings[j], holdings[i] })
	a, err := New(w.twin.pools)
	if err != nil {
		w.errorf("%v", err)
		return
	}
	for _, c := range a.Adopt(holdings) {
		if c.Before != c.After || c.Lost != nil {
			w.errorf("taking over changed %s: %s", c.Owner, describe(c))
		}
	}
	successor := newTwin(w.twin.pools)
	successor.adopt(holdings)
	w.a, w.twin = a, successor
	if now := w.twin.snapshot(); !maps.Equal(now, before) {
		w.errorf("the twin changed by taking over: %v, then %v", before, now)
	}
}

// verify compares everything that can be asked, and the free space with what is held.
func (w *world) verify() {
	for i := range 14 {
		owner := Owner(fmt.Sprintf("o%d", i))
		got, gotErr := w.a.Lookup(owner)
		want, wantErr := w.twin.lookup(owner)
		if got != want || text(gotErr) != text(wantErr) {
			w.errorf("%s: %v %v, want %v %v", owner, got, gotErr, want, wantErr)
		}
		// Who waits for long has last been told of another holder or pool than it now waits for: start level.
		if o := w.twin.owners[owner]; o != nil {
			w.a.owners[owner].told = w.a.why(w.a.owners[owner])
			o.told = text(w.twin.err(o))
		}
	}
	holders := map[netip.Addr]Owner{}
	for owner, r := range w.a.owners {
		for _, addr := range r.have.Addrs() {
			if other, ok := holders[addr]; ok {
				w.errorf("%s belongs to %s and %s", addr, owner, other)
			}
			holders[addr] = owner
		}
	}
	i := 0
	usage := w.a.Usage()
	for _, p := range w.twin.pools {
		for _, f := range []Family{IPv4, IPv6} {
			all := list(p, f)
			if len(all) == 0 {
				continue
			}
			used := 0
			for _, addr := range all {
				if _, held := holders[addr]; held {
					used++
				}
			}
			u := usage[i]
			i++
			if u.Pool != p.Name || u.Family != f || u.Size.Int64() != int64(len(all)) || u.InUse != used {
				w.errorf("usage %v, want %s %s %d of %d", u, p.Name, f, used, len(all))
			}
		}
	}
	if i != len(usage) {
		w.errorf("usage of %d pools and families, want %d", len(usage), i)
	}
}
