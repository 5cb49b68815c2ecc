package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/document"
)

// documents is what this replica knows of the configuration.
type documents struct {
	written *document.Version // what stands in the ConfigMap, or the file; nil before it was read
	kept    *document.Version // the accepted copy, as the Secret shows it; nil before it was read
	force   *document.Version // what the allocator works with; nil while this replica does not lead
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
	case d.kept != nil && d.kept.Err == nil:
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
		c.learn(func(d *documents) { d.written, d.kept = &v, &v })
		return nil
	}
	written := document.InConfigMap(c.opts.Namespace, c.opts.ConfigMap)
	err := document.Follow(ctx, c.opts.Client, written, func(v document.Version) {
		c.learn(func(d *documents) { d.written = &v })
	})
	if err != nil {
		return err
	}
	return document.Follow(ctx, c.opts.Client, c.copyPlace(), func(v document.Version) {
		c.learn(func(d *documents) { d.kept = &v })
	})
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
// is valid. It returns nil when ctx ends.
func (c *Controller) base(ctx context.Context) *document.Version {
	for ctx.Err() == nil {
		base, err := c.findBase(ctx)
		if base != nil {
			return base
		}
		if d := c.known(); d.written != nil {
			c.judge(*d.written, err)
		}
		select {
		case <-ctx.Done():
		case <-c.look:
		case <-time.After(recheckInterval):
		}
	}
	return nil
}

func (c *Controller) findBase(ctx context.Context) (*document.Version, error) {
	if c.opts.File != "" {
		return c.known().written, nil
	}
	// What this replica has seen may be older than what its predecessor has accepted.
	kept, err := document.Read(ctx, c.opts.Client, c.copyPlace())
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("beginning to lead", zap.Error(err))
		}
		return nil, err
	}
	if kept.Err == nil {
		return &kept, nil
	}
	written := c.known().written
	switch {
	case written == nil:
		return nil, nil
	case written.Err != nil:
		return nil, written.Err
	case kept.Object.Name == "":
		return nil, kept.Err // there is no place to keep what would be accepted
	}
	first := *written
	first.Generation = kept.Generation + 1
	return &first, nil
}
