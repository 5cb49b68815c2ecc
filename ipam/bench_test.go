package ipam

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// filled returns an allocator with n owners in one /8, random ones of which were released and assigned anew.
func filled(b *testing.B, n int) (*Allocator, []Owner) {
	a := allocator(b, "a: 10.0.0.0/8 fd00::/64")
	owners := make([]Owner, n)
	for i := range owners {
		owners[i] = Owner(fmt.Sprintf("namespace-%d/service-%d", i%100, i))
		a.Assign(Request{Owner: owners[i], Families: SingleIPv4})
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	rnd.Shuffle(n, func(i, j int) { owners[i], owners[j] = owners[j], owners[i] })
	for _, owner := range owners[:n/2] {
		a.Release(owner)
	}
	for _, owner := range owners[:n/2] {
		a.Assign(Request{Owner: owner, Families: SingleIPv4})
	}
	return a, owners
}

func BenchmarkReleaseAndAssign(b *testing.B) {
	for _, n := range []int{100, 1000, 10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a, owners := filled(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				owner := owners[i%n]
				a.Release(owner)
				a.Assign(Request{Owner: owner, Families: SingleIPv4})
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{100, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a, owners := filled(b, n)
			for i := 0; b.Loop(); i++ {
				if _, err := a.Lookup(owners[i%n]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSetPools(b *testing.B) {
	a, _ := filled(b, 50000)
	names := []string{"a", "b"}
	for i := 0; b.Loop(); i++ {
		if _, err := a.SetPools(pools(b, names[i%2]+": 10.0.0.0/8 fd00::/64")); err != nil {
			b.Fatal(err)
		}
	}
}
