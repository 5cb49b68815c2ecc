package gobgp_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
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
router id 10.0.1.2;
protocol device {}
protocol direct { ipv4; ipv6; }
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol radv { interface "eth0" { min ra interval 3; max ra interval 10; default lifetime 0; }; }
protocol bgp node {
  local as 65001;
  neighbor range fe80::/10 as 64512;
  interface "eth0";
  error wait time 1, 2;
  ipv4 { extended next hop yes; import all; export none; };
  ipv6 { import all; export none; };
}
`

// newUnnumbered is a station whose router waits for an unnumbered session on its eth0, and a speaker that has one on
// eth1, without a cable between the two.
func newUnnumbered(t *testing.T, m routers.Maker, change ...func(*bgp.Peer)) *station {
	t.Helper()
	routers.Require(t)
	routers.Needs(t, "tcpdump")
	n := strconv.Itoa(int(stations.Add(1)))
	s := &station{t: t, node: nstest.New(t, "n"+n), ns: nstest.New(t, "r"+n)}
	if m == routers.FRRouting {
		s.frr = routers.StartFRR(t, s.ns, routers.Daemon{Name: "bgpd", Config: unnumberedFRR})
	} else {
		s.bird = routers.StartBIRD(t, s.ns, unnumberedBIRD)
	}
	s.process = startSpeaker(t, s.node, false)
	s.set([]bgp.Peer{s.peer(append(change, unnumbered)...)}, two...)
	return s
}

func unnumbered(p *bgp.Peer) { p.Address, p.Interface = netip.Addr{}, "eth1" }

func (s *station) ip(ns string, args ...string) {
	s.t.Helper()
	nstest.Run(s.t, "ip", append([]string{"-n", ns}, args...)...)
}

// plug connects the node's eth1 with the router's eth0.
func (s *station) plug() {
	s.t.Helper()
	nstest.Wire(s.t, s.node, "eth1", nil, s.ns, "eth0", nil)
}

// linkLocal is an interface's address; the zero value is that it has none, or a tentative one.
func (s *station) linkLocal(ns, dev string) netip.Addr {
	s.t.Helper()
	show := nstest.Run(s.t, "ip", "-n", ns, "-6", "-o", "addr", "show", "dev", dev, "scope", "link", "-tentative")
	for _, word := range strings.Fields(show) {
		if p, err := netip.ParsePrefix(word); err == nil {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// works waits until the session is between the addresses that the interfaces have now, and the router's kernel has both
// routes by ours.
func (s *station) works() {
	s.t.Helper()
	took := nstest.Eventually(s.t, "the session is Established", func() (bool, any) {
		st := s.status("router")
		ours, theirs := s.linkLocal(s.node, "eth1"), s.linkLocal(s.ns, "eth0")
		return st.State == bgp.Established && ours.IsValid() && st.Conn.Interface == "eth1" && !st.Conn.Multihop &&
			st.Conn.Local == ours.WithZone("eth1") && st.Conn.Remote == theirs.WithZone("eth1"), st
	})
	for prefix, via := range map[string]string{"10.9.0.1": "via inet6 ", "2001:db8:9::1": "via "} {
		took += nstest.Eventually(s.t, "the router's kernel has "+prefix, func() (bool, any) {
			r := strings.Join(strings.Fields(nstest.Kernel(s.t, s.ns, prefix)), " ")
			return contains(r, via+s.linkLocal(s.node, "eth1").String()+" dev eth0"), r
		})
	}
	s.t.Logf("the routes are there after %s", took)
}

// testUnnumbered has the interface come late, and bit by bit.
func testUnnumbered(t *testing.T, m routers.Maker) {
	s := newUnnumbered(t, m)
	s.downFor("there is no interface eth1")
	s.ip(s.node, "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", s.ns)
	s.downFor("interface eth1 is down")
	s.ip(s.node, "link", "set", "eth1", "up")
	s.downFor("interface eth1 has no carrier")
	s.ip(s.ns, "link", "set", "eth0", "up")
	nstest.Eventually(t, "we have an address", func() (bool, any) {
		a := s.linkLocal(s.node, "eth1")
		s.ours = a.String()
		return a.IsValid(), a
	})
	ttls := s.ttls()
	s.works()
	s.arrives(ttls, 255)
	s.counts(func(st bgp.PeerStatus) bool { return st.Flaps == 0 && st.IPv4.Sent == 1 && st.IPv6.Sent == 1 })
}

func testUnnumberedGTSM(t *testing.T, m routers.Maker) {
	s := newUnnumbered(t, m, func(p *bgp.Peer) { p.TTLSecurity = 1 })
	s.plug()
	s.downFor("no answer to our OPEN") // the router's has TTL 1
	if m == routers.FRRouting {
		if _, err := s.frr.Ask("bgpd", "configure terminal", "router bgp 65001", "neighbor eth0 ttl-security hops 1"); err != nil {
			t.Fatal(err)
		}
	} else {
		s.bird.Reconfigure(strings.Replace(unnumberedBIRD, `interface "eth0";`, `interface "eth0"; ttl security on;`, 1))
	}
	s.works()
}

// testUnnumberedReplaced has the cable pulled out and another one plugged in: all addresses are others then, and the
// interfaces too, though they are called the same.
func testUnnumberedReplaced(t *testing.T, m routers.Maker) {
	s := newUnnumbered(t, m)
	for range 3 {
		s.plug()
		s.works()
		s.ip(s.ns, "link", "del", "eth0")
	}
}

func testUnnumberedDown(t *testing.T, m routers.Maker) {
	s := newUnnumbered(t, m)
	s.plug()
	s.works()
	for ns, dev := range map[string]string{s.node: "eth1", s.ns: "eth0"} {
		s.ip(ns, "link", "set", dev, "down")
		nstest.Eventually(t, "the router has lost the routes", func() (bool, any) {
			r := nstest.Kernel(t, s.ns, "10.9.0.1")
			return r == "", r
		})
		s.ip(ns, "link", "set", dev, "up")
		s.works()
	}
}

// nobody is a command that runs this test's own program as a user without rights but the given capabilities.
func nobody(t *testing.T, capabilities string) []string {
	t.Helper()
	routers.Needs(t, "setpriv")
	program, err := os.ReadFile(os.Args[0]) // that lies in a directory that only root may enter
	if err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(routers.Dir(t, "nobody"), "speaker")
	if err := os.WriteFile(there, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
		"--inh-caps=" + capabilities, "--ambient-caps=" + capabilities, "--bounding-set=" + capabilities, there}
}

// TestNetnsUnnumberedPrivileges: the capability NET_RAW, and nothing else.
func TestNetnsUnnumberedPrivileges(t *testing.T) {
	s := newUnnumbered(t, routers.FRRouting)
	s.plug()
	s.kill()
	s.process = startSpeakerBy(t, s.node, false, nobody(t, "-all")...)
	s.set([]bgp.Peer{s.peer(unnumbered)}, two...)
	s.downFor("a raw socket wants the capability NET_RAW")
	s.kill()
	s.process = startSpeakerBy(t, s.node, false, nobody(t, "-all,+net_raw")...)
	s.set([]bgp.Peer{s.peer(unnumbered)}, two...)
	s.works()
}

// testUnnumberedRestarted has a router that has forgotten us.
func testUnnumberedRestarted(t *testing.T, _ routers.Maker) {
	s := newUnnumbered(t, routers.FRRouting)
	s.plug()
	s.works()
	s.frr.Stop("bgpd")
	s.downFor("closed")
	s.frr.Start("bgpd")
	s.works()
}
