package ipam

import (
	"math/rand/v2"
	"testing"
)

// The free space agrees with a plain list of what is free, and its tree keeps its shape.
func TestHolesAgreeWithList(t *testing.T) {
	for seed := range 40 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 2))
		const size = 200
		base := uint128{uint64(seed % 2), ^uint64(0) - size/2} // in every other seed the numbers cross 64 bits
		at := func(i int) uint128 {
			x := base
			for range i {
				x = x.next()
			}
			return x
		}
		var h holes
		h.insert(at(0), at(size-1))
		free := make([]bool, size)
		for i := range free {
			free[i] = true
		}
		for range 2000 {
			i := rnd.IntN(size)
			if took := free[i] && rnd.IntN(3) > 0; took || !free[i] && rnd.IntN(2) == 0 {
				if free[i] {
					if !h.take(at(i)) {
						t.Fatalf("seed %d: %d is free but cannot be taken", seed, i)
					}
				} else {
					h.give(at(i))
				}
				free[i] = !free[i]
			} else if h.contains(at(i)) != free[i] {
				t.Fatalf("seed %d: contains %d: %v", seed, i, !free[i])
			}
			checkHoles(t, &h, free, at)
		}
	}
}

func checkHoles(t *testing.T, h *holes, free []bool, at func(int) uint128) {
	t.Helper()
	var want []hole
	for i := 0; i < len(free); i++ {
		if !free[i] {
			continue
		}
		first := i
		for i+1 < len(free) && free[i+1] {
			i++
		}
		want = append(want, hole{lo: at(first), hi: at(i)})
	}
	var got []hole
	var walk func(n int32, most uint32)
	walk = func(n int32, most uint32) {
		if n == 0 {
			return
		}
		node := h.nodes[n]
		if node.weight > most {
			t.Fatal("a node is heavier than the one above it")
		}
		walk(node.left, node.weight)
		got = append(got, hole{lo: node.lo, hi: node.hi})
		walk(node.right, node.weight)
	}
	walk(h.root, ^uint32(0))
	if len(got) != len(want) || h.empty() != (len(want) == 0) {
		t.Fatalf("%d holes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("hole %d: %v, want %v", i, got[i], want[i])
		}
	}
	if len(want) > 0 && h.lowest() != want[0].lo {
		t.Fatalf("lowest %v, want %v", h.lowest(), want[0].lo)
	}
}

// The ends of the number space are addresses like others.
func TestHolesAtTheEnds(t *testing.T) {
	var h holes
	most := uint128{^uint64(0), ^uint64(0)}
	h.insert(uint128{}, most)
	for _, x := range []uint128{{}, most} {
		if !h.take(x) || h.contains(x) {
			t.Errorf("%v cannot be taken", x)
		}
	}
	h.give(most)
	h.give(uint128{})
	if h.nodes[h.root].lo != (uint128{}) || h.nodes[h.root].hi != most || h.nodes[h.root].left+h.nodes[h.root].right != 0 {
		t.Error("the space is not whole again")
	}
}

func TestHolesDepth(t *testing.T) {
	var h holes
	const n = 1 << 16
	for i := range uint64(n) {
		h.insert(uint128{0, 2 * i}, uint128{0, 2 * i})
	}
	var depth func(n int32) int
	depth = func(n int32) int {
		if n == 0 {
			return 0
		}
		return 1 + max(depth(h.nodes[n].left), depth(h.nodes[n].right))
	}
	if got := depth(h.root); got > 60 {
		t.Errorf("%d holes in ascending order make a tree %d deep", n, got)
	}
}
