package discard

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What the package's routes and rules in the kernel are known by.
const (
	// Protocol is the origin of the routes and the rules (rtnetlink(7), rtm_protocol), by which they are known.
	Protocol = 178
	// Table is the number of the routing table that the routes are in.
	Table = 17178
	// Priority of the rules: after those of CNI plugins, before that of the main table, 32766.
	Priority = 30178
)

// Routes are the discard routes of this node's kernel, of the network namespace of whoever calls. The zero value is
// ready. There may be one in a namespace.
type Routes struct{ mu sync.Mutex }

// Set makes the given prefixes those with a discard route, and no others: what a process before this one left goes
// too, and what somebody else removed comes back. It looks at the kernel's tables every time, and changes nothing where
// they are right. A prefix is added before another is removed, so that of one that is split no part is ever without.
//
// Changes need the capability NET_ADMIN. The error joins everything that did not succeed; call Set again.
func (r *Routes) Set(prefixes []netip.Prefix) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	var wanted [2][]netip.Prefix
	for _, p := range prefixes {
		if !p.IsValid() || p.Addr().Is4In6() || p.Bits() == 0 {
			errs = append(errs, fmt.Errorf("discarding %s: want an IPv4 or IPv6 prefix, and not all of it", p))
			continue
		}
		f := 0
		if p.Addr().Is6() {
			f = 1
		}
		wanted[f] = append(wanted[f], p.Masked())
	}
	for f, number := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		errs = append(errs, setFamily(number, sorted(wanted[f])))
	}
	return explain(errors.Join(errs...))
}

// setFamily brings one family's routes and rule in line.
func setFamily(family int, wanted []netip.Prefix) error {
	have, err := list(family)
	if err != nil {
		return err
	}
	add, remove := diff(have, wanted)
	var errs []error
	if err := addAll(add); err != nil {
		return err // what is there is better than less
	}
	errs = append(errs, setRule(family, len(wanted) > 0))
	for _, p := range remove {
		if err := netlink.RouteDel(route(p)); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("removing the discard route of %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

func addAll(prefixes []netip.Prefix) error {
	var errs []error
	for _, p := range prefixes {
		if err := netlink.RouteReplace(route(p)); err != nil {
			errs = append(errs, fmt.Errorf("adding a discard route of %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

// Prefixes are those with a discard route, sorted.
func (r *Routes) Prefixes() ([]netip.Prefix, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	four, err4 := list(netlink.FAMILY_V4)
	six, err6 := list(netlink.FAMILY_V6)
	return append(four, six...), errors.Join(err4, err6)
}

// route is the discard route of a prefix.
func route(p netip.Prefix) *netlink.Route {
	return &netlink.Route{
		Dst:   &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		Table: Table, Type: unix.RTN_UNREACHABLE, Protocol: Protocol,
	}
}

// list returns the prefixes of a family's discard routes, sorted.
func list(family int) ([]netip.Prefix, error) {
	routes, err := netlink.RouteListFiltered(family,
		&netlink.Route{Table: Table, Type: unix.RTN_UNREACHABLE, Protocol: Protocol},
		netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE|netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return nil, fmt.Errorf("listing the discard routes: %w", err)
	}
	var all []netip.Prefix
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if addr, ok := netip.AddrFromSlice(r.Dst.IP); ok {
			ones, _ := r.Dst.Mask.Size()
			if family == netlink.FAMILY_V4 {
				addr = addr.Unmap()
			}
			all = append(all, netip.PrefixFrom(addr, ones))
		}
	}
	return sorted(all), nil
}

// rule sends what does not come from the node itself through the table.
func rule(family int) *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Table, r.Priority, r.Protocol = family, Table, Priority, Protocol
	r.IifName, r.Invert = "lo", true
	return r
}

// setRule brings a family's rule in line: there is one, or none.
func setRule(family int, wanted bool) error {
	rules, err := netlink.RuleList(family)
	if err != nil {
		return fmt.Errorf("listing the policy rules: %w", err)
	}
	right := false
	var errs []error
	for _, x := range rules {
		switch {
		case x.Table != Table || x.Protocol != Protocol:
		case wanted && !right && x.Priority == Priority && x.IifName == "lo" && x.Invert:
			right = true
		default:
			x.Family = family
			if err := netlink.RuleDel(&x); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, fmt.Errorf("removing the policy rule of the discard routes: %w", err))
			}
		}
	}
	if wanted && !right {
		if err := netlink.RuleAdd(rule(family)); err != nil {
			errs = append(errs, fmt.Errorf("adding the policy rule of the discard routes: %w", err))
		}
	}
	return errors.Join(errs...)
}

// diff compares sorted prefixes without repetitions.
func diff(have, want []netip.Prefix) (add, remove []netip.Prefix) {
	for _, p := range want {
		if _, there := slices.BinarySearchFunc(have, p, compare); !there {
			add = append(add, p)
		}
	}
	for _, p := range have {
		if _, wanted := slices.BinarySearchFunc(want, p, compare); !wanted {
			remove = append(remove, p)
		}
	}
	return add, remove
}

func sorted(all []netip.Prefix) []netip.Prefix {
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}

func compare(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// explain names what is missing where the kernel does not permit a change.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w; discard routes need the capability NET_ADMIN", err)
	}
	return err
}
