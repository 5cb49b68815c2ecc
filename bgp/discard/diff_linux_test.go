package discard

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestDiff compares with the obvious way, by maps.
func TestDiff(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func() (all []netip.Prefix, set map[netip.Prefix]bool) {
		set = map[netip.Prefix]bool{}
		for range random.IntN(8) {
			p, _ := netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(3)), 0}).Prefix(22 + random.IntN(3))
			all, set[p] = append(all, p), true
		}
		return sorted(all), set
	}
	for range 1000 {
		have, set := some()
		want, wanted := some()
		add, remove := diff(have, want)
		for _, p := range add {
			if set[p] {
				t.Fatalf("%v -> %v: adds %s, which is there", have, want, p)
			}
			set[p] = true
		}
		for _, p := range remove {
			if !set[p] {
				t.Fatalf("%v -> %v: removes %s, which is not there", have, want, p)
			}
			delete(set, p)
		}
		if !maps.Equal(set, wanted) {
			t.Fatalf("%v -> %v: ends with %v", have, want, set)
		}
	}
}
