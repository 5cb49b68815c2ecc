package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/objects"
)

// The Lease's times: a dead leader is replaced after leaseDuration, and one that cannot renew stops writing
// after renewDeadline, before anybody else may start.
const (
	leaseDuration = 8 * time.Second
	renewDeadline = 5 * time.Second
	retryPeriod   = 500 * time.Millisecond
)

// elect leads whenever this replica holds the Lease, until ctx ends. The Lease is given back only after the
// last write, so that a successor never meets a predecessor's write.
func (c *Controller) elect(ctx context.Context) error {
	lease, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	var working sync.Mutex // held while this replica leads
	var failure error
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: c.opts.Namespace, Name: c.opts.Lease},
			Client:     c.opts.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.opts.Identity},
		},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true, Name: c.opts.Lease,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				working.Lock()
				defer working.Unlock()
				work, cancel := context.WithCancel(held)
				defer context.AfterFunc(ctx, cancel)()
				defer cancel()
				if ctx.Err() != nil {
					return
				}
				c.log.Info("leading", zap.String("lease", c.opts.Lease))
				if failure = c.lead(work); failure != nil {
					release()
				}
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("preparing the leader election: %w", err)
	}
	defer context.AfterFunc(ctx, func() {
		working.Lock() // the workers have stopped
		defer working.Unlock()
		release()
	})()
	elector.Run(lease)
	working.Lock()
	defer working.Unlock()
	if failure != nil || ctx.Err() != nil {
		return failure
	}
	return errors.New("the Lease was lost; another replica may lead now")
}

// lead adopts what the cluster has and then serves the queue until ctx ends.
func (c *Controller) lead(ctx context.Context) error {
	if err := c.fresh(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	select {
	case <-c.configured:
	case <-ctx.Done():
		return nil
	}
	if err := c.adopt(); err != nil {
		return err
	}
	defer func() {
		c.mu.Lock()
		c.allocator = nil
		c.mu.Unlock()
	}()
	var workers sync.WaitGroup
	for range writers {
		workers.Go(func() { c.work(ctx) })
	}
	<-ctx.Done()
	c.queue.ShutDown() // a replica that stops leading ends with its process
	workers.Wait()
	return nil
}

// fresh waits until the cache holds at least every Service as the API server holds it now: an older cache would
// show addresses as free that the predecessor has just given away. A Service that the cache still has although
// it was deleted does no harm: its address was not given away before the cache caught up.
func (c *Controller) fresh(ctx context.Context) error {
	now, err := c.opts.Client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("reading the Services: %w", err)
	}
	newest := ""
	for _, s := range now.Items {
		if order, err := resourceversion.CompareResourceVersion(s.ResourceVersion, newest); newest == "" || err == nil && order > 0 {
			newest = s.ResourceVersion
		}
	}
	return wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(context.Context) (bool, error) {
		if !c.informer.HasSynced() {
			return false, nil
		}
		if newest == "" {
			return true, nil
		}
		order, err := resourceversion.CompareResourceVersion(c.informer.LastSyncResourceVersion(), newest)
		return order >= 0, err
	})
}

// adopt makes the allocator from what the Services' statuses say, all at once, and then lets those without an
// address ask in order of age.
func (c *Controller) adopt() error {
	c.mu.Lock() // a configuration that comes meanwhile waits, and then meets the allocator
	defer c.mu.Unlock()
	allocator, err := ipam.New(c.config.AllocatorPools())
	if err != nil {
		return fmt.Errorf("applying the address pools: %w", err)
	}
	var holdings []ipam.Holding
	var asking []objects.Service
	for _, s := range c.all() {
		switch {
		case !s.Handled || foreign(s, *c.config):
		case len(s.Status) > 0:
			holdings = append(holdings, ipam.Holding{Request: request(s), Addrs: s.Status})
		default:
			asking = append(asking, s)
		}
	}
	allocator.Adopt(holdings)
	slices.SortFunc(asking, func(a, b objects.Service) int { return a.Created.Compare(b.Created) })
	for _, s := range asking {
		if s.Problem == nil {
			allocator.Assign(request(s))
		}
	}
	c.log.Info("adopted", zap.Int("services", len(holdings)), zap.Int("asking", len(asking)))
	c.allocator = allocator
	c.enqueueAll()
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
