package speaker

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/kube/reports"
)

// keep holds a slot as long as one is needed. When ctx ends, that is not for longer than this process, unless another one
// follows it in the middle of a drain.
func (d *drain) keep(ctx context.Context) {
	if d.slots == nil {
		return
	}
	for {
		again := d.exchange(ctx)
		var retry <-chan time.Time
		if again {
			retry = time.After(slotInterval)
		}
		select {
		case <-ctx.Done():
			d.mu.Lock()
			d.needs = d.deadline.IsZero() && d.now.State == reports.Draining // the next process goes on
			d.mu.Unlock()
			d.exchange(context.WithoutCancel(ctx))
			return
		case <-d.rouse:
		case <-retry:
		}
	}
}

// exchange takes a slot if one is needed, or gives it back, and reports whether that has to be tried again.
func (d *drain) exchange(ctx context.Context) (again bool) {
	d.mu.Lock()
	needs, has, waits, cfg := d.needs, d.has, d.now.State == reports.DrainWaiting, d.cfg
	length := cfg.Timeout
	if !d.deadline.IsZero() {
		length = time.Until(d.deadline) + endReserve
	}
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, slotTimeout)
	defer cancel()
	switch {
	case needs && waits:
		taken, holders, err := d.slots.take(ctx, cfg.MaxDraining, length)
		d.granted(taken, waitingFor(holders, err))
		return !taken
	case has && !needs:
		if err := d.slots.release(ctx, max(cfg.MaxDraining, 1)); err != nil {
			d.log.Warn("giving the slot of the drain back", zap.Error(err))
			return true
		}
		d.mu.Lock()
		d.has = false
		again = d.needs
		d.mu.Unlock()
	}
	return again
}

// granted notes what became of a try to take a slot.
func (d *drain) granted(taken bool, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.has = d.has || taken; d.now.State != reports.DrainWaiting {
		if d.has && !d.needs {
			poke(d.rouse)
		}
		return
	}
	switch {
	case taken:
		before := d.now
		d.begin()
		d.remember(before)
		d.wake()
	case d.reason != reason:
		d.reason = reason
		d.log.Info("the drain of the node waits", zap.String("reason", reason))
	}
}

func waitingFor(holders []string, err error) string {
	switch {
	case err != nil:
		return "no slot could be taken: " + err.Error()
	case len(holders) == 1:
		return holders[0] + " is being drained"
	case len(holders) > 1:
		return strings.Join(holders, ", ") + " are being drained"
	}
	return "another node has just taken the slot"
}
