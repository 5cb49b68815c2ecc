// Package neigh knows the node's own addresses on the way to a BGP peer: where to connect from and what to give as next
// hop (RFC 4271 section 5.1.3, RFC 4760 section 3); and it finds the routers of unnumbered peers (RFC 4861).
package neigh

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/kontena/network-lb/bgp"
)

// Resolver reads the kernel's addresses and routes, in the network namespace of the calling thread, which needs no
// privilege. For unnumbered peers it finds the routers on their interfaces (RFC 4861), which needs the capability
// NET_RAW. The zero value is ready and prefers nothing.
type Resolver struct {
	mu      sync.Mutex
	prefer  []netip.Addr
	routers *search
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
// address is not on the node, or when the peer is unnumbered and there is not exactly one router on its interface. What is
// asked of the kernel are its present routes and addresses, nothing is remembered.
//
// An interface that Local is asked about is searched for its router from then on, as long as Watch runs: by router
// advertisements of lifetime 0, which say that we are there, and solicitations. Watch calls changed when the router is
// found, is another one or is gone, and every 20 s for whoever still needs one to ask again; an interface that nobody
// has asked about for a minute is left alone.
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
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return bgp.Local{}, fmt.Errorf("looking up the interface to %s: %w", peer.Address, err)
	}
	addrs, err := addressesOf(link)
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
	way, err := r.search().way(iface)
	if err != nil {
		return bgp.Local{}, err
	}
	link, err := netlink.LinkByIndex(way.index)
	if err != nil {
		return bgp.Local{}, fmt.Errorf("looking up interface %s: %w", way.link, err)
	}
	addrs, err := addressesOf(link)
	if err != nil {
		return bgp.Local{}, err
	}
	prefer := r.preferred()
	return bgp.Local{
		Interface: way.link, Source: way.from.WithZone(way.link), Remote: way.router.WithZone(way.link),
		IPv4: nextHop(addrs, prefer, true), IPv6: nextHop(addrs, prefer, false),
	}, nil
}

// search is what looks for the routers of unnumbered peers.
func (r *Resolver) search() *search {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.routers == nil {
		r.routers = newSearch(linux{})
	}
	return r.routers
}

func (r *Resolver) preferred() []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.prefer
}

// addressesOf reads an interface's addresses.
func addressesOf(link netlink.Link) ([]address, error) {
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("reading the addresses of %s: %w", link.Attrs().Name, err)
	}
	addrs := make([]address, 0, len(list))
	for _, a := range list {
		if known, ok := fromKernel(a); ok {
			addrs = append(addrs, known)
		}
	}
	return addrs, nil
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
		duplicate:  has(syscall.IFA_F_DADFAILED),
		deprecated: has(syscall.IFA_F_DEPRECATED),
		permanent:  has(syscall.IFA_F_PERMANENT),
	}, true
}
