package controller

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/reports"
)

// quarantinePeriod is how long an address that another machine has is given to nobody.
const quarantinePeriod = 10 * time.Minute

// quarantined is an address that is given to nobody for a while, since another machine was found to have it.
type quarantined struct {
	addr  netip.Addr
	mac   string // of the machine
	node  string // whose speaker has found it
	until time.Time
}

// quarantine holds such addresses. The zero value is ready for use.
type quarantine struct {
	mu  sync.Mutex
	all []quarantined // in order of their addresses
}

func (q *quarantine) put(one quarantined) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, found := slices.BinarySearchFunc(q.all, one.addr, quarantined.compare)
	switch {
	case !found:
		q.all = slices.Insert(q.all, i, one)
	case q.all[i].until.Before(one.until):
		q.all[i] = one
	}
}

func (one quarantined) compare(addr netip.Addr) int { return one.addr.Compare(addr) }

// take takes an address out again.
func (q *quarantine) take(addr netip.Addr) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = slices.DeleteFunc(q.all, func(one quarantined) bool { return one.addr == addr })
}

// list returns those that are in quarantine now, in order of their addresses.
func (q *quarantine) list() []quarantined {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.all = slices.DeleteFunc(q.all, func(one quarantined) bool { return !now.Before(one.until) })
	return slices.Clone(q.all)
}

// ranges returns their addresses.
func (q *quarantine) ranges() (all []ipam.Range) {
	for _, one := range q.list() {
		all = append(all, ipam.Range{From: one.addr, To: one.addr})
	}
	return all
}

// end is when the first of them is free again; zero: there is none.
func (q *quarantine) end() (first time.Time) {
	for _, one := range q.list() {
		if first.IsZero() || one.until.Before(first) {
			first = one.until
		}
	}
	return first
}

// restore takes over what a predecessor has reported. What a hand has spoilt is left out.
func (q *quarantine) restore(all []reports.Quarantined) {
	latest := time.Now().Add(quarantinePeriod)
	for _, one := range all {
		if addr, err := netip.ParseAddr(one.Address); err == nil {
			until := one.Until.Time
			if until.After(latest) {
				until = latest
			}
			q.put(quarantined{addr, one.MAC, one.Node, until})
		}
	}
}

func (one quarantined) report() reports.Quarantined {
	return reports.Quarantined{Address: one.addr.String(), MAC: one.mac, Node: one.node, Until: metav1.NewMicroTime(one.until)}
}
