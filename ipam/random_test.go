package ipam

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

// A million operations: -seeds 8400.
var seeds = flag.Int("seeds", 60, "random histories of 120 operations that the allocator and its twin are compared over")

// The Allocator and its twin answer alike, whatever is asked, and keep what they promise. Every now and then the
// Allocator is replaced by a successor that takes over, and the twin is not: nobody can tell.
func TestAgreesWithTwin(t *testing.T) {
	for seed := 0; seed < *seeds && !t.Failed(); seed++ {
		compareHistories(t, uint64(seed), 120)
	}
}

func FuzzAgreesWithTwin(f *testing.F) {
	f.Add(uint64(1<<63), uint8(120))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint8) { compareHistories(t, seed, int(steps)) })
}

// compareHistories does the same random things to an Allocator and to a twin.
func compareHistories(t *testing.T, seed uint64, steps int) {
	w := &world{T: t, rnd: rand.New(rand.NewPCG(seed, 1)), seed: seed, plain: seed%4 == 0}
	pools := w.pools()
	w.twin = newTwin(pools)
	w.twin.now = time.Unix(1e9, 0)
	w.log = append(w.log, fmt.Sprintf("pools %+v\n", pools))
	a, err := Options{Now: w.now}.New(pools)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	w.a = a
	for w.step = 0; w.step < steps && !t.Failed(); w.step++ {
		w.twin.now = w.twin.now.Add(time.Duration(w.rnd.IntN(20)) * time.Second)
		w.act()
		w.verify()
	}
}

func (w *world) now() time.Time { return w.twin.now }

type world struct {
	*testing.T
	rnd   *rand.Rand
	seed  uint64
	step  int
	plain bool // without sharing, quotas and so on
	a     *Allocator
	twin  *twin
	log   []string
}

func (w *world) errorf(format string, args ...any) {
	w.Helper()
	w.Errorf("seed %d step %d: %s\nhistory:\n%v", w.seed, w.step, fmt.Sprintf(format, args...), w.log[max(0, len(w.log)-40):])
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

// labelled selects the requests of a team.
type labelled string

func (l labelled) Matches(r Request) bool { return r.Labels["team"] == string(l) }

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
	for i, p := range pools {
		w.rnd.Shuffle(len(p.Ranges), func(i, j int) { p.Ranges[i], p.Ranges[j] = p.Ranges[j], p.Ranges[i] })
		if !w.plain {
			w.rules(&pools[i])
		}
	}
	return pools
}

// rules gives a pool some of everything.
func (w *world) rules(p *Pool) {
	p.Disabled = w.rnd.IntN(10) == 0
	p.AvoidBuggyIPs = w.rnd.IntN(3) == 0
	p.Priority = w.rnd.IntN(3)
	p.Assignment = Strategy(w.rnd.IntN(2))
	p.StickyTTL = time.Duration(w.rnd.IntN(2)*w.rnd.IntN(300)) * time.Second
	p.Cooldown = time.Duration(w.rnd.IntN(2)*w.rnd.IntN(100)) * time.Second
	p.Sharing = Reach(w.rnd.IntN(3))
	p.Requests = Requests(max(0, w.rnd.IntN(7)-4))
	p.MaxPerNamespace = max(0, w.rnd.IntN(7)-3)
	if w.rnd.IntN(5) == 0 {
		p.Selector = labelled([]string{"red", "blue"}[w.rnd.IntN(2)])
	}
	for _, r := range p.Ranges {
		switch w.rnd.IntN(8) {
		case 0:
			p.Exclude = append(p.Exclude, Range{r.From, r.From})
		case 1, 2:
			p.Reservations = append(p.Reservations, Reservation{r.To, w.owner()})
		}
	}
	if err := p.check(); err != nil { // reserving what is excluded
		p.Reservations = nil
	}
}

func (w *world) never() (never []Range) {
	for range w.rnd.IntN(3) {
		r := w.universe(Family(w.rnd.IntN(2)))
		never = append(never, Range{r, r})
	}
	return never
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
	if w.plain {
		return r
	}
	r.Namespace = []string{"", "x", "y"}[w.rnd.IntN(3)]
	r.Labels = map[string]string{"team": []string{"red", "blue", "blue"}[w.rnd.IntN(3)]}
	if w.rnd.IntN(2) == 0 {
		r.Share = w.share()
	}
	return r
}

func (w *world) share() Share {
	s := Share{Key: []string{"k", "l"}[w.rnd.IntN(2)], Local: w.rnd.IntN(5) == 0, Backends: []string{"", "web"}[w.rnd.IntN(2)]}
	for n := range uint16(4) {
		if w.rnd.IntN(4) == 0 {
			s.Ports = append(s.Ports, Port{"TCP", 80 + n})
		}
	}
	return s
}

func (w *world) owner() Owner { return Owner(fmt.Sprintf("o%d", w.rnd.IntN(14))) }

func (w *world) act() {
	before := w.twin.snapshot()
	var got []Change
	var want map[Owner]string
	switch n := w.rnd.IntN(22); {
	case n < 11:
		r := w.request()
		w.log = append(w.log, fmt.Sprintf("%d: assign %+v\n", w.step, r))
		sharers := w.sharers(r.Owner)
		got, want = w.a.Assign(r), w.twin.assign(r)
		w.nothingLost(before, append(sharers, r.Owner))
		if again := w.a.Assign(r); len(again) > 0 {
			w.errorf("the same request changes %v", again)
		}
	case n < 17:
		owner := w.owner()
		w.log = append(w.log, fmt.Sprintf("%d: release %s\n", w.step, owner))
		got, want = w.a.Release(owner), w.twin.release(owner)
		w.nothingLost(before, []Owner{owner})
	case n < 19:
		pools := w.pools()
		w.log = append(w.log, fmt.Sprintf("%d: pools %+v\n", w.step, pools))
		got, want = w.setPools(pools)
	case n < 20:
		never := w.never()
		w.log = append(w.log, fmt.Sprintf("%d: never %v\n", w.step, never))
		var err error
		if got, err = w.a.SetNever(never); err != nil {
			w.errorf("%v", err)
		}
		want = w.twin.setPools(w.twin.pools, never)
		w.nothingLost(before, nil)
	default:
		w.log = append(w.log, fmt.Sprintf("%d: take over\n", w.step))
		w.takeOver()
		return
	}
	w.compare(got, want)
}

// setPools plans, is refused, and then does what was planned.
func (w *world) setPools(pools []Pool) ([]Change, map[Owner]string) {
	plan, err := w.a.Plan(pools, Everything)
	if err != nil {
		w.errorf("%v", err)
	}
	losses := w.twin.losses(pools)
	direct := 0
	for _, l := range plan {
		if !l.Follows {
			direct++
		}
		if slices.Contains(losses[l.Address], l.Owner) == l.Follows {
			w.errorf("planned %+v, but lost are %v", l, losses)
		}
	}
	if len(losses) > 0 {
		before := w.twin.snapshot()
		_, planned := w.a.Plan(pools, "nothing")
		_, err := w.a.SetPools(pools, "nothing")
		if !reflect.DeepEqual(planned, err) {
			w.errorf("planned %v, then %v", planned, err)
		}
		refused, ok := errors.AsType[*LossError](err)
		if !ok || len(refused.Losses) != direct {
			w.errorf("%v, but %v would be lost", err, losses)
		}
		w.nothingLost(before, nil)
	}
	got, err := w.a.SetPools(pools, Everything)
	if err != nil {
		w.errorf("%v", err)
	}
	for _, c := range got {
		for _, addr := range c.Before.Addrs() {
			planned := slices.ContainsFunc(plan, func(l Loss) bool { return l.Owner == c.Owner && l.Address == addr })
			if kept := slices.Contains(c.After.Addrs(), addr); kept == planned {
				w.errorf("%s of %s was kept: %v, planned to be lost: %v", addr, c.Owner, kept, planned)
			}
		}
	}
	return got, w.twin.setPools(pools, w.twin.never)
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

// sharers returns the owners with whom an owner shares an address.
func (w *world) sharers(owner Owner) (sharers []Owner) {
	if o := w.twin.owners[owner]; o != nil {
		for _, addr := range o.have.Addrs() {
			for _, h := range w.twin.holders(addr) {
				sharers = append(sharers, h.req.Owner)
			}
		}
	}
	return sharers
}

// nothingLost checks that nobody but these lost something.
func (w *world) nothingLost(before map[Owner]Assignment, except []Owner) {
	for owner, was := range before {
		if now, _ := w.a.Lookup(owner); !slices.Contains(except, owner) {
			for _, addr := range was.Addrs() {
				if !slices.Contains(now.Addrs(), addr) {
					w.errorf("%s lost %s, but only %s may", owner, addr, except)
				}
			}
		}
	}
}

// takeOver replaces the allocator by one that adopts what there is and remembers what was: nothing may change.
func (w *world) takeOver() {
	holdings := make([]Holding, 0, len(w.twin.owners))
	before := w.twin.snapshot()
	for owner, o := range w.twin.owners {
		if o.invalid != nil { // the successor gets to know of the last request only
			o.req.Families, o.req.Pool, o.req.Addresses = 0, "", nil
			_, o.invalid = newWish(o.req)
		}
		holdings = append(holdings, Holding{Request: o.req, Addrs: before[owner].Addrs()})
	}
	w.rnd.Shuffle(len(holdings), func(i, j int) { holdings[i], holdings[j] = holdings[j], holdings[i] })
	remembered := w.a.Remembered()
	w.rnd.Shuffle(len(remembered), func(i, j int) { remembered[i], remembered[j] = remembered[j], remembered[i] })
	a, err := Options{Now: w.now, Never: w.twin.never}.New(w.twin.pools)
	if err != nil {
		w.errorf("%v", err)
		return
	}
	rememberFirst := w.rnd.IntN(2) == 0
	if rememberFirst {
		a.Remember(remembered)
	}
	for _, c := range a.Adopt(holdings) {
		if c.Before != c.After || c.Lost != nil {
			w.errorf("taking over changed %s: %s", c.Owner, describe(c))
		}
	}
	if !rememberFirst {
		a.Remember(remembered)
	}
	if again := a.Remembered(); !slices.EqualFunc(sorted(remembered), again, sameMemory) {
		w.errorf("remembered %v, then %v", remembered, again)
	}
	w.a = a
}

func sorted(all []Remembered) []Remembered {
	slices.SortFunc(all, func(x, y Remembered) int {
		if x.Owner != y.Owner {
			return map[bool]int{true: -1, false: 1}[x.Owner < y.Owner]
		}
		return x.Address.Compare(y.Address)
	})
	return all
}

func sameMemory(x, y Remembered) bool {
	return x.Owner == y.Owner && x.Address == y.Address && x.Released.Equal(y.Released)
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
			r := w.a.owners[owner]
			r.setProblem(r.invalid(), w.a.why(r))
			o.told = text(w.twin.err(o))
		}
	}
	used := map[netip.Addr]bool{}
	for _, o := range w.twin.owners {
		for _, addr := range o.have.Addrs() {
			used[addr] = true
			for _, h := range w.twin.holders(addr) {
				if h != o && w.twin.clash(o, h) {
					w.errorf("%s belongs to %s and %s", addr, o.req.Owner, h.req.Owner)
				}
			}
		}
	}
	usage := w.a.Usage()
	for i := range w.twin.pools {
		p := &w.twin.pools[i]
		for _, f := range []Family{IPv4, IPv6} {
			if len(list(p.Ranges, f)) == 0 {
				continue
			}
			if len(usage) == 0 {
				w.errorf("no usage of %s %s", p.Name, f)
				return
			}
			w.verifyUsage(usage[0], p, f, used)
			usage = usage[1:]
		}
	}
	if len(usage) > 0 {
		w.errorf("usage %v of no pool", usage)
	}
}

func (w *world) verifyUsage(u Usage, p *Pool, f Family, used map[netip.Addr]bool) {
	want := Usage{Pool: p.Name, Family: f}
	free := 0
	for _, addr := range w.twin.line(p, f) {
		if !used[addr] && reservedFor(p, addr) == "" {
			free++
		}
	}
	for _, addr := range list(p.Ranges, f) {
		if used[addr] {
			want.InUse++
		} else if reservedFor(p, addr) != "" {
			want.Reserved++
		}
	}
	for _, m := range w.twin.memories {
		if at := w.twin.poolAt(m[f].Address); at != nil && at.Name == p.Name && w.twin.sticks(m[f]) {
			want.Remembered++
		}
	}
	size := len(w.twin.line(p, f))
	if u.Pool != want.Pool || u.Family != f || u.InUse != want.InUse || u.Reserved != want.Reserved ||
		u.Remembered != want.Remembered || u.Size.Int64() != int64(size) || u.Free().Int64() != int64(free) {
		w.errorf("usage %+v free %s, want %+v of %d, free %d", u, u.Free(), want, size, free)
	}
}
