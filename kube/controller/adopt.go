package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/objects"
)

// fresh waits until the cache holds at least every Service as the API server holds it now: an older cache would
// show addresses as free that the predecessor has just given away. A Service that the cache still has although
// it was deleted does no harm: its address was not given away before the cache caught up.
func (c *Controller) fresh(ctx context.Context) error {
	newest := ""
	err := wait.PollUntilContextCancel(ctx, retryPeriod, true, func(ctx context.Context) (bool, error) {
		var err error
		if newest, err = c.newest(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("beginning to lead", zap.Error(err))
		}
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(context.Context) (bool, error) {
		if !c.informer.HasSynced() || newest == "" {
			return c.informer.HasSynced(), nil
		}
		// The store's version, not the informer's: that one is ahead of what has arrived in the store.
		order, err := resourceversion.CompareResourceVersion(c.informer.GetStore().LastStoreSyncResourceVersion(), newest)
		return order >= 0, err
	})
}

// newest returns the highest resource version of a Service in the cluster; empty where there is none.
func (c *Controller) newest(ctx context.Context) (string, error) {
	now, err := c.opts.Client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("reading the Services: %w", err)
	}
	newest := ""
	for _, s := range now.Items {
		if newest == "" {
			newest = s.ResourceVersion
			continue
		}
		order, err := resourceversion.CompareResourceVersion(s.ResourceVersion, newest)
		if err != nil {
			return "", fmt.Errorf("reading the Service %s/%s: %w", s.Namespace, s.Name, err)
		}
		if order > 0 {
			newest = s.ResourceVersion
		}
	}
	return newest, nil
}

// adopt makes the allocator from what the Services' statuses say, all at once; those without an address get one
// in the same call.
func (c *Controller) adopt() error {
	c.mu.Lock() // a configuration that comes meanwhile waits, and then meets the allocator
	defer c.mu.Unlock()
	allocator, err := ipam.New(c.config.AllocatorPools())
	if err != nil {
		return fmt.Errorf("applying the address pools: %w", err)
	}
	var holdings []ipam.Holding
	for _, s := range c.all() {
		if s.Handled {
			holdings = append(holdings, holding(s, allocator))
		}
	}
	allocator.Adopt(holdings)
	c.log.Info("adopted", zap.Int("services", len(holdings)))
	c.allocator = allocator
	c.enqueueAll()
	return nil
}

// holding says what a Service has and asks for.
func holding(s objects.Service, allocator *ipam.Allocator) ipam.Holding {
	h := ipam.Holding{Request: ipam.Request{
		Owner: ipam.Owner(s.Key()), Families: s.Families, Pool: s.Pool, Addresses: s.Requested,
		Created: s.Created, Since: s.Created,
	}, Addrs: s.Status}
	switch {
	case foreign(s, allocator):
		// It gets nothing, but as soon as all its addresses are in a pool it comes before those that wait.
		h.Pool, h.Addresses, h.Since, h.Addrs = "", s.Status, time.Time{}, nil
		h.Families = familiesOf(s)
	case s.Problem != nil:
		h.Families, h.Addresses = 0, nil // no valid request: it keeps what it has and gets nothing
	}
	return h
}

// familiesOf returns a wish for the addresses in a status; no valid one where no Service of ours could have
// these.
func familiesOf(s objects.Service) ipam.Families {
	v4 := slices.ContainsFunc(s.Status, netip.Addr.Is4)
	v6 := slices.ContainsFunc(s.Status, netip.Addr.Is6)
	switch {
	case s.Foreign > 0:
		return 0
	case v4 && v6:
		return ipam.RequireDual
	case v6:
		return ipam.SingleIPv6
	}
	return ipam.SingleIPv4
}

// foreign says that somebody else wrote the status: an entry of it is in none of our pools, and it does not
// carry our condition.
func foreign(s objects.Service, allocator *ipam.Allocator) bool {
	if s.Allocated != nil && s.Allocated.Reason != reasonForeign {
		return false
	}
	return s.Foreign > 0 || slices.ContainsFunc(s.Status, func(a netip.Addr) bool {
		_, ours := allocator.PoolOf(a)
		return !ours
	})
}
