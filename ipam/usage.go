package ipam

import "math/big"

// Usage counts the addresses of one family in one pool.
type Usage struct {
	Pool   string
	Family Family
	Size   *big.Int // addresses that the pool may assign, exact: without excluded ones and the like
	InUse  int      // addresses that have an owner, also those that would not be assigned anew
	// Reserved addresses are kept for an owner that does not have them.
	Reserved int
	// Remembered addresses would go back to an owner that released them (Pool.StickyTTL).
	Remembered int

	taken int
}

// Free returns how many addresses can be given to anybody, exactly.
func (u Usage) Free() *big.Int { return new(big.Int).Sub(u.Size, big.NewInt(int64(u.taken))) }

// Usage counts the addresses of every pool, in the order of the pools, for each family that the pool has, IPv4 first.
func (a *Allocator) Usage() []Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin()
	remembered := map[*pool]*[2]int{}
	for _, m := range a.memories {
		for _, f := range families {
			if p := a.space.at(m[f].addr); a.sticky(m[f].addr, m[f].at) {
				if remembered[p] == nil {
					remembered[p] = new([2]int)
				}
				remembered[p][f]++
			}
		}
	}
	var all []Usage
	for _, p := range a.space.pools {
		for _, f := range families {
			if !p.has(f) {
				continue
			}
			u := Usage{Pool: p.Name, Family: f, Size: new(big.Int).Set(p.size[f]), InUse: p.used[f], taken: p.taken[f]}
			for addr := range p.reserved {
				if familyOf(addr) == f && !a.taken(addr) {
					u.Reserved++
				}
			}
			if n := remembered[p]; n != nil {
				u.Remembered = n[f]
			}
			all = append(all, u)
		}
	}
	return all
}
