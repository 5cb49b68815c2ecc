package neigh

import (
	"cmp"
	"net/netip"
	"slices"
)

// address is one of an interface's addresses, with what the kernel says of it (RFC 4862 section 2).
type address struct {
	prefix     netip.Prefix // with host bits
	temporary  bool         // IPv6: a privacy address (RFC 8981)
	secondary  bool         // IPv4: another address of the same subnet came first
	tentative  bool         // duplicate address detection is not done, or has failed
	duplicate  bool         // it has failed: another host has the address
	deprecated bool         // its preferred lifetime is over
	permanent  bool         // it has no lifetime
}

func (a address) addr() netip.Addr { return a.prefix.Addr() }

// serves reports whether others may be told to reach the node by the address, for as long as it is there.
func (a address) serves() bool {
	return a.addr().IsGlobalUnicast() && !a.tentative && !a.temporary
}

// compare orders addresses by how well they serve: valid before deprecated, without lifetime before those
// with one, of a subnet before single ones (virtual addresses mostly), primary before secondary, lower first.
func compare(a, b address) int {
	last := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	return cmp.Or(
		last(a.deprecated)-last(b.deprecated),
		last(!a.permanent)-last(!b.permanent),
		last(a.prefix.IsSingleIP())-last(b.prefix.IsSingleIP()),
		last(a.secondary)-last(b.secondary),
		a.addr().Compare(b.addr()),
	)
}

// nextHop is the address of a family that serves as next hop: the first preferred one that is there, else the
// best. The zero value is that there is none.
func nextHop(addrs []address, prefer []netip.Addr, is4 bool) netip.Addr {
	var fit []address
	for _, a := range addrs {
		if a.serves() && a.addr().Is4() == is4 {
			fit = append(fit, a)
		}
	}
	for _, p := range prefer {
		if slices.ContainsFunc(fit, func(a address) bool { return a.addr() == p }) {
			return p
		}
	}
	if len(fit) == 0 {
		return netip.Addr{}
	}
	return slices.MinFunc(fit, compare).addr()
}

// source is the address to connect from: to a router in one of the interface's subnets the best of that
// subnet, preferred ones first; behind a gateway a preferred one of the interface; else what the kernel would
// take. The kernel's own choice among several IPv6 addresses is the newest, which no router was told of.
func source(addrs []address, prefer []netip.Addr, peer, kernel netip.Addr) netip.Addr {
	var near []address
	for _, a := range addrs {
		if !a.prefix.IsSingleIP() && a.prefix.Masked().Contains(peer) {
			near = append(near, a)
		}
	}
	if len(near) > 0 {
		addrs = near
	}
	best := nextHop(addrs, prefer, peer.Is4())
	chosen := slices.Contains(prefer, best)
	ours := slices.ContainsFunc(addrs, func(a address) bool { return a.addr() == kernel && a.serves() })
	switch {
	case !best.IsValid():
		return kernel
	case chosen, len(near) > 0 && peer.Is6(), !kernel.IsValid():
		return best
	case peer.Is6() && !ours && onLink(addrs, kernel):
		return best // the kernel would take a temporary address
	}
	return kernel
}

func onLink(addrs []address, a netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(x address) bool { return x.addr() == a })
}

// linkLocal is the address that an unnumbered session has at our end: the present one if it still serves, since the
// session would break with another; else the interface's own link-local one that will stay longest. The error says why
// there is none.
func linkLocal(link string, addrs []address, present netip.Addr) (netip.Addr, error) {
	var fit []address
	why := lacks("interface %s has no IPv6 link-local address", link)
	for _, a := range addrs {
		switch {
		case !a.addr().Is6() || !a.addr().IsLinkLocalUnicast():
		case a.duplicate:
			why = lacks("the address %s of interface %s is a duplicate: another host has it (RFC 4862)", a.addr(), link)
		case a.tentative:
			why = lacks("the address %s of interface %s is tentative: it is being checked for duplicates (RFC 4862)", a.addr(), link)
		default:
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return netip.Addr{}, why
	}
	if slices.ContainsFunc(fit, func(a address) bool { return a.addr() == present }) {
		return present, nil
	}
	return slices.MinFunc(fit, compare).addr(), nil
}
