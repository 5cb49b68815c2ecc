package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/objects"
)

// Times of the loop that looks at documents: a refused one is looked at again in case its addresses were let go of
// meanwhile, and keeping an accepted one is tried again and given up in time for the Lease.
const (
	recheckInterval = 2 * time.Second
	saveRetry       = time.Second
	saveTimeout     = 3 * time.Second
)

// configure keeps the document in force up to date until ctx ends.
func (c *Controller) configure(ctx context.Context) {
	for ctx.Err() == nil {
		var again <-chan time.Time
		if wait := c.settle(ctx); wait > 0 {
			again = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-c.look:
		case <-again:
		}
	}
}

// settle accepts what is written, if it is acceptable, and keeps a copy of what is accepted. It returns after what time
// to try again; 0: when something has changed.
func (c *Controller) settle(ctx context.Context) time.Duration {
	d := c.known()
	if c.opts.File != "" || d.written == nil || d.kept == nil {
		return 0
	}
	switch {
	case d.written.Err != nil:
		c.judge(*d.written, d.written.Err)
	case d.written.Text != d.force.Text:
		return c.consider(ctx, d)
	default:
		c.judge(*d.written, nil)
	}
	if d.kept.Text == d.force.Text && d.kept.Generation == d.force.Generation {
		return 0
	}
	return c.retryKeeping(c.keep(ctx, *d.kept, *d.force))
}

// consider puts a new valid document in force, unless it takes addresses that are not released.
func (c *Controller) consider(ctx context.Context, d documents) time.Duration {
	next := *d.written
	next.Generation = max(d.force.Generation, d.kept.Generation) + 1
	refused, err := c.replace(ctx, *d.kept, next)
	switch {
	case refused != nil:
		c.judge(next, refusal(refused))
		c.reporting().ask(true)
		return recheckInterval
	case err != nil:
		return c.retryKeeping(err)
	}
	c.judge(next, nil)
	c.rangesChanged()
	c.reporting().ask(true)
	c.accepted(next)
	c.enqueueAll() // also those that nothing has changed for: what a status says of its pool may be another
	return 0
}

// replace puts a document in force. Nothing is assigned meanwhile, so that what was planned is what happens; the copy
// is kept first, so that a successor never begins with an older one.
func (c *Controller) replace(ctx context.Context, kept, next document.Version) (refused, err error) {
	c.gate.Lock()
	defer c.gate.Unlock()
	allocator, force := c.current(), c.known().force
	if err := plan(allocator, force.Config, next.Config, c.all(force.Config.LoadBalancerClass)); err != nil {
		return err, nil
	}
	if err := c.keep(ctx, kept, next); err != nil {
		return nil, err
	}
	c.handOver("", func() (changes []ipam.Change) {
		changes, refused = allocator.SetPools(next.Config.AllocatorPools(), next.Config.Release...)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.documents.force = &next
		return changes
	})
	return refused, nil
}

// plan says why a document may not take the place of another: it takes addresses that it does not release.
func plan(allocator *ipam.Allocator, now, next config.Config, services []objects.Service) error {
	_, err := allocator.Plan(next.AllocatorPools(), next.Release...)
	if err != nil || next.LoadBalancerClass == now.LoadBalancerClass {
		return err
	}
	var losses []ipam.Loss
	for _, s := range services {
		has, _ := allocator.Lookup(ipam.Owner(s.Key()))
		for _, a := range has.Addrs() {
			loss := ipam.Loss{
				Owner: ipam.Owner(s.Key()), Address: a, Pool: has.Pool,
				Err: fmt.Errorf("its class is %q, not load_balancer_class %q", s.Class, next.LoadBalancerClass),
			}
			if !loss.Released(next.Release...) {
				losses = append(losses, loss)
			}
		}
	}
	if len(losses) == 0 {
		return nil
	}
	slices.SortFunc(losses, func(a, b ipam.Loss) int { return cmp.Compare(a.Owner, b.Owner) })
	return &ipam.LossError{Losses: losses}
}

func (c *Controller) retryKeeping(err error) time.Duration {
	if err == nil {
		return 0
	}
	c.log.Warn("keeping the accepted configuration", zap.Error(err))
	return saveRetry
}

// refusedError is a document that would take addresses which it does not release.
type refusedError struct{ *ipam.LossError }

// refusal says in words for the author of a document what an error of the allocator means.
func refusal(err error) error {
	if loss, ok := errors.AsType[*ipam.LossError](err); ok {
		return &refusedError{loss}
	}
	return err
}

func (e *refusedError) Unwrap() error { return e.LossError }

func (e *refusedError) Error() string {
	var b strings.Builder
	what := "1 address"
	if n := len(e.Losses); n > 1 {
		what = fmt.Sprintf("%d addresses", n)
	}
	fmt.Fprintf(&b, "%s would be taken from a Service; if that is meant, list the address or its pool under release: ", what)
	for i, l := range e.Losses {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s of %s, pool %s (%s)", l.Address, l.Owner, l.Pool, l.Err)
	}
	return b.String()
}

// keep writes the accepted document into the Secret, as it was seen last.
func (c *Controller) keep(ctx context.Context, seen, v document.Version) error {
	if seen.Object.Name == "" {
		return seen.Err
	}
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": seen.Object.ResourceVersion},
		"data":     map[string][]byte{document.Key: []byte(v.Text), document.GenerationKey: fmt.Append(nil, v.Generation)},
	})
	if err != nil {
		return err
	}
	_, err = c.opts.Client.CoreV1().Secrets(c.opts.Namespace).Patch(ctx, c.opts.LastGood, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: "network-lb-controller"})
	return c.counts.failed(keepingConfig, err)
}

// accepted says that a document is in force.
func (c *Controller) accepted(v document.Version) {
	cfg := v.Config
	message := fmt.Sprintf("in force as generation %d: %d address pools, %d peers", v.Generation, len(cfg.Pools), len(cfg.Peers))
	c.log.Info("configuration accepted", zap.Int64("generation", v.Generation), zap.Int("pools", len(cfg.Pools)), zap.Int("peers", len(cfg.Peers)))
	for _, w := range v.Warnings {
		c.log.Warn("configuration", zap.Stringer("warning", w))
		message += "; " + w.String()
	}
	c.tell(v, corev1.EventTypeNormal, "ConfigAccepted", message)
}

// judge notes why what is written is refused, nil if it is not, and tells its author when that is new.
func (c *Controller) judge(v document.Version, why error) {
	c.mu.Lock()
	before := c.documents.refusal
	c.documents.refusal, c.documents.losses = why, nil
	if refused, ok := errors.AsType[*refusedError](why); ok {
		c.documents.losses = refused.Losses
	}
	c.mu.Unlock()
	if why == nil || before != nil && before.Error() == why.Error() {
		return
	}
	c.log.Error("configuration refused", zap.Error(why))
	c.tell(v, corev1.EventTypeWarning, "ConfigRefused", why.Error())
}

// tell posts an Event about the ConfigMap; where there is none there is nobody to tell.
func (c *Controller) tell(v document.Version, eventType, reason, message string) {
	if v.Object.Name != "" {
		c.events.Post(v.Object, eventType, reason, message)
	}
}
