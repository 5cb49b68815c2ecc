package ipam

import (
	"math/big"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// Numbers and addresses agree with a plain list.
func TestLineAgreesWithList(t *testing.T) {
	for seed := range 300 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 4))
		base := map[bool]string{true: "10.0.0.200", false: "fd00::ff80"}[seed%2 == 0]
		cut := func(n int) (ranges []Range) {
			for i := 0; i < 600; {
				size := 1 + rnd.IntN(200)
				if rnd.IntN(n) == 0 {
					ranges = append(ranges, Range{base2addr(base, i), base2addr(base, i+size-1)})
				}
				i += size + rnd.IntN(3)
			}
			return ranges
		}
		p := Pool{Ranges: cut(2), Exclude: cut(4), AvoidBuggyIPs: seed%4 == 0}
		p.Exclude = append(p.Exclude, cut(6)...)
		want := newTwin(nil).line(&p, familyOf(netip.MustParseAddr(base)))
		f := familyOf(netip.MustParseAddr(base))
		l := draw(spansOf(p.Ranges)[f], spansOf(p.Exclude)[f], !p.AvoidBuggyIPs)
		if l.empty() != (len(want) == 0) || l.size().Int64() != int64(len(want)) {
			t.Fatalf("seed %d: size %s, want %d", seed, l.size(), len(want))
		}
		numbers := map[netip.Addr]uint64{}
		for i, addr := range want {
			numbers[addr] = uint64(i)
			if got := f.addr(l.at(uint128{0, uint64(i)})); got != addr {
				t.Fatalf("seed %d: number %d is %s, want %s", seed, i, got, addr)
			}
		}
		for i := range 700 {
			addr := base2addr(base, i)
			want, on := numbers[addr]
			if got, ok := l.number(fromAddr(addr)); ok != on || got.lo != want {
				t.Fatalf("seed %d: the number of %s is %d, %v, want %d, %v", seed, addr, got.lo, ok, want, on)
			}
		}
	}
}

func TestModAgreesWithBig(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 5))
	for range 100000 {
		u := uint128{rnd.Uint64() >> rnd.IntN(65), rnd.Uint64() >> rnd.IntN(65)}
		n := uint128{rnd.Uint64() >> rnd.IntN(65), rnd.Uint64() >> rnd.IntN(65)}
		want := u.big()
		if !n.isZero() {
			want.Mod(want, n.big())
		}
		if got := u.mod(n); got.big().Cmp(want) != 0 {
			t.Fatalf("%v mod %v = %v, want %v", u, n, got, want)
		}
		if sum := new(big.Int).Add(u.sub(n).big(), n.big()); u.sub(n).add(n) != u || sum.And(sum, hostMask(128).big()).Cmp(u.big()) != 0 {
			t.Fatalf("%v - %v = %v", u, n, u.sub(n))
		}
	}
}
