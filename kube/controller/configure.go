package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
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
	recheckInterval = 5 * time.Second
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
	if d.force.Leaving != nil && !c.shownByClass(*d.force.Leaving) {
		left := *d.force
		left.Leaving = nil
		c.mu.Lock()
		c.documents.force = &left
		c.mu.Unlock()
		d.force = &left
	}
	if d.kept.Text != d.force.Text || d.kept.Generation != d.force.Generation || !reflect.DeepEqual(d.kept.Leaving, d.force.Leaving) {
		return c.retryKeeping(c.keep(ctx, *d.kept, *d.force))
	}
	if d.force.Leaving != nil {
		return recheckInterval
	}
	return 0
}

// shownByClass says that a Service of a class still carries our condition.
func (c *Controller) shownByClass(class string) bool {
	return slices.ContainsFunc(c.all(class), func(s objects.Service) bool { return s.Handled(class) && s.Allocated != nil })
}

// consider puts a new valid document in force, unless it takes addresses that are not released.
func (c *Controller) consider(ctx context.Context, d documents) time.Duration {
	next := *d.written
	next.Generation = max(d.force.Generation, d.kept.Generation) + 1
	if before := d.force.Config.LoadBalancerClass; before != next.Config.LoadBalancerClass {
		next.Leaving = &before
	}
	refused, err := c.replace(ctx, *d.kept, next)
	switch {
	case refused != nil:
		c.judge(next, refused)
		return recheckInterval
	case err != nil:
		return c.retryKeeping(err)
	}
	c.judge(next, nil)
	c.rangesChanged()
	c.reports().ask(true)
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
	changes, refused := allocator.SetPools(next.Config.AllocatorPools(), next.Config.Release...)
	c.mu.Lock()
	c.documents.force = &next
	c.mu.Unlock()
	c.enqueue(changes, "")
	return refused, nil
}

// plan says why a document may not take the place of another: it takes addresses that it does not release. With another
// class it takes all of them.
func plan(allocator *ipam.Allocator, now, next config.Config, services []objects.Service) error {
	_, err := allocator.Plan(next.AllocatorPools(), next.Release...)
	refused, ok := errors.AsType[*ipam.LossError](err)
	switch {
	case err != nil && !ok:
		return err
	case next.LoadBalancerClass == now.LoadBalancerClass && ok:
		return refuse(refused.Losses)
	case next.LoadBalancerClass == now.LoadBalancerClass:
		return nil
	}
	var losses []ipam.Loss
	for _, s := range services {
		has, _ := allocator.Lookup(ipam.Owner(s.Key()))
		for _, a := range has.Addrs() {
			loss := ipam.Loss{Owner: ipam.Owner(s.Key()), Address: a, Pool: has.Pool, Err: classError{s.Class, next.LoadBalancerClass}}
			if !loss.Released(next.Release...) {
				losses = append(losses, loss)
			}
		}
	}
	slices.SortFunc(losses, func(a, b ipam.Loss) int { return cmp.Or(cmp.Compare(a.Owner, b.Owner), a.Address.Compare(b.Address)) })
	return refuse(losses)
}

// classError says that a Service is not of the class that is handled.
type classError struct{ has, handled string }

func (e classError) Error() string {
	return fmt.Sprintf("its class is %q, and load_balancer_class %q", e.has, e.handled)
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

// refuse returns the error for some losses; nil for none.
func refuse(losses []ipam.Loss) error {
	if len(losses) == 0 {
		return nil
	}
	return &refusedError{&ipam.LossError{Losses: losses}}
}

func (e *refusedError) Unwrap() error { return e.LossError }

// mostNamed is how many losses a sentence lists; the AddressPools list more.
const mostNamed = 8

// Error says it in words for the author of the document.
func (e *refusedError) Error() string {
	var b strings.Builder
	what := "1 address"
	if n := len(e.Losses); n > 1 {
		what = fmt.Sprintf("%d addresses", n)
	}
	fmt.Fprintf(&b, "%s would be taken from a Service; if that is meant, list the address or its pool under release: ", what)
	for i, l := range e.Losses[:min(len(e.Losses), mostNamed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s of %s", l.Address, l.Owner)
		if l.Pool != "" {
			fmt.Fprintf(&b, ", pool %s", l.Pool)
		}
		fmt.Fprintf(&b, " (%s)", l.Err)
	}
	if more := len(e.Losses) - mostNamed; more > 0 {
		fmt.Fprintf(&b, " and %d more; kubectl get addresspool NAME -o yaml lists them under refused", more)
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
	data := map[string]any{document.Key: []byte(v.Text), document.GenerationKey: fmt.Append(nil, v.Generation), document.LeavingKey: nil}
	if v.Leaving != nil {
		data[document.LeavingKey] = []byte(*v.Leaving)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": seen.Object.ResourceVersion}, "data": data})
	if err != nil {
		return err
	}
	secret, err := c.opts.Client.CoreV1().Secrets(c.opts.Namespace).Patch(ctx, c.opts.LastGood, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: "network-lb-controller"})
	if err != nil {
		return c.counts.failed(keepingConfig, err)
	}
	v.Object = seen.Object
	v.Object.ResourceVersion = secret.ResourceVersion
	c.mu.Lock()
	c.documents.see(v)
	c.mu.Unlock()
	return nil
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
	told := len(c.documents.losses)
	c.documents.refusal, c.documents.losses = why, nil
	if refused, ok := errors.AsType[*refusedError](why); ok {
		c.documents.losses = refused.Losses
	}
	if reporter := c.reporter; reporter != nil && told+len(c.documents.losses) > 0 && !same(before, why) {
		defer reporter.ask(true)
	}
	c.mu.Unlock()
	if why == nil || same(before, why) {
		return
	}
	c.log.Error("configuration refused", zap.Error(why))
	c.tell(v, corev1.EventTypeWarning, "ConfigRefused", why.Error())
}

// same says that two errors, or none, say the same.
func same(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// tell posts an Event about the ConfigMap; where there is none there is nobody to tell.
func (c *Controller) tell(v document.Version, eventType, reason, message string) {
	if v.Object.Name != "" {
		c.events.Post(v.Object, eventType, reason, message)
	}
}
