package speaker

import (
	"net/netip"
	"time"
)

// Discards is where the plan's aggregates go, to be refused as far as they are nobody's; *discard.Routes is one.
type Discards interface {
	Set(prefixes []netip.Prefix) error
}

// linger is how long an aggregate that is no longer advertised is still refused: routers hear of it a moment later.
const linger = 5 * time.Second

// discards has aggregates refused as long as a router may send their packets. Its methods are the loop's own.
type discards struct {
	kernel Discards // nil: nothing is refused
	wake   func()   // is called when there is something to take back
	wanted map[netip.Prefix]time.Time
	idle   bool // there is nothing in the kernel
	retry  *time.Timer
}

// set makes the aggregates those that are refused, before they are advertised. What is no longer among them goes
// when it has lingered. What fails is tried again.
func (d *discards) set(aggregates []netip.Prefix) error {
	if d.kernel == nil {
		return nil
	}
	if d.wanted == nil {
		d.wanted = map[netip.Prefix]time.Time{}
	}
	now := time.Now()
	for _, p := range aggregates {
		d.wanted[p] = now
	}
	all := make([]netip.Prefix, 0, len(d.wanted))
	for p, last := range d.wanted {
		switch rest := linger - now.Sub(last); {
		case rest <= 0:
			delete(d.wanted, p)
			continue
		case last.Before(now):
			time.AfterFunc(rest, d.wake)
		}
		all = append(all, p)
	}
	if d.idle && len(all) == 0 {
		return nil
	}
	err := d.kernel.Set(all)
	if d.retry != nil {
		d.retry.Stop()
	}
	if err != nil {
		d.retry = time.AfterFunc(linger, d.wake)
	}
	d.idle = err == nil && len(all) == 0
	return err
}
