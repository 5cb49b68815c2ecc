package rawsock

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kontena/network-lb/layer2"
)

// view is the interfaces as netlink shows them.
type view struct {
	links              []layer2.Link // by index; replaced, never modified
	default4, default6 map[int]bool
	epochs             map[int]uint64 // of the interfaces that were interrupted
}

// update looks again; at the routes only if they may have changed. When it fails the view is as before.
func (v *view) update(n news) error {
	var err error
	for range 5 { // a change in the middle of a listing interrupts it
		if err = v.tryUpdate(n); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return err
}

func (v *view) tryUpdate(n news) error {
	found, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("listing interfaces: %w", err)
	}
	addrs, err := addresses()
	if err != nil {
		return fmt.Errorf("listing addresses: %w", err)
	}
	vrfs := map[int]bool{} // whose members have addresses of their own
	for _, f := range found {
		vrfs[f.Attrs().Index] = f.Type() == "vrf"
	}
	links := make([]layer2.Link, 0, len(found))
	for _, f := range found {
		l := describe(f.Attrs())
		l.Enslaved = f.Attrs().MasterIndex != 0 && !vrfs[f.Attrs().MasterIndex]
		l.Addrs = addrs[l.Index]
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b layer2.Link) int { return cmp.Compare(a.Index, b.Index) })
	default4, default6 := v.default4, v.default6
	if n.routes || v.lostRoutes(links) {
		if default4, err = defaults(netlink.FAMILY_V4); err != nil {
			return fmt.Errorf("listing IPv4 routes: %w", err)
		}
		if default6, err = defaults(netlink.FAMILY_V6); err != nil {
			return fmt.Errorf("listing IPv6 routes: %w", err)
		}
	}
	epochs := map[int]uint64{}
	for i, l := range links {
		links[i].Default4, links[i].Default6 = default4[l.Index], default6[l.Index]
		if links[i].Epoch = v.epochs[l.Index]; slices.Contains(n.unseen, l.Index) {
			links[i].Epoch++
		}
		if links[i].Epoch > 0 {
			epochs[l.Index] = links[i].Epoch
		}
	}
	*v = view{links, default4, default6, epochs}
	return nil
}

// lostRoutes reports whether an interface of a default route has changed: the kernel drops a route of one that
// goes down, or loses its address, without a message.
func (v *view) lostRoutes(now []layer2.Link) bool {
	return slices.ContainsFunc(v.links, func(before layer2.Link) bool {
		if !before.Default4 && !before.Default6 {
			return false
		}
		i := slices.IndexFunc(now, func(l layer2.Link) bool { return l.Index == before.Index })
		return i < 0 || now[i].Up != before.Up || !slices.Equal(now[i].Addrs, before.Addrs)
	})
}

func describe(a *netlink.LinkAttrs) layer2.Link {
	l := layer2.Link{
		Index:     a.Index,
		Name:      a.Name,
		Up:        a.Flags&net.FlagUp != 0,
		Carrier:   a.RawFlags&unix.IFF_LOWER_UP != 0,
		Broadcast: a.Flags&net.FlagBroadcast != 0 && a.RawFlags&unix.IFF_NOARP == 0,
	}
	if a.EncapType == "ether" && len(a.HardwareAddr) == len(l.MAC) {
		l.MAC = layer2.MAC(a.HardwareAddr)
	}
	return l
}

// arpIgnore is the arp_ignore in force on an interface: the greater of its own and that of all. It is 0 where it cannot
// be read, as it is by default.
func arpIgnore(name string) int {
	greater := 0
	for _, of := range []string{"all", name} {
		b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", of, "arp_ignore"))
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			greater = max(greater, n)
		}
	}
	return greater
}

// addresses are those of all interfaces. A tentative address counts: the interface has it in a moment.
func addresses() (map[int][]netip.Prefix, error) {
	found, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	addrs := map[int][]netip.Prefix{}
	for _, a := range found {
		addr, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if !ok || a.Flags&unix.IFA_F_DADFAILED != 0 {
			continue
		}
		addrs[a.LinkIndex] = append(addrs[a.LinkIndex], netip.PrefixFrom(addr.Unmap(), bits))
	}
	for _, prefixes := range addrs {
		slices.SortFunc(prefixes, netip.Prefix.Compare)
	}
	return addrs, nil
}

// defaults are the interfaces by which the family's best default route leaves.
func defaults(family int) (map[int]bool, error) {
	best, links := -1, map[int]bool{}
	err := netlink.RouteListFilteredIter(family, &netlink.Route{}, 0, func(r netlink.Route) bool {
		if r.Type != unix.RTN_UNICAST || r.Dst != nil && !isDefault(r.Dst) || best >= 0 && r.Priority > best {
			return true
		}
		if r.Priority != best {
			best = r.Priority
			clear(links)
		}
		if r.LinkIndex != 0 {
			links[r.LinkIndex] = true
		}
		for _, hop := range r.MultiPath {
			links[hop.LinkIndex] = true
		}
		return true
	})
	return links, err
}

func isDefault(dst *net.IPNet) bool {
	ones, _ := dst.Mask.Size()
	return ones == 0
}
