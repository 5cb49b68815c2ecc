package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// The shapes that are measured: one pool and 20, lowest and stable, with memory, IPv6, and shared addresses.
var shapes = []struct {
	name     string
	families Families
	sharers  int // owners of one address
	pools    func() []Pool
}{
	{"lowest", SingleIPv4, 1, func() []Pool { return []Pool{{Name: "a", Ranges: slash("10.0.0.0/8")}} }},
	{"stable", SingleIPv4, 1, func() []Pool { return []Pool{{Name: "a", Ranges: slash("10.0.0.0/8"), Assignment: Stable}} }},
	{"20pools", SingleIPv4, 1, func() []Pool {
		all := make([]Pool, 20) // each just large enough for its share of 100000
		for i := range all {
			all[i] = Pool{Name: fmt.Sprint("p", i), Ranges: slash(fmt.Sprintf("10.%d.0.0-10.%d.19.255", i, i))}
		}
		return all
	}},
	{"IPv6", SingleIPv6, 1, func() []Pool { return []Pool{{Name: "a", Ranges: slash("fd00::/64")}} }},
	{"IPv6stable", SingleIPv6, 1, func() []Pool { return []Pool{{Name: "a", Ranges: slash("fd00::/64"), Assignment: Stable}} }},
	{"dual", RequireDual, 1, func() []Pool { return []Pool{{Name: "a", Ranges: slash("10.0.0.0/8", "fd00::/64")}} }},
	{"remembering", SingleIPv4, 1, func() []Pool {
		return []Pool{{Name: "a", Ranges: slash("10.0.0.0/8"), StickyTTL: 24 * time.Hour, Cooldown: time.Minute}}
	}},
	{"quota", SingleIPv4, 1, func() []Pool {
		return []Pool{{Name: "a", Ranges: slash("10.0.0.0/8"), MaxPerNamespace: 100000, AvoidBuggyIPs: true}}
	}},
	{"shared", SingleIPv4, 4, func() []Pool { return []Pool{{Name: "a", Ranges: slash("10.0.0.0/8")}} }},
}

func slash(texts ...string) (ranges []Range) {
	for _, s := range texts {
		r, err := ParseRange(s)
		if err != nil {
			panic(err)
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// requests are those of n owners, in random order.
func requests(n, sharers int, families Families) []Request {
	all := make([]Request, n)
	for i := range all {
		all[i] = Request{Owner: Owner(fmt.Sprintf("namespace-%d/service-%d", i%100, i)), Families: families}
		if sharers > 1 {
			all[i].Share = Share{Key: fmt.Sprint("key", i/sharers), Ports: []Port{{"TCP", uint16(i % sharers)}}}
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	rnd.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// filled returns an allocator on which all of them were assigned, and half of them anew.
func filled(b *testing.B, pools []Pool, all []Request) *Allocator {
	a, err := New(pools)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range all {
		a.Assign(r)
	}
	for _, r := range all[:len(all)/2] {
		a.Release(r.Owner)
	}
	for _, r := range all[:len(all)/2] {
		if c := a.Assign(r); c[0].Err != nil {
			b.Fatal(c[0].Err)
		}
	}
	return a
}

var sizes = []int{100, 1000, 10000, 100000}

// Releasing a random owner and assigning it again: the figure is for both together.
func BenchmarkReleaseAndAssign(b *testing.B) {
	for _, shape := range shapes {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", shape.name, n), func(b *testing.B) {
				all := requests(n, shape.sharers, shape.families)
				a := filled(b, shape.pools(), all)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					a.Release(all[i%n].Owner)
					a.Assign(all[i%n])
				}
			})
		}
	}
}

// Assigning n owners to an empty allocator, for each of them.
func BenchmarkAssign(b *testing.B) {
	for _, shape := range shapes[:2] {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", shape.name, n), func(b *testing.B) {
				all := requests(n, 1, shape.families)
				b.ReportAllocs()
				for range b.N/n + 1 {
					a, _ := New(shape.pools())
					for _, r := range all {
						a.Assign(r)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64((b.N/n+1)*n), "ns/owner")
			})
		}
	}
}

// A full pool with n owners, and as many that wait: one leaves, the next is served, and the one that left waits.
func BenchmarkFullPool(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			last := Range{base4(0), base4(uint32(n - 1))}
			a, _ := New([]Pool{{Name: "a", Ranges: []Range{last}}})
			all := requests(2*n, 1, SingleIPv4)
			for i := range all {
				all[i].Since = time.Unix(int64(i), 0)
				a.Assign(all[i])
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := &all[i%(2*n)]
				r.Since = time.Unix(int64(i+2*n), 0)
				if changes := a.Release(r.Owner); len(changes) != 2 {
					b.Fatal(changes)
				}
				a.Assign(*r)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			all := requests(n, 1, SingleIPv4)
			a := filled(b, shapes[0].pools(), all)
			for i := 0; b.Loop(); i++ {
				if _, err := a.Lookup(all[i%n].Owner); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Other pools for 50000 owners: a new rule, and a new name, which changes what every owner is told.
func BenchmarkSetPools(b *testing.B) {
	for _, renamed := range []bool{false, true} {
		b.Run(map[bool]string{false: "rule", true: "name"}[renamed], func(b *testing.B) {
			a := filled(b, shapes[0].pools(), requests(50000, 1, SingleIPv4))
			for i := 0; b.Loop(); i++ {
				next := shapes[0].pools()
				if next[0].Priority = i + 1; renamed {
					next[0].Name = fmt.Sprint("a", i)
				}
				if _, err := a.SetPools(next); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What 100000 plain owners take, without the text of their names.
func BenchmarkMemory(b *testing.B) {
	all := requests(100000, 1, SingleIPv4)
	var a *Allocator
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		a = filled(b, shapes[0].pools(), all)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(all)), "B/owner")
	}
	runtime.KeepAlive(a)
}

func base4(n uint32) netip.Addr {
	return IPv4.addr(uint128{0, 10<<24 + uint64(n)})
}
