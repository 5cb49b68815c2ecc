package lab

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// route is a destination and the neighbours it is reached over, each flow over one of them.
type route struct {
	to  netip.Prefix
	via []netip.Addr
}

var (
	anyV4 = netip.MustParsePrefix("0.0.0.0/0")
	anyV6 = netip.MustParsePrefix("::/0")
)

// routes are the static ones of a host; what BGP brings comes on top.
func (h Host) routes(f Families) []route {
	var routes []route
	if h.ASN == 0 && h.Name != Control {
		routes = append(routes, h.defaultRoutes(f)...)
	}
	if h.Node == 0 && h.Name != Control {
		return routes
	}
	// The pods of the other nodes. The API server answers pods, too: it is the Service "kubernetes".
	for _, node := range Nodes() {
		if node.Name == h.Name {
			continue
		}
		for i, pods := range node.PodCIDRs(f) {
			routes = append(routes, route{to: pods, via: []netip.Addr{node.LANAddrs(f)[i]}})
		}
	}
	return routes
}

// defaultRoutes lead over all the gateways, in the host's own families.
func (h Host) defaultRoutes(f Families) []route {
	both := [2]route{{to: anyV4}, {to: anyV6}}
	for _, name := range Gateways {
		gateway, err := HostNamed(name)
		if err != nil {
			panic(err) // Gateways and Hosts are constants of this package
		}
		addrs := addrs(lanNumber, gateway.Number)
		if !h.LAN {
			addrs = gateway.WANAddrs()
		}
		for i := range both {
			both[i].via = append(both[i].via, addrs[i])
		}
	}
	if !h.inCluster() {
		f = Dual
	}
	return pick(f, both)
}

// addRoutes installs the static routes. All of them leave by the host's first interface.
func (h Host) addRoutes(f Families) error {
	nl, err := open(h.Name)
	if err != nil {
		return err
	}
	defer nl.Close()
	link, err := nl.LinkByName(lanInterface)
	if err != nil {
		return err
	}
	for _, r := range h.routes(f) {
		to := ipNet(r.to)
		kernel := &netlink.Route{Dst: to}
		for _, via := range r.via {
			hop := &netlink.NexthopInfo{LinkIndex: link.Attrs().Index, Gw: via.AsSlice()}
			kernel.MultiPath = append(kernel.MultiPath, hop)
		}
		if err := nl.RouteAdd(kernel); err != nil {
			return fmt.Errorf("adding route to %s: %w", r.to, err)
		}
	}
	return nil
}
