package controller

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/reports"
)

// What a report lists at most: releases, of which each is written down at once with all the others of its pool, by their
// number and by their size in bytes as JSON; losses; and addresses that would not be assigned anew.
const (
	mostReleases = 2000
	mostBytes    = 256 << 10
	releaseSize  = 70  // without the names in it
	mostLosses   = 100 // also of the others
)

// protocols names how a pool is announced.
func protocols(p config.Pool) string {
	switch {
	case p.Layer2 && p.BGP:
		return "layer2, bgp"
	case p.BGP:
		return "bgp"
	}
	return "layer2"
}

// poolReports returns the reports as they should be, and when the first of the releases in them is forgotten; zero: there
// is none.
func (c *Controller) poolReports() (all []reports.AddressPool, expiry time.Time) {
	c.mu.Lock()
	allocator, force, losses := c.allocator, c.documents.force, c.documents.losses
	c.mu.Unlock()
	byName := map[string]*reports.AddressPool{}
	all = make([]reports.AddressPool, len(force.Config.Pools))
	for i, p := range force.Config.Pools {
		all[i].Name = p.Name
		all[i].Status = reports.AddressPoolStatus{Protocol: protocols(p), Generation: force.Generation}
		byName[p.Name] = &all[i]
	}
	for _, u := range allocator.Usage() {
		n := &reports.Addresses{Size: u.Size.String(), InUse: u.InUse, Reserved: u.Reserved, Free: u.Free().String()}
		if u.Family == ipam.IPv4 {
			byName[u.Pool].Status.IPv4 = n
		} else {
			byName[u.Pool].Status.IPv6 = n
		}
	}
	for _, s := range c.all(force.Config.LoadBalancerClass) {
		_, err := allocator.Lookup(ipam.Owner(s.Key()))
		for _, name := range ipam.PoolsOf(err) {
			if r := byName[name]; r != nil {
				r.Status.Pending++
			}
		}
	}
	for _, m := range allocator.Remembered() {
		name, _ := allocator.PoolOf(m.Address)
		if r := byName[name]; r != nil {
			r.Status.Remembered = append(r.Status.Remembered, released(m))
		}
	}
	for _, l := range losses {
		if r := byName[l.Pool]; r != nil && len(r.Status.Refused) < mostLosses {
			r.Status.Refused = append(r.Status.Refused, reports.Loss{Service: string(l.Owner), Address: l.Address.String(), Why: l.Err.Error()})
		}
	}
	for _, u := range c.unassignable(force.Config, c.exclusions(force.Config)) {
		if r := byName[u.pool]; r != nil && len(r.Status.Unassignable) < mostLosses {
			r.Status.Unassignable = append(r.Status.Unassignable, reports.Unassignable{Service: u.service.Key(), Address: u.addr.String(), Why: u.what})
		}
	}
	for _, q := range c.quarantine.list() {
		name, _ := allocator.PoolOf(q.addr)
		if r := byName[name]; r != nil {
			r.Status.Quarantine = append(r.Status.Quarantine, q.report())
		}
	}
	for i, p := range force.Config.Pools {
		all[i].Status.Remembered = latest(all[i].Status.Remembered)
		for _, r := range all[i].Status.Remembered {
			if at := r.Time.Add(kept(p, r.Service)); expiry.IsZero() || at.Before(expiry) {
				expiry = at
			}
		}
	}
	return all, expiry
}

// kept returns how long a pool remembers a release for a Service, or, where there is none, for nobody in particular.
func kept(p config.Pool, service string) time.Duration {
	if service == "" {
		return p.Cooldown
	}
	return p.StickyTTL
}

func released(m ipam.Remembered) reports.Release {
	return reports.Release{Service: string(m.Owner), Address: m.Address.String(), Time: metav1.NewMicroTime(m.Released)}
}

// latest returns the last of the releases, as many as there is room for, in the order of their Services and addresses;
// of two of the same address by the same Service, the later.
func latest(all []reports.Release) []reports.Release {
	order := func(a, b reports.Release) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Address, b.Address))
	}
	all = slices.SortedFunc(slices.Values(all), func(a, b reports.Release) int {
		return cmp.Or(order(a, b), b.Time.Compare(a.Time.Time))
	})
	all = slices.CompactFunc(all, func(a, b reports.Release) bool { return order(a, b) == 0 })
	slices.SortStableFunc(all, func(a, b reports.Release) int { return b.Time.Compare(a.Time.Time) })
	all = all[:min(len(all), mostReleases)]
	size := 0
	for i, r := range all {
		if size += releaseSize + len(r.Service) + len(r.Address); size > mostBytes {
			all = all[:i]
			break
		}
	}
	slices.SortFunc(all, order)
	return all
}
