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
// no privilege. The zero value is ready, prefers nothing and finds no routers.
type Resolver struct {
	// Router finds the link-local address of the router on an interface, for unnumbered peers; nil: nobody does.
	// Its error says, in words for a person, why there is none.
	Router func(iface string) (netip.Addr, error)

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

// Local says what the node is on its way to a peer. It fails when there is no route there, when the peer's source
// address is not on the node, or when no router is known on an unnumbered peer's interface. What is asked of the kernel
// are its present routes and addresses, nothing is remembered.
func (r *Resolver) Local(peer bgp.Peer) (bgp.Local, error) {
	if peer.Interface != "" {
		return r.unnumbered(peer.Interface)
	}
	if peer.Source.IsValid() {
		if err := onNode(peer.Source); err != nil {
			return bgp.Local{}, err
		}
	}
	routes, err := netlink.RouteGetWithOptions(peer.Address.AsSlice(), &netlink.RouteGetOptions{SrcAddr: peer.Source.AsSlice()})
	if err != nil {
		return bgp.Local{}, fmt.Errorf("looking up the route to %s: %w", peer.Address, err)
	}
	if len(routes) == 0 {
		return bgp.Local{}, fmt.Errorf("looking up the route to %s: there is none", peer.Address)
	}
	link, addrs, err := addressesOf(routes[0].LinkIndex)
	if err != nil {
		return bgp.Local{}, err
	}
	prefer := r.preferred()
	local := bgp.Local{Interface: link.Attrs().Name, Source: peer.Source, Remote: peer.Address, Multihop: len(routes[0].Gw) > 0}
	if peer.Source.IsValid() {
		prefer = append([]netip.Addr{peer.Source}, prefer...)
	} else {
		kernel, _ := netip.AddrFromSlice(routes[0].Src)
		local.Source = source(addrs, prefer, peer.Address, kernel.Unmap())
	}
	local.IPv4, local.IPv6 = nextHop(addrs, prefer, true), nextHop(addrs, prefer, false)
	return local, nil
}

// unnumbered is the way to the router that was found on an interface.
func (r *Resolver) unnumbered(iface string) (bgp.Local, error) {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return bgp.Local{}, fmt.Errorf("looking up interface %s: %w", iface, err)
	}
	_, addrs, err := addressesOf(link.Attrs().Index)
	if err != nil {
		return bgp.Local{}, err
	}
	own := linkLocal(addrs)
	if !own.IsValid() {
		return bgp.Local{}, fmt.Errorf("interface %s has no link-local address yet", iface)
	}
	if r.Router == nil {
		return bgp.Local{}, fmt.Errorf("nobody looks for routers on interface %s", iface)
	}
	router, err := r.Router(iface)
	if err != nil {
		return bgp.Local{}, err
	}
	prefer := r.preferred()
	return bgp.Local{
		Interface: iface, Source: own.WithZone(iface), Remote: router.WithZone(iface),
		IPv4: nextHop(addrs, prefer, true), IPv6: nextHop(addrs, prefer, false),
	}, nil
}

func (r *Resolver) preferred() []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.prefer
}

// addressesOf reads an interface's addresses.
func addressesOf(index int) (netlink.Link, []address, error) {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return nil, nil, fmt.Errorf("looking up interface number %d: %w", index, err)
	}
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the addresses of %s: %w", link.Attrs().Name, err)
	}
	addrs := make([]address, 0, len(list))
	for _, a := range list {
		if known, ok := fromKernel(a); ok {
			addrs = append(addrs, known)
		}
	}
	return link, addrs, nil
}

// onNode fails when an address is on none of the node's interfaces.
func onNode(a netip.Addr) error {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	switch {
	case err != nil:
		return fmt.Errorf("looking for the source address %s: %w", a, err)
	case !slices.ContainsFunc(list, func(x netlink.Addr) bool { return x.IP.Equal(a.AsSlice()) }):
		return fmt.Errorf("the source address %s is not on this node", a)
	}
	return nil
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
