package announce

import (
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/layer2"
)

// level is how well a node can answer for an address.
type level uint8

const (
	none     level = iota // it has no interface for it, or none with carrier
	elsewise              // by an interface that was named, or the default route's
	subnet                // by one whose subnet contains it
)

// reach says which nodes can answer for which addresses. What it finds out counts for all addresses of a pool that lie
// in the same subnets.
type reach struct {
	view    View
	exclude []string
	subnets []netip.Prefix // of all interfaces, each once
	found   map[spot]map[string]level
	stood   map[place]map[string][]layer2.Claim
}

type spot struct {
	pool    int
	v6      bool
	subnets string // which of them contain the address
}

func newReach(v View) *reach {
	r := &reach{view: v, exclude: slices.Concat(layer2.ContainerInterfaces, v.Exclude), found: map[spot]map[string]level{}, stood: map[place]map[string][]layer2.Claim{}}
	seen := map[netip.Prefix]bool{}
	for _, m := range v.Members {
		for _, l := range m.Links {
			for _, p := range l.Addrs {
				if p = p.Masked(); p.IsValid() && !seen[p] {
					seen[p] = true
					r.subnets = append(r.subnets, p)
				}
			}
		}
	}
	return r
}

// spot returns what tells for an address whether a node can answer for it.
func (r *reach) spot(pool int, addr netip.Addr) spot {
	var in []byte
	for i, p := range r.subnets {
		if p.Contains(addr) {
			in = append(in, byte(i>>8), byte(i))
		}
	}
	return spot{pool, addr.Is6(), string(in)}
}

// of returns how well each node can answer for an address of a pool, as far as its speaker has told.
func (r *reach) of(pool int, addr netip.Addr) map[string]level {
	at := r.spot(pool, addr)
	levels, ok := r.found[at]
	if ok {
		return levels
	}
	levels = map[string]level{}
	claim := layer2.Claim{Addr: addr, Interfaces: r.view.Pools[pool].Interfaces}
	for _, m := range r.view.Members {
		if m.Known || m.Node == r.view.Node {
			levels[m.Node] = r.level(m.Links, claim)
		}
	}
	r.found[at] = levels
	return levels
}

func (r *reach) level(links []layer2.Link, claim layer2.Claim) level {
	best := none
	chosen, _ := layer2.Choose(links, claim, r.exclude) // its error is that there is none
	for _, l := range chosen {
		switch {
		case !l.Carrier:
		case l.Contains(claim.Addr):
			best = subnet
		default:
			best = max(best, elsewise)
		}
	}
	return best
}

// best returns the nodes that can answer for an address: those that are in its subnet, if any is. One whose speaker has
// told nothing is taken to be as good as the others: it thinks so of them, and so that one of all answers.
func (r *reach) best(pool int, addr netip.Addr, nodes []Node) []Node {
	levels := r.of(pool, addr)
	most := none
	for _, n := range nodes {
		if l, told := levels[n.Name]; told {
			most = max(most, l)
		} else {
			most = max(most, elsewise)
		}
	}
	var out []Node
	for _, n := range nodes {
		if l, told := levels[n.Name]; most > none && (!told || l == most) {
			out = append(out, n)
		}
	}
	return out
}
