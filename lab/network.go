package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/kontena/network-lb/lab/namespace"
)

// The interfaces. A host has its LAN on eth0; a router has the network behind it on eth1.
const (
	lanInterface = "eth0"
	wanInterface = "eth1"
	bridge       = "br0"
)

// makeNetwork makes the namespaces, the cables between them, addresses and routes. Nothing of it touches the
// machine's own network.
func makeNetwork(f Families) error {
	for _, name := range append([]string{LAN, WAN}, HostNames()...) {
		if err := namespace.AddNet(Prefix + name); err != nil {
			return err
		}
	}
	for _, name := range []string{LAN, WAN} {
		if err := makeSwitch(name); err != nil {
			return fmt.Errorf("making switch %s: %w", name, err)
		}
	}
	for _, h := range Hosts {
		if err := h.connect(f); err != nil {
			return fmt.Errorf("connecting %s: %w", h.Name, err)
		}
	}
	for _, h := range Hosts {
		if err := h.addRoutes(f); err != nil {
			return fmt.Errorf("adding routes of %s: %w", h.Name, err)
		}
	}
	return nil
}

// inside is a netlink socket in a host's or switch's namespace.
type inside struct {
	*netlink.Handle
	ns netns.NsHandle
}

func open(name string) (inside, error) {
	ns, err := netns.GetFromName(Prefix + name)
	if err != nil {
		return inside{}, err
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return inside{}, errors.Join(err, ns.Close())
	}
	return inside{h, ns}, nil
}

// Close ends it.
func (i inside) Close() {
	i.Handle.Close()
	_ = i.ns.Close() // only looked at
}

func makeSwitch(name string) error {
	nl, err := open(name)
	if err != nil {
		return err
	}
	defer nl.Close()
	// A switch that learns multicast groups would have to be taught NDP's first: flood instead.
	snooping := false
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}, MulticastSnooping: &snooping}
	if err := nl.LinkAdd(br); err != nil {
		return err
	}
	return nl.LinkSetUp(br)
}

// connect plugs the host into its networks and gives it its addresses.
func (h Host) connect(f Families) error {
	if err := h.setSysctls(f); err != nil {
		return err
	}
	nl, err := open(h.Name)
	if err != nil {
		return err
	}
	defer nl.Close()
	lo, err := nl.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := nl.LinkSetUp(lo); err != nil {
		return err
	}
	if h.LAN {
		if err := h.plug(nl, LAN, lanInterface, h.LANAddrs(f)); err != nil {
			return err
		}
	}
	if h.WAN {
		addrs := h.WANAddrs()
		return h.plug(nl, WAN, h.wanInterface(), addrs[:])
	}
	return nil
}

// wanInterface is the first interface of a host that has no other.
func (h Host) wanInterface() string {
	if h.LAN {
		return wanInterface
	}
	return lanInterface
}

// plug lays a cable: one end is the host's interface, the other a port of the switch that has the host's name.
func (h Host) plug(nl inside, network, name string, addrs []netip.Addr) error {
	sw, err := open(network)
	if err != nil {
		return err
	}
	defer sw.Close()
	br, err := sw.LinkByName(bridge)
	if err != nil {
		return err
	}
	port := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: h.Name, MasterIndex: br.Attrs().Index},
		PeerName:  name, PeerNamespace: netlink.NsFd(nl.ns),
	}
	if err := sw.LinkAdd(port); err != nil {
		return fmt.Errorf("adding port %s: %w", h.Name, err)
	}
	if err := sw.LinkSetUp(port); err != nil {
		return err
	}
	link, err := nl.LinkByName(name)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		bits := 24
		if addr.Is6() {
			bits = 64
		}
		if err := nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(addr, bits))}); err != nil {
			return fmt.Errorf("adding address %s: %w", addr, err)
		}
	}
	return nl.LinkSetUp(link)
}

// setSysctls makes the namespace behave as a host of a data centre: addresses are usable at once, flows are
// spread by their ports, and nodes and routers forward. What has no IPv6 has it turned off.
func (h Host) setSysctls(f Families) error {
	settings := map[string]string{
		"net.ipv6.conf.all.disable_ipv6":       "0",
		"net.ipv6.conf.default.disable_ipv6":   "0",
		"net.ipv6.conf.default.accept_dad":     "0",
		"net.ipv6.conf.default.accept_ra":      "0",
		"net.ipv4.fib_multipath_hash_policy":   "1",
		"net.ipv6.fib_multipath_hash_policy":   "1",
		"net.ipv4.conf.all.rp_filter":          "0", // answers take another router than questions
		"net.ipv4.conf.default.rp_filter":      "0",
		"net.ipv4.conf.default.send_redirects": "0",
		"net.ipv4.conf.all.send_redirects":     "0",
	}
	if f == IPv4 && h.inCluster() {
		settings["net.ipv6.conf.all.disable_ipv6"] = "1"
		settings["net.ipv6.conf.default.disable_ipv6"] = "1"
	}
	if h.Node > 0 || h.ASN > 0 {
		settings["net.ipv4.ip_forward"] = "1"
		settings["net.ipv6.conf.all.forwarding"] = "1"
		settings["net.ipv6.conf.default.forwarding"] = "1"
	}
	return namespace.Host{Net: Prefix + h.Name}.Do(func() error {
		for name, value := range settings {
			if err := writeSysctl(name, value); err != nil {
				return err
			}
		}
		return nil
	})
}

func sysctlFile(name string) string {
	return filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
}

func writeSysctl(name, value string) error {
	if err := os.WriteFile(sysctlFile(name), []byte(value), 0o644); err != nil {
		return fmt.Errorf("setting %s: %w", name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
