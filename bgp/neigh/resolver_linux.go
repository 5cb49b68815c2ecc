// Package neigh knows the node's own addresses on the way to a BGP peer: where to connect from and what to
// give as next hop (RFC 4271 section 5.1.3, RFC 4760 section 3).
package neigh

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/kontena/network-lb/bgp"
)

// calm is the least time between two reports of changed addresses.
const calm = 100 * time.Millisecond

// Resolver reads the kernel's addresses and routes, in the network namespace of the calling thread. It needs
// no privilege. The zero value is ready and prefers nothing.
type Resolver struct {
	mu     sync.Mutex
	prefer []netip.Addr
}

// Prefer names the addresses that are taken where they are on the right interface, best first: the node's
// InternalIPs. It reports whether that changed anything.
func (r *Resolver) Prefer(addrs []netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.prefer, addrs) {
		return false
	}
	r.prefer = slices.Clone(addrs)
	return true
}

// Local says what the node is on its way to a peer. It fails when there is no route there. What is asked of
// the kernel are its present routes and addresses, nothing is remembered.
func (r *Resolver) Local(peer netip.Addr) (bgp.Local, error) {
	routes, err := netlink.RouteGet(peer.AsSlice())
	if err != nil {
		return bgp.Local{}, fmt.Errorf("looking up the route to %s: %w", peer, err)
	}
	if len(routes) == 0 {
		return bgp.Local{}, fmt.Errorf("looking up the route to %s: there is none", peer)
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return bgp.Local{}, fmt.Errorf("looking up the interface to %s: %w", peer, err)
	}
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return bgp.Local{}, fmt.Errorf("reading the addresses of %s: %w", link.Attrs().Name, err)
	}
	addrs := make([]address, 0, len(list))
	for _, a := range list {
		if known, ok := fromKernel(a); ok {
			addrs = append(addrs, known)
		}
	}
	kernel, _ := netip.AddrFromSlice(routes[0].Src)
	r.mu.Lock()
	prefer := r.prefer
	r.mu.Unlock()
	return bgp.Local{
		Interface: link.Attrs().Name,
		Source:    source(addrs, prefer, peer, kernel.Unmap()),
		IPv4:      nextHop(addrs, prefer, true),
		IPv6:      nextHop(addrs, prefer, false),
	}, nil
}

// fromKernel translates an address.
func fromKernel(a netlink.Addr) (address, bool) {
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return address{}, false
	}
	ip = ip.Unmap()
	ones, _ := a.Mask.Size()
	has := func(flag int) bool { return a.Flags&flag != 0 }
	return address{
		prefix:     netip.PrefixFrom(ip, ones),
		temporary:  ip.Is6() && has(syscall.IFA_F_TEMPORARY),
		secondary:  ip.Is4() && has(syscall.IFA_F_SECONDARY),
		tentative:  has(syscall.IFA_F_TENTATIVE) && !has(syscall.IFA_F_OPTIMISTIC) || has(syscall.IFA_F_DADFAILED),
		deprecated: has(syscall.IFA_F_DEPRECATED),
		permanent:  has(syscall.IFA_F_PERMANENT),
	}, true
}

// Watch calls changed whenever addresses or links of the node have changed, and once when it is ready: at
// most ten times a second, until ctx ends. It fails when the kernel does not let it subscribe; a subscription
// that breaks later is renewed.
func (r *Resolver) Watch(ctx context.Context, changed func()) error {
	for {
		if err := watch(ctx, changed); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// watch lasts as long as one subscription, or until ctx ends.
func watch(ctx context.Context, changed func()) error {
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
	news := true
	timer := time.NewTimer(0)
	defer timer.Stop()
	quiet := timer.C
	for ok := true; ok; {
		select {
		case <-ctx.Done():
			return nil
		case _, ok = <-addrs:
			news = true
		case _, ok = <-links:
			news = true
		case <-quiet:
			quiet = nil
		}
		if news && quiet == nil {
			changed()
			news = false
			timer.Reset(calm)
			quiet = timer.C
		}
	}
	// Broken, by too many changes at once for instance: begin anew.
	select {
	case <-ctx.Done():
	case <-time.After(calm):
	}
	return nil
}

func drain[T any](c <-chan T) {
	for range c {
	}
}
