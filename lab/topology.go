package lab

import (
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/lab/namespace"
)

// Prefix begins the name of every network namespace of the lab, as `ip netns list` shows it.
const Prefix = "nlb-"

// The hosts. Each is a network namespace; a node is a mount namespace too.
const (
	Control = "control" // etcd, API server, controller manager, scheduler
	Node1   = "node-1"
	Node2   = "node-2"
	Node3   = "node-3"
	FRR1    = "frr-1"
	FRR2    = "frr-2"
	BIRD1   = "bird-1"
	Client  = "client" // on the nodes' LAN
	Far     = "far"    // behind the routers
)

// The switches: namespaces that hold nothing but a bridge.
const (
	LAN = "lan"
	WAN = "wan"
)

// The networks and what is left free in them.
const (
	LANv4 = "10.88.0.0/24"
	LANv6 = "fd00:88::/64"
	WANv4 = "10.90.0.0/24"
	WANv6 = "fd00:90::/64"

	LANPoolV4  = "10.88.0.200-10.88.0.250"   // for layer 2
	LANPoolV6  = "fd00:88::200-fd00:88::2ff" // likewise
	BGPPoolV4  = "10.89.0.0/24"              // on no interface: only routes lead to it
	BGPPoolV6  = "fd00:89::/64"              // likewise
	ServiceV4  = "10.96.0.0/16"              // ClusterIPs
	ServiceV6  = "fd00:10:96::/112"          // likewise
	PodsV4     = "10.244.0.0/16"             // a /24 for each node
	PodsV6     = "fd00:10:244::/48"          // a /64 for each node
	apiServer4 = "10.96.0.1"                 // the first ClusterIP: the Service "kubernetes"
	apiServer6 = "fd00:10:96::1"             // likewise
	hostsFmt4  = "10.%d.0.%d"                // network, host
	hostsFmt6  = "fd00:%d::%d"               // likewise, in digits that look the same
	podsFmt4   = "10.244.%d.0/24"            // node
	podsFmt6   = "fd00:10:244:%d::/64"       // node
	lanNumber  = 88
	wanNumber  = 90
)

// The autonomous systems. The routers accept every neighbour on the LAN that says it is NodeASN.
const (
	NodeASN  = 64500
	FRR1ASN  = 64501
	FRR2ASN  = 64502
	BIRD1ASN = 64503
)

// Host is a machine of the lab.
type Host struct {
	Name string
	// Number is the last part of its addresses in both networks and families.
	Number   int
	LAN, WAN bool
	ASN      uint32 // of a router
	Node     int    // 1, 2, 3 for a node: the third part of its pod networks
}

// Hosts are all of them, in the order of the drawing.
var Hosts = []Host{
	{Name: Far, Number: 100, WAN: true},
	{Name: FRR1, Number: 21, LAN: true, WAN: true, ASN: FRR1ASN},
	{Name: FRR2, Number: 22, LAN: true, WAN: true, ASN: FRR2ASN},
	{Name: BIRD1, Number: 31, LAN: true, WAN: true, ASN: BIRD1ASN},
	{Name: Client, Number: 100, LAN: true},
	{Name: Node1, Number: 11, LAN: true, Node: 1},
	{Name: Node2, Number: 12, LAN: true, Node: 2},
	{Name: Node3, Number: 13, LAN: true, Node: 3},
	{Name: Control, Number: 10, LAN: true},
}

// Gateways are the routers that everybody's default route goes over, each flow over one of them.
var Gateways = []string{FRR1, FRR2}

// Nodes returns the hosts that run a kubelet.
func Nodes() []Host { return hostsWhere(func(h Host) bool { return h.Node > 0 }) }

// Routers returns the hosts that speak BGP.
func Routers() []Host { return hostsWhere(func(h Host) bool { return h.ASN > 0 }) }

func hostsWhere(want func(Host) bool) []Host {
	var some []Host
	for _, h := range Hosts {
		if want(h) {
			some = append(some, h)
		}
	}
	return some
}

// HostNamed finds a host by its name.
func HostNamed(name string) (Host, error) {
	for _, h := range Hosts {
		if h.Name == name {
			return h, nil
		}
	}
	return Host{}, fmt.Errorf("finding host %q in the lab: there are %s", name, HostNames())
}

// HostNames lists the hosts by name.
func HostNames() []string {
	names := make([]string, 0, len(Hosts))
	for _, h := range Hosts {
		names = append(names, h.Name)
	}
	return names
}

// LANAddrs returns the host's addresses on the LAN where the cluster has these families: a router or a client always has
// one of both.
func (h Host) LANAddrs(f Families) []netip.Addr {
	if !h.inCluster() {
		f = Dual
	}
	return pick(f, addrs(lanNumber, h.Number))
}

// inCluster reports whether the host is one of Kubernetes' own.
func (h Host) inCluster() bool { return h.Node > 0 || h.Name == Control }

// WANAddrs returns the host's IPv4 and IPv6 addresses in the network behind the routers.
func (h Host) WANAddrs() [2]netip.Addr { return addrs(wanNumber, h.Number) }

func addrs(network, host int) [2]netip.Addr {
	return [2]netip.Addr{
		netip.MustParseAddr(fmt.Sprintf(hostsFmt4, network, host)),
		netip.MustParseAddr(fmt.Sprintf(hostsFmt6, network, host)),
	}
}

// PodCIDRs returns the networks of the node's pods.
func (h Host) PodCIDRs(f Families) []netip.Prefix {
	return pick(f, [2]netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf(podsFmt4, h.Node)),
		netip.MustParsePrefix(fmt.Sprintf(podsFmt6, h.Node)),
	})
}

// namespaces says where the host lives; state is the lab's folder.
func (h Host) namespaces(state string) namespace.Host {
	ns := namespace.Host{Net: Prefix + h.Name}
	if h.Node > 0 {
		ns.Mount = mountFile(state, h.Name)
	}
	return ns
}
