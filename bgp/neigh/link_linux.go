package neigh

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linux is the kernel of the calling thread's network namespace.
type linux struct{}

var _ kernel = linux{}

func (linux) look(name string, present netip.Addr) (view, error) {
	found, err := netlink.LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return view{}, lacks("there is no interface %s", name)
	}
	if err != nil {
		return view{}, fmt.Errorf("looking up interface %s: %w", name, err)
	}
	attrs := found.Attrs()
	switch {
	case attrs.RawFlags&unix.IFF_UP == 0:
		return view{}, lacks("interface %s is down", attrs.Name)
	case attrs.RawFlags&unix.IFF_LOWER_UP == 0:
		return view{}, lacks("interface %s has no carrier", attrs.Name)
	}
	addrs, err := addressesOf(found)
	if err != nil {
		return view{}, err
	}
	addr, err := linkLocal(attrs.Name, addrs, present)
	return view{name: attrs.Name, index: attrs.Index, mac: string(attrs.HardwareAddr), addr: addr}, err
}
