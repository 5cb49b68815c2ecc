package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The Lease's times: a dead leader is replaced after leaseDuration, and one that cannot renew stops writing
// after renewDeadline, before anybody else may start. giveBackTimeout is how long an end waits for the API server, and
// giveBackRetry until it tries again after a conflict.
const (
	leaseDuration   = 8 * time.Second
	renewDeadline   = 5 * time.Second
	retryPeriod     = 500 * time.Millisecond
	giveBackTimeout = 2 * time.Second
	giveBackRetry   = 20 * time.Millisecond
)

// elect leads as soon as this replica holds the Lease, until ctx ends or the Lease is lost; then the process is
// to end. The Lease is given back only after the last write, so that a successor never meets a predecessor's
// write. The elector does not give it back itself, because it would do so before the workers have stopped
// whenever it could not renew in time.
func (c *Controller) elect(ctx context.Context) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	expiry := time.AfterFunc(math.MaxInt64, stop)
	defer expiry.Stop()
	lease := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: c.opts.Namespace, Name: c.opts.Lease},
		Client:     c.opts.Client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: c.opts.Identity},
	}
	started := make(chan struct{}, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          watched{lease, func(at time.Time) { expiry.Reset(time.Until(at.Add(renewDeadline))) }},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod, Name: c.opts.Lease,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { started <- struct{}{} },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("preparing the leader election: %w", err)
	}
	election, end := context.WithCancel(context.WithoutCancel(ctx)) // goes on while the workers stop
	defer end()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer stop()
		elector.Run(election)
	}()
	select {
	case <-started:
		c.log.Info("leading", zap.String("lease", c.opts.Lease))
		err = c.lead(work)
	case <-work.Done():
	}
	end()
	<-ended
	c.giveBack(lease)
	if err == nil && ctx.Err() == nil {
		err = errors.New("the Lease was lost; another replica may lead now")
	}
	return err
}

// watched is a Lease that tells of each renewal. The elector itself counts its deadline from the answer to a
// renewal, and from half a second after it; other replicas may count from the request.
type watched struct {
	resourcelock.Interface
	renewed func(at time.Time)
}

func (w watched) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	at := time.Now()
	err := w.Interface.Create(ctx, r)
	if err == nil {
		w.renewed(at)
	}
	return err
}

func (w watched) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	at := time.Now()
	err := w.Interface.Update(ctx, r)
	if err == nil {
		w.renewed(at)
	}
	return err
}

// giveBack frees the Lease if it is this replica's, so that another need not wait until it has run out. A renewal that
// was under way when the election ended may still arrive; then the Lease is another than was read, and is read again.
func (c *Controller) giveBack(lease resourcelock.Interface) {
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTimeout)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, giveBackRetry, true, func(ctx context.Context) (bool, error) {
		record, _, err := lease.Get(ctx)
		if err == nil && record.HolderIdentity == lease.Identity() {
			now := metav1.Now()
			err = lease.Update(ctx, resourcelock.LeaderElectionRecord{
				LeaderTransitions: record.LeaderTransitions, LeaseDurationSeconds: 1, AcquireTime: now, RenewTime: now,
			})
		}
		if apierrors.IsConflict(err) {
			return false, nil
		}
		return true, err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		c.log.Warn("giving the Lease back", zap.Error(err)) // it runs out by itself
	}
}

// lead adopts what the cluster has and then serves the queue until ctx ends.
func (c *Controller) lead(ctx context.Context) error {
	c.mu.Lock()
	c.leading = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.leading, c.allocator, c.reporter, c.documents.force, c.documents.refusal = false, nil, nil, nil, nil
		c.mu.Unlock()
	}()
	var keeping sync.WaitGroup
	defer keeping.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	keeping.Go(func() { c.keepKey(ctx) })
	err := c.fresh(ctx)
	if ctx.Err() != nil {
		return nil // an end, not a failure
	}
	if err != nil {
		return err
	}
	c.speakers.follow(ctx) // before there is a configuration: only with one a new installation's speakers report
	base := c.base(ctx)
	if base == nil {
		return nil
	}
	c.followCIDRs(ctx)
	cache.WaitForCacheSync(ctx.Done(), c.nodes.HasSynced)
	c.hold()
	reporter, remembered := c.beginReports(ctx)
	if err := c.adopt(*base, reporter, remembered); err != nil {
		return err
	}
	var workers sync.WaitGroup
	workers.Go(func() { reporter.run(ctx) })
	workers.Go(func() { c.exclude(ctx) })
	workers.Go(func() { c.speakers.spread(ctx) })
	c.rangesChanged()
	workers.Go(func() { c.configure(ctx) })
	for range writers {
		workers.Go(func() { c.work(ctx) })
	}
	<-ctx.Done()
	c.queue.ShutDown() // a replica that stops leading ends with its process
	workers.Wait()
	return nil
}
