package neigh

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linux is the kernel of the calling thread's network namespace.
type linux struct{}

var _ kernel = linux{}

func (linux) look(name string) (view, error) {
	found, err := netlink.LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return view{}, fmt.Errorf("there is no interface %s", name)
	}
	if err != nil {
		return view{}, fmt.Errorf("looking up interface %s: %w", name, err)
	}
	attrs := found.Attrs()
	switch {
	case attrs.RawFlags&unix.IFF_UP == 0:
		return view{}, fmt.Errorf("interface %s is down", attrs.Name)
	case attrs.RawFlags&unix.IFF_LOWER_UP == 0:
		return view{}, fmt.Errorf("interface %s has no carrier", attrs.Name)
	}
	list, err := netlink.AddrList(found, netlink.FAMILY_V6)
	if err != nil {
		return view{}, fmt.Errorf("reading the addresses of %s: %w", attrs.Name, err)
	}
	addr, err := ownEnd(attrs.Name, list)
	return view{name: attrs.Name, index: attrs.Index, mac: string(attrs.HardwareAddr), addr: addr}, err
}

// ownEnd is the address that an unnumbered session has at our end: the link-local one that will stay longest.
func ownEnd(name string, list []netlink.Addr) (netip.Addr, error) {
	var fit []address
	why := fmt.Errorf("interface %s has no IPv6 link-local address", name)
	for _, a := range list {
		known, ok := fromKernel(a)
		switch {
		case !ok || !known.addr().IsLinkLocalUnicast():
		case a.Flags&unix.IFA_F_DADFAILED != 0:
			why = fmt.Errorf("another host on %s has its address %s (duplicate address detection, RFC 4862)", name, known.addr())
		case known.tentative:
			why = fmt.Errorf("the address %s of %s is tentative (duplicate address detection, RFC 4862)", known.addr(), name)
		default:
			fit = append(fit, known)
		}
	}
	if len(fit) == 0 {
		return netip.Addr{}, why
	}
	return slices.MinFunc(fit, compare).addr(), nil
}
