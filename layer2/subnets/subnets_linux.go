package subnets

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Read asks the kernel. The subnets of interfaces whose names match one of the globs in exclude are left out.
func Read(exclude []string) (Network, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return Network{}, fmt.Errorf("listing interfaces: %w", err)
	}
	wanted := map[int]bool{}
	for _, l := range links {
		a := l.Attrs()
		wanted[a.Index] = a.Flags&net.FlagLoopback == 0 && !slices.ContainsFunc(exclude, func(glob string) bool {
			ok, err := path.Match(glob, a.Name)
			return ok && err == nil
		})
	}
	var n Network
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return Network{}, fmt.Errorf("listing addresses: %w", err)
	}
	for _, a := range addrs {
		if p, ok := prefix(a.IPNet); ok && wanted[a.LinkIndex] {
			n.Subnets = append(n.Subnets, p)
		}
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return Network{}, fmt.Errorf("listing default routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil {
			if bits, _ := r.Dst.Mask.Size(); bits > 0 {
				continue
			}
		}
		n.gateway(r.Gw)
		for _, hop := range r.MultiPath {
			n.gateway(hop.Gw)
		}
	}
	n.tidy()
	return n, nil
}

// prefix returns the subnet of an address that shares one with others.
func prefix(ipnet *net.IPNet) (netip.Prefix, bool) {
	if ipnet == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(ipnet.IP)
	bits, _ := ipnet.Mask.Size()
	if a = a.Unmap(); !ok || a.IsLinkLocalUnicast() || bits == a.BitLen() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, bits).Masked(), true
}

func (n *Network) gateway(ip net.IP) {
	if a, ok := netip.AddrFromSlice(ip); ok && !a.Unmap().IsLinkLocalUnicast() && !a.IsUnspecified() {
		n.Gateways = append(n.Gateways, a.Unmap())
	}
}

func (n *Network) tidy() {
	slices.SortFunc(n.Subnets, netip.Prefix.Compare)
	n.Subnets = slices.Compact(n.Subnets)
	slices.SortFunc(n.Gateways, netip.Addr.Compare)
	n.Gateways = slices.Compact(n.Gateways)
}
