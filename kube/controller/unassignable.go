package controller

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/objects"
)

// reasonNever is the reason of the Event about an address that would not be assigned anew.
const reasonNever = "NeverAssigned"

// unassignable is an address of a pool that a Service has, and that would not be assigned anew.
type unassignable struct {
	service objects.Service
	pool    string
	addr    netip.Addr
	what    string // it is
}

func (u unassignable) compare(o unassignable) int {
	return cmp.Or(cmp.Compare(u.service.Key(), o.service.Key()), u.addr.Compare(o.addr))
}

// unassignable returns such addresses in the order of their Services: those that were assigned before it was known what
// they are, or that somebody else assigned. One that is reserved for its Service is meant to be so.
func (c *Controller) unassignable(cfg config.Config, all []exclusion) []unassignable {
	found := []unassignable{}
	within := map[string][]exclusion{}
	pools := map[string]config.Pool{}
	for _, p := range cfg.Pools {
		pools[p.Name] = p
		for _, e := range all {
			if slices.ContainsFunc(p.Ranges, e.Overlaps) {
				within[p.Name] = append(within[p.Name], e)
			}
		}
	}
	if len(within) == 0 {
		return found
	}
	for _, s := range c.all(cfg.LoadBalancerClass) {
		for _, a := range s.Status {
			pool, _ := c.current().PoolOf(a)
			i := slices.IndexFunc(within[pool], func(e exclusion) bool { return e.Contains(a) })
			reserved := config.Reservation{Address: a, Namespace: s.Namespace, Service: s.Name}
			if i >= 0 && !slices.Contains(pools[pool].Reservations, reserved) {
				found = append(found, unassignable{s, pool, a, within[pool][i].what})
			}
		}
	}
	slices.SortFunc(found, unassignable.compare)
	return found
}

// tellUnassignable tells by Events which such addresses there are that were not told of, and returns them all. At first,
// with nil, none is told of: the report of the pool has them, and the predecessor has told.
func (c *Controller) tellUnassignable(cfg config.Config, all []exclusion, told []unassignable) []unassignable {
	now := c.unassignable(cfg, all)
	for _, u := range now {
		if _, before := slices.BinarySearchFunc(told, u, unassignable.compare); told == nil || before {
			continue
		}
		c.events.Post(referTo(u.service), corev1.EventTypeWarning, reasonNever, fmt.Sprintf(
			"%s is %s and should be no Service's; this one keeps it until pool %q is without it and release names it",
			u.addr, u.what, u.pool))
	}
	return now
}
