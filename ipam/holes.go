package ipam

// holes is the free space of one family in one pool, as the ordered set of its maximal free intervals: a treap whose
// nodes lie in one slice, without pointers. Every operation is O(log n) in the number of holes and independent of
// their sizes. The weights come from the addresses, so that the same history gives the same tree.
type holes struct {
	nodes []hole // nodes[0] stands for "none"
	root  int32
	spare int32 // unused nodes, linked by left
}

type hole struct {
	lo, hi      uint128 // inclusive
	left, right int32
	weight      uint32
}

// empty reports whether nothing is free.
func (h *holes) empty() bool { return h.root == 0 }

// lowest returns the lowest free number of a set that is not empty.
func (h *holes) lowest() uint128 {
	n := h.root
	for h.nodes[n].left != 0 {
		n = h.nodes[n].left
	}
	return h.nodes[n].lo
}

// from returns the lowest free number that is not below x, or else the lowest of all, of a set that is not empty.
func (h *holes) from(x uint128) uint128 {
	above := int32(0)
	for n := h.root; n != 0; {
		switch node := &h.nodes[n]; {
		case x.less(node.lo):
			above, n = n, node.left
		case node.hi.less(x):
			n = node.right
		default:
			return x
		}
	}
	if above == 0 {
		return h.lowest()
	}
	return h.nodes[above].lo
}

// contains reports whether x is free.
func (h *holes) contains(x uint128) bool {
	n := h.floor(x)
	return n != 0 && !h.nodes[n].hi.less(x)
}

// take removes x from the free space and reports whether it was free.
func (h *holes) take(x uint128) bool {
	if !h.contains(x) {
		return false
	}
	n := h.floor(x)
	switch node := &h.nodes[n]; {
	case node.lo == node.hi:
		h.remove(x)
	case node.lo == x:
		node.lo = x.next()
	case node.hi == x:
		node.hi = x.prev()
	default:
		hi := node.hi
		node.hi = x.prev()
		h.insert(x.next(), hi)
	}
	return true
}

// give returns x, which is not free, to the free space.
func (h *holes) give(x uint128) {
	below, above := h.floor(x), int32(0)
	if next := x.next(); !next.isZero() {
		if n := h.floor(next); n != 0 && h.nodes[n].lo == next {
			above = n
		}
	}
	if below != 0 && h.nodes[below].hi.next() != x {
		below = 0
	}
	switch {
	case below != 0 && above != 0:
		h.nodes[below].hi = h.nodes[above].hi
		h.remove(h.nodes[above].lo)
	case below != 0:
		h.nodes[below].hi = x
	case above != 0:
		h.nodes[above].lo = x
	default:
		h.insert(x, x)
	}
}

// floor returns the hole with the highest lo that is not above x.
func (h *holes) floor(x uint128) int32 {
	best := int32(0)
	for n := h.root; n != 0; {
		if x.less(h.nodes[n].lo) {
			n = h.nodes[n].left
		} else {
			best, n = n, h.nodes[n].right
		}
	}
	return best
}

// insert adds a hole that touches no other.
func (h *holes) insert(lo, hi uint128) {
	n := h.node()
	node := &h.nodes[n]
	node.lo, node.hi, node.weight = lo, hi, weigh(lo)
	link := &h.root
	for *link != 0 && h.nodes[*link].weight >= node.weight {
		if next := &h.nodes[*link]; lo.less(next.lo) {
			link = &next.left
		} else {
			link = &next.right
		}
	}
	node.left, node.right = h.split(*link, lo)
	*link = n
}

// remove deletes the hole that begins at lo.
func (h *holes) remove(lo uint128) {
	link := &h.root
	for h.nodes[*link].lo != lo {
		if node := &h.nodes[*link]; lo.less(node.lo) {
			link = &node.left
		} else {
			link = &node.right
		}
	}
	n := *link
	*link = h.merge(h.nodes[n].left, h.nodes[n].right)
	h.nodes[n] = hole{left: h.spare}
	h.spare = n
}

// split divides a tree into the holes that begin before at, and the others.
func (h *holes) split(tree int32, at uint128) (before, after int32) {
	b, a := &before, &after
	for tree != 0 {
		if node := &h.nodes[tree]; node.lo.less(at) {
			*b, b, tree = tree, &node.right, node.right
		} else {
			*a, a, tree = tree, &node.left, node.left
		}
	}
	*b, *a = 0, 0
	return before, after
}

// merge joins two trees, the second of which lies wholly above the first.
func (h *holes) merge(low, high int32) (root int32) {
	link := &root
	for low != 0 && high != 0 {
		if l, r := &h.nodes[low], &h.nodes[high]; l.weight >= r.weight {
			*link, link, low = low, &l.right, l.right
		} else {
			*link, link, high = high, &r.left, r.left
		}
	}
	*link = low + high // one of them is none
	return root
}

// node returns the index of an unused node.
func (h *holes) node() int32 {
	if n := h.spare; n != 0 {
		h.spare = h.nodes[n].left
		h.nodes[n].left = 0
		return n
	}
	if len(h.nodes) == 0 {
		h.nodes = append(h.nodes, hole{})
	}
	h.nodes = append(h.nodes, hole{})
	return int32(len(h.nodes) - 1)
}

// weigh spreads numbers evenly (the finalizer of SplitMix64).
func weigh(u uint128) uint32 {
	x := u.lo ^ u.hi*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return uint32(x >> 32)
}
