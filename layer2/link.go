package layer2

import (
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Link is a network interface as a Transport sees it.
type Link struct {
	Index     int
	Name      string
	MAC       MAC
	Up        bool // administratively
	Carrier   bool
	Broadcast bool // it can broadcast, so ARP works on it
	Enslaved  bool // it is a port of a bridge, bond or the like, which has the addresses
	Addrs     []netip.Prefix
	Default4  bool // the best IPv4 default route leaves by it
	Default6  bool // the best IPv6 default route leaves by it

	// ARPIgnore is the kernel's arp_ignore that is in force on the interface, where something is listened for; see
	// ClaimStatus.KernelAnswersARP.
	ARPIgnore int

	// Epoch changes when the neighbours may have lost sight of the interface, however short it was: it was without
	// carrier, or the kernel has notified them of its own addresses (a bond failed over, a virtual machine moved).
	Epoch uint64

	// Problem is what keeps the transport from listening on it as wanted; empty when nothing does.
	Problem string
}

// Contains reports whether one of the interface's subnets contains addr.
func (l Link) Contains(addr netip.Addr) bool {
	return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (l Link) ready() bool { return l.Up && l.Carrier }

// unfit says why nothing can be answered for addr on the interface; "" when it can.
func (l Link) unfit(addr netip.Addr) string {
	linkLocal := func(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() }
	switch {
	case !l.Up:
		return "is down"
	case l.Enslaved:
		return "is a port of another interface"
	case !l.MAC.Unicast():
		return "has no Ethernet address"
	case addr.Is4() && !l.Broadcast:
		return "cannot broadcast"
	case addr.Is6() && !slices.ContainsFunc(l.Addrs, linkLocal):
		return "has no IPv6 link-local address"
	}
	return ""
}

// ContainerInterfaces are the globs of interfaces that belong to container networks and the like. They are chosen
// only where a claim names one in full.
var ContainerInterfaces = []string{
	"docker*", "br-*", "cbr*", "veth*", "cali*", "vxlan.calico", "cilium*", "flannel*", "lxc*", "ovn-*", "antrea-*",
	"cni*", "tunl*", "kube-ipvs*", "nodelocaldns", "virbr*", "wg*", "tailscale*", "dummy*", "lo",
}

// NoInterfaceError says why an address can be answered on no interface.
type NoInterfaceError struct {
	Addr netip.Addr
	// Refused are the interfaces that would have been chosen and cannot be used.
	Refused []Refusal
	// Named are the interfaces that the claim asked for; empty for the default rule.
	Named []string
}

// Refusal is an interface that cannot be used, and why: "is down".
type Refusal struct{ Interface, Why string }

// Error is one sentence: "no interface for 10.0.0.7: eth0 is down".
func (e *NoInterfaceError) Error() string {
	var why []string
	for _, r := range e.Refused {
		why = append(why, r.Interface+" "+r.Why)
	}
	switch {
	case len(why) > 0:
	case len(e.Named) > 0:
		why = []string{"none is named " + strings.Join(e.Named, ", ")}
	default:
		why = []string{"no subnet contains it and there is no default route"}
	}
	return "no interface for " + e.Addr.String() + ": " + strings.Join(why, "; ")
}

// Choose is the interfaces on which a claimed address is answered. Those named by the claim, or else those whose
// subnet contains the address, or else the default route's; of these the ones that are up, broadcast (IPv4) or with
// a link-local address (IPv6), and not enslaved. Interfaces that match one of the globs in exclude are passed over,
// unless the claim names one in full. The error is a *NoInterfaceError when none is left.
func Choose(links []Link, c Claim, exclude []string) ([]Link, error) {
	return newChooser(links, exclude).choose(c)
}

// chooser is what Choose needs to know of the interfaces, worked out once for many claims.
type chooser struct {
	open   []Link // not excluded
	closed []Link
}

func newChooser(links []Link, exclude []string) chooser {
	var c chooser
	for _, l := range links {
		if matchesAny(exclude, l.Name) {
			c.closed = append(c.closed, l)
		} else {
			c.open = append(c.open, l)
		}
	}
	return c
}

func (ch chooser) choose(c Claim) ([]Link, error) {
	refused := &NoInterfaceError{Addr: c.Addr, Named: c.Interfaces}
	var chosen []Link
	for _, l := range ch.candidates(c) {
		if why := l.unfit(c.Addr); why != "" {
			refused.Refused = append(refused.Refused, Refusal{l.Name, why})
		} else {
			chosen = append(chosen, l)
		}
	}
	if len(chosen) == 0 {
		return nil, refused
	}
	return chosen, nil
}

// candidates are the interfaces meant, whether or not they can be used. An interface that is down still stands for
// its subnet: falling back to the default route's would answer on a network where the address does not belong.
func (ch chooser) candidates(c Claim) []Link {
	if len(c.Interfaces) > 0 {
		named := filter(ch.open, func(l Link) bool { return matchesAny(c.Interfaces, l.Name) })
		return append(named, filter(ch.closed, func(l Link) bool { return slices.Contains(c.Interfaces, l.Name) })...)
	}
	if subnet := filter(ch.open, func(l Link) bool { return l.Contains(c.Addr) }); len(subnet) > 0 {
		return subnet
	}
	return filter(ch.open, func(l Link) bool { return c.Addr.Is4() && l.Default4 || c.Addr.Is6() && l.Default6 })
}

func filter(links []Link, keep func(Link) bool) []Link {
	var kept []Link
	for _, l := range links {
		if keep(l) {
			kept = append(kept, l)
		}
	}
	return kept
}

func matchesAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := path.Match(glob, name)
		return ok && err == nil
	})
}
