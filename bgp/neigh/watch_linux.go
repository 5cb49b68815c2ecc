package neigh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
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
	events, err := subscribe()
	if err != nil {
		return fmt.Errorf("subscribing to changes of links and addresses: %w", err)
	}
	defer func() { _ = events.Close() }()
	moved := make(chan struct{}, 1)
	go read(events, moved)
	follow(ctx, moved, routers, changed)
	// Broken: begin anew.
	select {
	case <-ctx.Done():
	case <-time.After(calm):
	}
	return nil
}

// subscribe opens a netlink socket that tells of changes to interfaces and their addresses. Those of package netlink do
// not end when they are closed, and may then take a message from whoever has the descriptor next.
func subscribe() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// read tells of messages until there are no more. What they say is not used: some get lost when many come at once
// (ENOBUFS), and a look at what there is now shows it all.
func read(events io.Reader, moved chan<- struct{}) {
	defer close(moved)
	b := make([]byte, 1<<16)
	for {
		if _, err := events.Read(b); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		select {
		case moved <- struct{}{}:
		default:
		}
	}
}

// follow lasts until moved is closed or ctx ends.
func follow(ctx context.Context, moved <-chan struct{}, routers *search, changed func()) {
	look, news := true, true // at the kernel's part, of anything
	timer := time.NewTimer(0)
	defer timer.Stop()
	quiet := timer.C
	inquiries := time.NewTicker(inquiry)
	defer inquiries.Stop()
	for ok := true; ok; {
		select {
		case <-ctx.Done():
			return
		case _, ok = <-moved:
			look, news = true, true
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
		if look {
			routers.look()
		}
		changed()
		look, news = false, false
		timer.Reset(calm)
		quiet = timer.C
	}
}
