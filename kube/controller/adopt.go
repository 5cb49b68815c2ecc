package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/objects"
)

// fresh waits until the caches hold at least every Service and Namespace as the API server holds it now: an older
// cache would show addresses as free that the predecessor has just given away, or take them from Services whose
// Namespace seems not to have the labels yet. A Service that the cache still has although it was deleted does no harm:
// its address was not given away before the cache caught up.
func (c *Controller) fresh(ctx context.Context) error {
	core := c.opts.Client.CoreV1()
	err := c.caughtUp(ctx, c.informer, func(ctx context.Context) (runtime.Object, error) {
		return core.Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	})
	if err != nil {
		return err
	}
	return c.caughtUp(ctx, c.spaces, func(ctx context.Context) (runtime.Object, error) {
		return core.Namespaces().List(ctx, metav1.ListOptions{})
	})
}

// lister reads all objects of a kind from the API server.
type lister func(context.Context) (runtime.Object, error)

// caughtUp waits until a cache is as new as what the API server lists now.
func (c *Controller) caughtUp(ctx context.Context, informer cache.SharedIndexInformer, list lister) error {
	last := ""
	err := wait.PollUntilContextCancel(ctx, retryPeriod, true, func(ctx context.Context) (bool, error) {
		var err error
		if last, err = newest(ctx, list); err != nil && ctx.Err() == nil {
			c.log.Warn("beginning to lead", zap.Error(err))
		}
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(context.Context) (bool, error) {
		if !informer.HasSynced() || last == "" {
			return informer.HasSynced(), nil
		}
		// The store's version, not the informer's: that one is ahead of what has arrived in the store.
		order, err := resourceversion.CompareResourceVersion(informer.GetStore().LastStoreSyncResourceVersion(), last)
		return order >= 0, err
	})
}

// newest returns the highest resource version of the objects; empty where there is none.
func newest(ctx context.Context, list lister) (string, error) {
	now, err := list(ctx)
	if err != nil {
		return "", fmt.Errorf("reading what the cluster has: %w", err)
	}
	newest := ""
	err = meta.EachListItem(now, func(o runtime.Object) error {
		one, err := meta.Accessor(o)
		if err != nil {
			return err
		}
		if newest == "" {
			newest = one.GetResourceVersion()
			return nil
		}
		order, err := resourceversion.CompareResourceVersion(one.GetResourceVersion(), newest)
		if err != nil {
			return fmt.Errorf("reading %s/%s: %w", one.GetNamespace(), one.GetName(), err)
		}
		if order > 0 {
			newest = one.GetResourceVersion()
		}
		return nil
	})
	return newest, err
}

// adopt makes the allocator from a document and from what the Services' statuses say.
func (c *Controller) adopt(base document.Version, reporter *reporter, remembered []ipam.Remembered) error {
	services := c.all(base.Config.LoadBalancerClass)
	holders := services
	if c.awaiting() {
		holders = slices.DeleteFunc(slices.Clone(services), func(s objects.Service) bool { return len(s.Status) == 0 })
	}
	allocator, changes, err := adopted(base.Config, holders, c.never(base.Config), remembered, c.space)
	if err != nil {
		return err
	}
	c.log.Info("adopted", zap.Int("services", len(services)), zap.Int("remembered", len(remembered)), zap.Int64("generation", base.Generation))
	c.mu.Lock()
	c.allocator, c.reporter, c.documents.force = allocator, reporter, &base
	c.mu.Unlock()
	c.handOver("", func() []ipam.Change { return changes })
	c.enqueueAll()
	for _, s := range services { // also those that went meanwhile, of which nobody was told
		c.queue.Add(s.Key())
	}
	return nil
}

// adopted returns an allocator in which the Services have what their statuses say, taken in all at once; those without
// an address get one in the same call. space tells the labels of a namespace, if it is known.
func adopted(cfg config.Config, services []objects.Service, never []ipam.Range, remembered []ipam.Remembered,
	space func(string) (map[string]string, bool),
) (*ipam.Allocator, []ipam.Change, error) {
	allocator, err := ipam.Options{Never: never}.New(cfg.AllocatorPools())
	if err != nil {
		return nil, nil, fmt.Errorf("applying the address pools: %w", err)
	}
	var holdings []ipam.Holding
	for _, s := range services {
		labels, known := space(s.Namespace)
		if s.Handled(cfg.LoadBalancerClass) && (known || len(s.Status) > 0) { // another one is served as soon as its Namespace is known
			holdings = append(holdings, holding(s, labels, allocator))
		}
	}
	allocator.Remember(remembered)
	return allocator, allocator.Adopt(holdings), nil
}

// holding says what a Service, in a Namespace with these labels, has and asks for.
func holding(s objects.Service, labels map[string]string, allocator *ipam.Allocator) ipam.Holding {
	h := ipam.Holding{Request: ipam.Request{
		Owner: ipam.Owner(s.Key()), Families: s.Families, Pool: s.Pool, Addresses: s.Requested,
		Created: s.Created, Since: s.Created,
		Namespace: s.Namespace, Share: s.Share, Labels: s.Labels, NamespaceLabels: labels,
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
