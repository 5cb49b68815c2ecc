package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// until asks again and again whether something is ready, until it is, its process is dead, or the time is
// over. The error then carries the last answer and the end of its log.
func (c *Cluster) until(ctx context.Context, name string, patience time.Duration, ready func(context.Context) error) error {
	alive := func() error {
		r, err := c.processes().Find(name)
		if err == nil && !r.Running() {
			err = fmt.Errorf("%s has ended", name)
		}
		return err
	}
	var last error
	err := Eventually(ctx, patience, func(ctx context.Context) (bool, error) {
		if err := alive(); err != nil {
			return false, err
		}
		last = ready(ctx)
		return last == nil, nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx) // somebody else's trouble, or the user's wish
	}
	if err != nil {
		return fmt.Errorf("waiting for %s: %w\n%s", name, errors.Join(err, last), c.logTail(name))
	}
	return nil
}

// Eventually asks every 100 ms until done says true or an error, or the patience is over, which is an error too.
func Eventually(ctx context.Context, patience time.Duration, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		ok, err := done(ctx)
		if err != nil || ok {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
