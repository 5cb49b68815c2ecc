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
	Gratuitous uint64 // frames sent to announce addresses
	Errors     uint64 // frames that the interface did not take
}

// ClaimStatus is where an address is answered.
type ClaimStatus struct {
	Addr       netip.Addr
	Interfaces []string // names; empty when there is none
	Err        error    // why there is none: a *NoInterfaceError
}

// Status is a snapshot; its slices belong to the caller, those inside a Link do not.
func (r *Responder) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers.mu.RLock()
	defer r.answers.mu.RUnlock()
	var s Status
	for index, st := range r.stations {
		l := LinkStatus{Link: st.link, Addresses: len(st.schedule.entries)}
		if count := r.answers.counters[index]; count != nil {
			l.Requests, l.Answers = count.requests.Load(), count.answers.Load()
			l.Gratuitous, l.Errors = count.gratuitous.Load(), count.errors.Load()
		}
		s.Links = append(s.Links, l)
	}
	slices.SortFunc(s.Links, func(a, b LinkStatus) int { return cmp.Compare(a.Name, b.Name) })
	for addr, p := range r.places {
		c := ClaimStatus{Addr: addr, Err: p.err}
		for _, index := range p.links {
			c.Interfaces = append(c.Interfaces, r.stations[index].link.Name)
		}
		slices.Sort(c.Interfaces)
		s.Claims = append(s.Claims, c)
	}
	slices.SortFunc(s.Claims, func(a, b ClaimStatus) int { return a.Addr.Compare(b.Addr) })
	return s
}
