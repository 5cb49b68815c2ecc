package layer2

import (
	"cmp"
	"net/netip"
	"slices"
)

// Status is what a Responder sees and does.
type Status struct {
	Links  []LinkStatus  // every interface, by name
	Claims []ClaimStatus // every claimed address, in order
}

// LinkStatus is an interface and what happened on it since it came. Of interfaces on which nothing was ever claimed
// the counts are zero.
type LinkStatus struct {
	Link
	Addresses  int    // answered for on it now
	Requests   uint64 // ARP requests and neighbour solicitations that the transport delivered
	Answers    uint64 // sent
	Gratuitous uint64 // frames sent to announce addresses, and to defend them
	Probes     uint64 // frames sent by Probe
	Conflicts  uint64 // frames of other stations that claim an address that is answered here
	Pongs      uint64 // echo replies sent
	Errors     uint64 // frames that the interface did not take
	Drops      uint64 // frames that the kernel had no room for; 0 where the transport is no DropCounter
}

// ClaimStatus is where an address is answered.
type ClaimStatus struct {
	Addr       netip.Addr
	Interfaces []string // names; empty when there is none
	Err        error    // why there is none: a *NoInterfaceError

	// Conflicts are the last other station that claimed the address on each interface, since it is claimed here;
	// Conflict.Last says whether that is still so.
	Conflicts []Conflict
	// KernelAnswersARP are those of the interfaces on which this machine's kernel answers for the address too, as
	// it is on a device of this machine: then every such machine answers, whoever owns the address. IPv4: on any
	// device unless arp_ignore says otherwise, as with kube-proxy in IPVS mode without strictARP. IPv6: on the
	// interface itself.
	KernelAnswersARP []string
}

// Status is a snapshot; its slices belong to the caller, those inside a Link do not.
func (r *Responder) Status() Status {
	var drops map[int]uint64
	if counter, ok := r.transport.(DropCounter); ok {
		drops = counter.Dropped()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{Links: r.linkStatus(drops)}
	links := make([]Link, 0, len(r.stations))
	for _, st := range r.stations {
		links = append(links, st.link)
	}
	local := localAddrs(links)
	for addr, p := range r.places {
		c := ClaimStatus{Addr: addr, Err: p.err, Conflicts: r.watch.of(addr, p.links)}
		for _, index := range p.links {
			l := r.stations[index].link
			c.Interfaces = append(c.Interfaces, l.Name)
			if kernelAnswers(l, addr, local[addr]) {
				c.KernelAnswersARP = append(c.KernelAnswersARP, l.Name)
			}
		}
		slices.Sort(c.Interfaces)
		slices.Sort(c.KernelAnswersARP)
		s.Claims = append(s.Claims, c)
	}
	slices.SortFunc(s.Claims, func(a, b ClaimStatus) int { return a.Addr.Compare(b.Addr) })
	return s
}

// linkStatus is the interfaces' part of Status; r.mu is held.
func (r *Responder) linkStatus(drops map[int]uint64) []LinkStatus {
	r.answers.mu.RLock()
	defer r.answers.mu.RUnlock()
	all := make([]LinkStatus, 0, len(r.stations))
	for index, st := range r.stations {
		l := LinkStatus{Link: st.link, Addresses: len(st.holds), Drops: drops[index]}
		if t := r.answers.links[index]; t != nil {
			l.Requests, l.Answers, l.Gratuitous = t.requests.Load(), t.answers.Load(), t.gratuitous.Load()
			l.Probes, l.Conflicts, l.Pongs, l.Errors = t.probes.Load(), t.conflicts.Load(), t.pongs.Load(), t.errors.Load()
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b LinkStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// localAddrs are the indices of the interfaces that have an address.
func localAddrs(links []Link) map[netip.Addr][]int {
	local := map[netip.Addr][]int{}
	for _, l := range links {
		for _, p := range l.Addrs {
			local[p.Addr()] = append(local[p.Addr()], l.Index)
		}
	}
	return local
}

// kernelAnswers reports whether the kernel answers for addr on l, given the interfaces that have it. A value of
// arp_ignore that has no meaning stands for 0, as in the kernel.
func kernelAnswers(l Link, addr netip.Addr, on []int) bool {
	const never, incomingOnly, incomingSubnet = 8, 1, 2
	switch {
	case len(on) == 0:
		return false
	case addr.Is6() || l.ARPIgnore == incomingOnly || l.ARPIgnore == incomingSubnet:
		return slices.Contains(on, l.Index)
	}
	return l.ARPIgnore != never
}
