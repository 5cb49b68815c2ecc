package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/api/clientset"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/objects"
)

// documents is what this replica knows of the configuration.
type documents struct {
	written *document.Version // what stands in the ConfigMap, or the file; nil before it was read
	kept    *document.Version // the accepted copy, as the Secret shows it; nil before it was read
	force   *document.Version // what the allocator works with; nil while this replica does not lead
	ever    bool              // that a valid accepted copy was seen
	refusal error             // why the leading replica does not accept what is written
	losses  []ipam.Loss       // the addresses that it would take, if that is why
}

// problem says why what is written is not in force; nil: it is, or not all was read yet.
func (d documents) problem() error {
	switch {
	case d.written == nil:
		return nil
	case d.written.Err != nil:
		return d.written.Err
	case d.refusal != nil:
		return d.refusal
	case d.kept != nil && d.kept.Text != d.written.Text:
		return errors.New("the leading controller has not accepted it")
	}
	return nil
}

// ready returns nil once there is an accepted document.
func (d documents) ready() error {
	switch {
	case d.ever || d.force != nil:
		return nil
	case d.kept == nil || d.written == nil:
		return errors.New("the configuration has not been read yet")
	case d.written.Err != nil:
		return fmt.Errorf("no valid configuration yet: %w", d.written.Err)
	}
	return fmt.Errorf("no configuration has been accepted yet: %w", d.kept.Err)
}

// follow reads the file, or follows the document and its accepted copy until ctx ends.
func (c *Controller) follow(ctx context.Context) error {
	if c.opts.File != "" {
		v, err := document.ReadFile(c.opts.File)
		if err != nil {
			return err
		}
		c.learn(func(d *documents) { d.written, d.kept, d.ever = &v, &v, true })
		return nil
	}
	written := document.InConfigMap(c.opts.Namespace, c.opts.ConfigMap)
	err := document.Follow(ctx, clientset.Client(c.opts.Client), written, func(v document.Version) {
		c.learn(func(d *documents) { d.written = &v })
	})
	if err != nil {
		return err
	}
	return document.Follow(ctx, clientset.Client(c.opts.Client), c.copyPlace(), func(v document.Version) { c.learn(func(d *documents) { d.see(v) }) })
}

// see takes over what the Secret shows, unless something newer is known, which this replica has written itself.
func (d *documents) see(v document.Version) {
	if d.kept != nil && d.kept.Object.UID == v.Object.UID && v.Object.UID != "" {
		order, err := resourceversion.CompareResourceVersion(v.Object.ResourceVersion, d.kept.Object.ResourceVersion)
		if err == nil && order < 0 {
			return
		}
	}
	d.kept = &v
	d.ever = d.ever || v.Err == nil
}

// copyPlace is where the accepted copy is.
func (c *Controller) copyPlace() document.Place {
	return document.InSecret(c.opts.Namespace, c.opts.LastGood)
}

// learn changes what is known of the documents, and has it looked at.
func (c *Controller) learn(change func(*documents)) {
	c.mu.Lock()
	change(&c.documents)
	c.mu.Unlock()
	select {
	case c.look <- struct{}{}:
	default:
	}
}

func (c *Controller) known() documents {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.documents
}

// base waits for the document to begin with: the one that was accepted last or, if there never was one, the first that
// is valid, once its copy is kept. It returns nil when ctx ends.
func (c *Controller) base(ctx context.Context) *document.Version {
	for ctx.Err() == nil {
		base, wait := c.findBase(ctx)
		if base != nil {
			return base
		}
		select {
		case <-ctx.Done():
		case <-c.look:
		case <-time.After(wait):
		}
	}
	return nil
}

// findBase returns the document to begin with, or after what time to look again.
func (c *Controller) findBase(ctx context.Context) (*document.Version, time.Duration) {
	if c.opts.File != "" {
		return c.known().written, 0
	}
	// What this replica has seen may be older than what its predecessor has accepted.
	kept, err := document.Read(ctx, clientset.Client(c.opts.Client), c.copyPlace())
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("beginning to lead", zap.Error(err))
		}
		return nil, retryPeriod
	}
	if kept.Err == nil {
		return &kept, 0
	}
	written := c.known().written
	if written == nil {
		return nil, recheckInterval
	}
	first := *written
	switch {
	case first.Err != nil:
		err = first.Err
	case kept.Object.Name == "":
		err = kept.Err // there is no place to keep what would be accepted
	case kept.Text != "" || kept.Generation > 0:
		err = orphans(first.Config, c.all(first.Config.LoadBalancerClass)) // there was one, and it is spoilt
	}
	if err != nil {
		c.judge(first, err)
		return nil, recheckInterval
	}
	first.Generation = kept.Generation + 1
	if err := c.keep(ctx, kept, first); err != nil {
		return nil, c.retryKeeping(err)
	}
	c.judge(first, nil)
	c.accepted(first)
	return &first, 0
}

// orphans says why a document may not be begun with where it is not known what was in force: Services show addresses
// that we have assigned, and that are in none of its pools.
func orphans(cfg config.Config, services []objects.Service) error {
	allocator, err := ipam.New(cfg.AllocatorPools())
	if err != nil {
		return fmt.Errorf("applying the address pools: %w", err)
	}
	var losses []ipam.Loss
	for _, s := range services {
		if s.Allocated == nil || !s.Allocated.True || !s.Handled(cfg.LoadBalancerClass) {
			continue
		}
		for _, a := range s.Status {
			loss := ipam.Loss{Owner: ipam.Owner(s.Key()), Address: a, Err: fmt.Errorf("%s is in no pool", a)}
			if _, ours := allocator.PoolOf(a); !ours && !loss.Released(cfg.Release...) {
				losses = append(losses, loss)
			}
		}
	}
	return refuse(losses)
}
