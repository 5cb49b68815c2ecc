package announce

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// width is which nodes make an offer that not all nodes are to make: as many as the fabric has paths for.
type width struct {
	connected []Node // the offer's nodes that have a session for it, in order of name ...
	counted   []Node // ... and of those the ones that count
	// chosen are the addresses that this node is to advertise, of those that it may; first are, where it may leave one to
	// others, the nodes that are chosen for each, in order of name.
	chosen map[netip.Addr]bool
	first  map[netip.Addr][]Node
}

// narrow chooses, for each offer with a limit and each of its addresses, the nodes that advertise it. All nodes choose
// the same ones, as far as they see the same of each other.
func (d *decision) narrow() {
	limited := make([][]*offer, len(d.offers))
	some := false
	for i, offers := range d.offers {
		for _, o := range offers {
			if o.MaxNodes > 0 {
				o.connected = d.connected(o)
				o.counted, o.chosen, o.first = d.counted(o.connected), map[netip.Addr]bool{}, map[netip.Addr][]Node{}
				limited[i], some = append(limited[i], o), true
			}
		}
	}
	if !some {
		return
	}
	candidates := map[*offer]map[netip.Addr][]Node{}
	for _, s := range d.view.Services {
		for _, addr := range s.Addrs {
			pool := d.poolOf(addr)
			if pool < 0 || !s.Allocated {
				continue
			}
			for _, o := range limited[pool] {
				if !o.Services.Matches(s.Labels) {
					continue
				}
				if candidates[o] == nil {
					candidates[o] = map[netip.Addr][]Node{}
				}
				candidates[o][addr] = o.both(candidates[o][addr], d.mayOf(s, addr, o))
			}
		}
	}
	for o, of := range candidates {
		for addr, nodes := range of {
			counted := o.counted
			if len(nodes) < len(o.connected) {
				counted = d.counted(nodes)
			}
			d.choose(counted, o, addr)
		}
	}
}

// connected are the offer's nodes that have a session for it, whatever keeps that from coming up at present.
func (d *decision) connected(o *offer) (out []Node) {
	for _, n := range o.nodes {
		if slices.ContainsFunc(d.view.Peers, func(p Peer) bool { return o.isFor(p.Title()) && p.Nodes.Matches(n.Labels) }) {
			out = append(out, n)
		}
	}
	return out
}

// mayOf are the connected nodes that may advertise an address for a Service.
func (d *decision) mayOf(s Service, addr netip.Addr, o *offer) []Node {
	_, nodes := d.may(s, addr, o.scope)
	if len(nodes) == len(o.nodes) {
		return o.connected
	}
	return o.of(nodes)
}

// of are the connected nodes among some others.
func (w width) of(lists ...[]Node) (out []Node) {
	for _, n := range w.connected {
		if slices.ContainsFunc(lists, func(list []Node) bool {
			_, there := slices.BinarySearchFunc(list, n.Name, func(n Node, name string) int { return strings.Compare(n.Name, name) })
			return there
		}) {
			out = append(out, n)
		}
	}
	return out
}

// both are the nodes that may advertise an address for one of two Services.
func (w width) both(a, b []Node) []Node {
	switch {
	case len(a) == 0 || len(b) == len(w.connected):
		return b
	case len(b) == 0 || len(a) == len(w.connected):
		return a
	}
	return w.of(a, b)
}

// counted are the nodes of which some are chosen: those that are Ready, whose speaker is there, or was a moment ago, and
// that nobody wants emptied. Where no node is, all count. This node counts, whatever is said of it: it is about to announce.
func (d *decision) counted(nodes []Node) []Node {
	var out []Node
	self, sure := -1, false
	for i, n := range nodes {
		there := n.Ready && (n.Speaker || n.Returning) && !d.drains(n)
		sure = sure || there
		if n.Name == d.view.Node {
			self = i
		}
		if there || self == i {
			out = append(out, n)
		}
	}
	if !sure {
		return nodes
	}
	return out
}

// choose notes whether this node is one of those that are chosen for an address.
func (d *decision) choose(nodes []Node, o *offer, addr netip.Addr) {
	self := func(n Node) bool { return n.Name == d.view.Node }
	first := spread(nodes, o.key(addr), o.SpreadBy, o.MaxNodes)
	o.chosen[addr] = d.view.Lingering[addr] || slices.ContainsFunc(first, func(i int) bool { return self(nodes[i]) })
	if !d.shut && d.view.Stage != Withdrawing {
		return
	}
	if d.drains(d.own) || d.shut && !d.own.Speaker && !d.own.Returning { // the others know it, and do not count this node
		nodes = slices.DeleteFunc(slices.Clone(nodes), self)
		first = spread(nodes, o.key(addr), o.SpreadBy, o.MaxNodes)
	}
	slices.Sort(first)
	for _, i := range first {
		o.first[addr] = append(o.first[addr], nodes[i])
	}
}

// rivals are the nodes among some that are to announce an address, whether this one does or not.
func (o *offer) rivals(addr netip.Addr, nodes []Node) []Node {
	if o.MaxNodes > 0 {
		return o.first[addr]
	}
	return nodes
}

// key is what nodes are chosen by: the address itself, or the aggregate that it is in, so that it stays whole.
func (o *offer) key(addr netip.Addr) string {
	if p := o.prefix(addr); !p.IsSingleIP() {
		return p.String()
	}
	return addr.String()
}

// spread returns the indices of the first n nodes in the order in which they are chosen for a key: by the SHA-256 of node +
// "#" + key, which for an address is layer2.Owner's order; with a label first the first node of each of its values, then
// the second of each, and so on. Nodes without the label have the value "". A node that joins or leaves changes them by one
// at most.
func spread(nodes []Node, key, label string, n int) []int {
	if len(nodes) <= n {
		all := make([]int, len(nodes))
		for i := range all {
			all[i] = i
		}
		return all
	}
	type ranked struct {
		hash         uint64 // as far as it matters
		index, round int
	}
	all, text := make([]ranked, len(nodes)), make([]byte, 0, 128)
	for i := range nodes {
		text = append(append(append(text[:0], nodes[i].Name...), '#'), key...)
		sum := sha256.Sum256(text)
		all[i] = ranked{hash: binary.BigEndian.Uint64(sum[:]), index: i}
	}
	order := func(a, b ranked) int {
		switch {
		case a.round != b.round:
			return a.round - b.round
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return a.index - b.index
	}
	slices.SortFunc(all, order)
	if label != "" {
		rounds := map[string]int{}
		for i, r := range all {
			value := nodes[r.index].Labels[label]
			all[i].round = rounds[value]
			rounds[value]++
		}
		slices.SortFunc(all, order)
	}
	out := make([]int, n)
	for i := range out {
		out[i] = all[i].index
	}
	return out
}
