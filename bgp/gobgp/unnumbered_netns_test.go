package gobgp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

const unnumberedFRR = `
frr defaults traditional
router bgp 65001
 bgp router-id 10.0.1.2
 no bgp ebgp-requires-policy
 neighbor eth0 interface remote-as external
 address-family ipv6 unicast
  neighbor eth0 activate
 exit-address-family
exit
`

const unnumberedBIRD = `
router id 10.0.2.2;
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; }
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol radv { interface "eth0" { min ra interval 3; max ra interval 10; default lifetime 0; }; }
protocol bgp tor {
  local as 65001;
  error wait time 1, 2;
  neighbor range fe80::/10 as 64512;
  interface "eth0";
  dynamic name "tor_";
  ipv4 { extended next hop yes; import all; export none; };
  ipv6 { import all; export none; };
}
`

// cabling is a node, and a router that is configured for an unnumbered session on its eth0.
type cabling struct {
	*testing.T
	*process
	node, ns string
}

func newCabling(t *testing.T, router string) *cabling {
	t.Helper()
	nstest.Require(t)
	needs(t, frrDir+"bgpd", frrDir+"zebra", "/usr/sbin/bird", "/usr/sbin/birdc")
	c := &cabling{T: t, node: nstest.New(t, "node"), ns: nstest.New(t, "tor")}
	if router == "FRR" {
		startFRR(t, c.ns, unnumberedFRR)
	} else {
		startBIRD(t, c.ns, unnumberedBIRD)
	}
	c.process = startSpeaker(t, c.node, false)
	c.set([]bgp.Peer{{Name: "tor", Interface: "eth1", PeerASN: 65001, MyASN: 64512}},
		route("10.9.0.1/32"), route("2001:db8:9::1/128"))
	return c
}

func (c *cabling) ip(ns string, args ...string) {
	c.Helper()
	nstest.Run(c, "ip", append([]string{"-n", ns}, args...)...)
}

// plug connects the node's eth1 with the router's eth0.
func (c *cabling) plug() {
	c.Helper()
	wire(c, c.node, "eth1", nil, c.ns, "eth0", nil)
}

// linkLocal is an interface's address; the zero value is that it has none that is no longer tentative.
func (c *cabling) linkLocal(ns, dev string) netip.Addr {
	c.Helper()
	for _, word := range strings.Fields(nstest.Run(c, "ip", "-n", ns, "-6", "-o", "addr", "show", "dev", dev, "scope", "link", "-tentative")) {
		if p, err := netip.ParsePrefix(word); err == nil {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// says waits until the peer is not Established for the reason.
func (c *cabling) says(reason string) {
	c.Helper()
	eventually(c, "the peer is down for "+reason, func() (bool, any) {
		s := c.status("tor")
		return s.State != bgp.Established && contains(s.Reason, reason), s
	})
}

// works waits until the session is between the addresses that the interfaces have now, and the router's kernel has both
// routes by ours.
func (c *cabling) works() (took time.Duration) {
	c.Helper()
	start := time.Now()
	established := eventually(c, "the session is Established", func() (bool, any) {
		s := c.status("tor")
		ours, theirs := c.linkLocal(c.node, "eth1"), c.linkLocal(c.ns, "eth0")
		return s.State == bgp.Established && ours.IsValid() && s.Conn.Interface == "eth1" &&
			s.Conn.Local == ours.WithZone("eth1") && s.Conn.Remote == theirs.WithZone("eth1"), s
	})
	for prefix, via := range map[string]string{"10.9.0.1": "via inet6 ", "2001:db8:9::1": "via "} {
		eventually(c, "the router's kernel has "+prefix, func() (bool, any) {
			r := kernelRoute(c, c.ns, prefix)
			return contains(r, via+c.linkLocal(c.node, "eth1").String()+" dev eth0"), r
		})
	}
	c.Logf("Established after %s, routes after %s", established, time.Since(start))
	return established
}

func kernelRoute(t testing.TB, ns, prefix string) string {
	t.Helper()
	family := "-4"
	if strings.Contains(prefix, ":") {
		family = "-6"
	}
	return strings.Join(strings.Fields(nstest.Run(t, "ip", family, "-n", ns, "route", "show", prefix)), " ")
}

func withEachRouter(t *testing.T, body func(c *cabling)) {
	for _, router := range []string{"FRR", "BIRD"} {
		t.Run(router, func(t *testing.T) { body(newCabling(t, router)) })
	}
}

func TestNetnsUnnumbered(t *testing.T) {
	withEachRouter(t, func(c *cabling) {
		c.says("there is no interface eth1")
		c.ip(c.node, "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", c.ns)
		c.says("interface eth1 is down")
		c.ip(c.node, "link", "set", "eth1", "up")
		c.says("interface eth1 has no carrier")
		c.ip(c.ns, "link", "set", "eth0", "up")
		c.works()
		if s := c.status("tor"); s.Flaps != 0 || s.IPv4.Sent != 1 || s.IPv6.Sent != 1 {
			c.Errorf("%+v", s)
		}
	})
}

func TestNetnsUnnumberedInterfaceIsReplaced(t *testing.T) {
	withEachRouter(t, func(c *cabling) {
		c.plug()
		c.works()
		for range 2 {
			c.ip(c.ns, "link", "del", "eth0")
			c.plug()
			c.works()
		}
	})
}

func TestNetnsUnnumberedInterfaceGoesDown(t *testing.T) {
	withEachRouter(t, func(c *cabling) {
		c.plug()
		c.works()
		c.ip(c.node, "link", "set", "eth1", "down")
		eventually(c, "the router has lost the routes", func() (bool, any) {
			r := kernelRoute(c, c.ns, "10.9.0.1")
			return r == "", r
		})
		c.ip(c.node, "link", "set", "eth1", "up")
		c.works()
		c.ip(c.ns, "link", "set", "eth0", "down")
		c.ip(c.ns, "link", "set", "eth0", "up")
		c.works()
	})
}
