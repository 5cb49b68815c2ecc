package neigh

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

// calm is the least time between two reports of changes.
const calm = 100 * time.Millisecond

// Watch calls changed whenever addresses or links of the node, or the routers on them, have changed, and once when it
// is ready: at most ten times a second, until ctx ends. It fails when the kernel does not let it subscribe, or while
// another Watch runs; a subscription that breaks later is renewed.
func (r *Resolver) Watch(ctx context.Context, changed func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	routers := r.search()
	if err := routers.begin(ctx); err != nil {
		return err
	}
	defer routers.end()
	defer stop()
	for {
		if err := watch(ctx, routers, changed); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// watch lasts as long as one subscription, or until ctx ends.
func watch(ctx context.Context, routers *search, changed func()) error {
	done := make(chan struct{})
	defer close(done)
	addrs, links := make(chan netlink.AddrUpdate, 64), make(chan netlink.LinkUpdate, 64)
	if err := netlink.AddrSubscribe(addrs, done); err != nil {
		return fmt.Errorf("subscribing to address changes: %w", err)
	}
	// Whoever sends has to be drained until it sees done.
	defer func() { go drain(addrs) }()
	if err := netlink.LinkSubscribe(links, done); err != nil {
		return fmt.Errorf("subscribing to link changes: %w", err)
	}
	defer func() { go drain(links) }()
	follow(ctx, addrs, links, routers, changed)
	// Broken, by too many changes at once for instance: begin anew.
	select {
	case <-ctx.Done():
	case <-time.After(calm):
	}
	return nil
}

// follow lasts until a channel is closed or ctx ends.
func follow(ctx context.Context, addrs <-chan netlink.AddrUpdate, links <-chan netlink.LinkUpdate, routers *search, changed func()) {
	moved, news := true, true // the kernel's part, and all
	timer := time.NewTimer(0)
	defer timer.Stop()
	quiet := timer.C
	inquiries := time.NewTicker(inquiry)
	defer inquiries.Stop()
	for ok := true; ok; {
		select {
		case <-ctx.Done():
			return
		case _, ok = <-addrs:
			moved, news = true, true
		case _, ok = <-links:
			moved, news = true, true
		case <-routers.news:
			news = true
		case now := <-inquiries.C:
			news = routers.sweep(now) || news
		case <-quiet:
			quiet = nil
		}
		if !news || quiet != nil {
			continue
		}
		if moved {
			routers.look()
		}
		changed()
		moved, news = false, false
		timer.Reset(calm)
		quiet = timer.C
	}
}

func drain[T any](c <-chan T) {
	for range c {
	}
}
