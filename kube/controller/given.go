package controller

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/ipam"
)

// give notes which addresses a Service gets that it alone has, and that it does not show yet: such a one nobody has
// announced for it.
func (c *Controller) give(ch ipam.Change) {
	allocator := c.current()
	for _, a := range ch.Before.Addrs() {
		c.mu.Lock()
		if c.given[a] == ch.Owner && !slices.Contains(ch.After.Addrs(), a) {
			delete(c.given, a)
		}
		c.mu.Unlock()
	}
	for _, a := range ch.After.Addrs() {
		if slices.Contains(ch.Before.Addrs(), a) || c.shows(ch.Owner, a) || len(allocator.Holders(a)) > 1 {
			continue
		}
		c.mu.Lock()
		c.given[a] = ch.Owner
		c.mu.Unlock()
	}
}

// shows says that an address is in the status of a Service.
func (c *Controller) shows(owner ipam.Owner, a netip.Addr) bool {
	o, _, err := c.informer.GetStore().GetByKey(string(owner))
	svc, ok := o.(*corev1.Service)
	return err == nil && ok && slices.ContainsFunc(svc.Status.LoadBalancer.Ingress, func(in corev1.LoadBalancerIngress) bool {
		shown, err := netip.ParseAddr(in.IP)
		return err == nil && shown.Unmap() == a
	})
}

// heard takes out of what is given the addresses that a node may announce.
func (c *Controller) heard(s *speaker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.given {
		if w := s.says(a); w.layer2 || w.bgp || w.unknown {
			delete(c.given, a)
		}
	}
}
