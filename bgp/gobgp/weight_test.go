package gobgp_test

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// flows is how many connections' worth of packets a router is given to share out. If a quarter of them is to go one way,
// chance gives or takes 27 (0.7 %) in most cases, and 120 (3 %) in one of 90,000.
const flows = 4000

// crossing is a router with two nodes behind it that have the same address, and a client in front of it.
type crossing struct {
	t        *testing.T
	client   string
	router   string
	nodes    [2]*process
	received [2]atomic.Int64 // packets for the address
	frr      *routers.FRR
	bird     *routers.BIRD
}

// shared is the address of both nodes.
const shared = "10.9.0.1"

func newCrossing(t *testing.T, m routers.Maker) *crossing {
	t.Helper()
	routers.Require(t)
	n := strconv.Itoa(int(stations.Add(1)))
	c := &crossing{t: t, client: nstest.New(t, "c"+n), router: nstest.New(t, "r"+n)}
	nstest.Forward(t, c.router)
	nstest.Run(t, "ip", "netns", "exec", c.router, "sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1")
	nstest.Wire(t, c.client, "eth0", []string{"10.0.9.1/24"}, c.router, "eth9", []string{"10.0.9.2/24"})
	nstest.Run(t, "ip", "-n", c.client, "route", "add", "default", "via", "10.0.9.2")
	for i := range c.nodes {
		node := nstest.New(t, fmt.Sprintf("n%s-%d", n, i))
		nstest.Wire(t, node, "eth1", []string{fmt.Sprintf("10.0.%d.1/24", i+1)}, c.router, fmt.Sprintf("eth%d", i+1), []string{fmt.Sprintf("10.0.%d.2/24", i+1)})
		nstest.Run(t, "ip", "-n", node, "route", "add", "default", "via", fmt.Sprintf("10.0.%d.2", i+1))
		nstest.Run(t, "ip", "-n", node, "addr", "add", shared+"/32", "dev", "lo")
		c.count(node, &c.received[i])
		c.nodes[i] = startSpeaker(t, node, false)
	}
	if m == routers.FRRouting {
		c.frr = routers.StartFRR(t, c.router, routers.Daemon{Name: "bgpd", Config: frrCrossing})
	} else {
		c.bird = routers.StartBIRD(t, c.router, birdCrossing)
	}
	return c
}

const frrCrossing = `
frr defaults traditional
router bgp 65001
 bgp router-id 10.0.9.2
 no bgp ebgp-requires-policy
 neighbor 10.0.1.1 remote-as 64512
 neighbor 10.0.2.1 remote-as 64512
 address-family ipv4 unicast
  maximum-paths 8
 exit-address-family
exit
`

const birdCrossing = `
router id 10.0.9.2;
protocol device {}
protocol direct { ipv4; }
protocol kernel { merge paths on; ipv4 { export where source = RTS_BGP; }; }
template bgp node {
  local as 65001;
  error wait time 1, 2;
  ipv4 { import all; export none; };
}
protocol bgp one from node { neighbor 10.0.1.1 as 64512; }
protocol bgp two from node { neighbor 10.0.2.1 as 64512; }
`

// count takes note of the packets for the address that come to a node.
func (c *crossing) count(node string, received *atomic.Int64) {
	c.t.Helper()
	var conn net.PacketConn
	var err error
	nstest.Do(c.t, node, func() { conn, err = net.ListenPacket("udp4", shared+":9") })
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	go func() {
		for buf := make([]byte, 16); ; received.Add(1) {
			if _, _, err := conn.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
}

// announce has each node announce the address with a bandwidth of its own.
func (c *crossing) announce(bandwidths ...bgp.Bandwidth) {
	c.t.Helper()
	for i, p := range c.nodes {
		r := route(shared + "/32")
		r.Bandwidth = bandwidths[i]
		router := netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 2})
		p.set([]bgp.Peer{{Name: "router", Address: router, PeerASN: 65001, MyASN: 64512}}, r)
		p.up("router")
	}
}

var weightText = regexp.MustCompile(`via 10\.0\.(\d)\.1 .*weight (\d+)`)

// weights waits until the router's kernel has both nodes as next hops with these weights.
func (c *crossing) weights(want ...string) {
	c.t.Helper()
	nstest.Eventually(c.t, fmt.Sprintf("the kernel's next hops have the weights %v", want), func() (bool, any) {
		text := nstest.Run(c.t, "ip", "-n", c.router, "route", "show", shared)
		got := []string{"", ""}
		for _, hop := range weightText.FindAllStringSubmatch(text, -1) {
			i, _ := strconv.Atoi(hop[1])
			got[i-1] = hop[2]
		}
		return strings.Join(got, " ") == strings.Join(want, " "), text
	})
}

// share sends a packet of each flow, and returns how many come to each node.
func (c *crossing) share() (first, second int64) {
	c.t.Helper()
	before := [2]int64{c.received[0].Load(), c.received[1].Load()}
	for i := range flows {
		nstest.Do(c.t, c.client, func() {
			to := &net.UDPAddr{IP: net.ParseIP(shared), Port: 9}
			conn, err := net.DialUDP("udp4", &net.UDPAddr{Port: 20000 + i}, to)
			if err != nil {
				c.t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := conn.Write([]byte("x")); err != nil {
				c.t.Fatal(err)
			}
		})
		first, second = c.received[0].Load()-before[0], c.received[1].Load()-before[1]
		if sent := int64(i + 1); sent%50 == 0 { // no more than the sockets hold
			nstest.Eventually(c.t, "the packets have come", func() (bool, any) {
				first, second = c.received[0].Load()-before[0], c.received[1].Load()-before[1]
				return first+second == sent, []int64{first, second, sent}
			})
		}
	}
	return first, second
}

// shares fails unless the first node gets a percentage of the flows, within 3 points.
func (c *crossing) shares(percent float64) {
	c.t.Helper()
	first, second := c.share()
	if got := 100 * float64(first) / flows; math.Abs(got-percent) > 3 {
		c.t.Errorf("the first node got %d of %d flows (%.1f %%), want %g %%", first, first+second, got, percent)
	} else {
		c.t.Logf("%d and %d of %d flows", first, second, flows)
	}
}

// testWeightInFRR is for two nodes with one and three endpoints of a Service.
func testWeightInFRR(t *testing.T, m routers.Maker) {
	c := newCrossing(t, m)
	c.announce(bgp.Mbps, 3*bgp.Mbps)
	c.weights("25", "75")
	c.shares(25)
	c.announce(bgp.Mbps, 0)
	c.weights("1", "1")
	c.announce(2*bgp.Mbps, 3*bgp.Mbps)
	c.weights("40", "60")
}

func testWeightInBIRD(t *testing.T, m routers.Maker) {
	c := newCrossing(t, m)
	c.announce(bgp.Mbps, 3*bgp.Mbps)
	c.weights("1", "1")
	c.shares(50)
}

// testBandwidth looks at the community on each kind of session.
func testBandwidth(t *testing.T, m routers.Maker) {
	for _, x := range []struct {
		asn   uint32
		shown int
	}{{64512, 64512}, {65001, 65001}, {4200000001, 23456}} {
		s := newStation(t, m, site{asn: x.asn})
		plain, small, large := route("10.9.0.1/32"), route("10.9.0.2/32"), route("10.9.0.3/32")
		small.Bandwidth, large.Bandwidth = bgp.Mbps, 30000*bgp.Mbps
		s.announce(s.peer(own(x.asn)), plain, small, large)
		for r, want := range map[*bgp.Route]map[routers.Maker]string{
			&small: {routers.FRRouting: "LB:%d:125000 (1.000 Mbps)", routers.BIRDd: "BGP.ext_community: (unknown 0x4004, %d, 1207182336)\n"},
			&large: {routers.FRRouting: "LB:%d:3750000128 (30.000 Gbps)", routers.BIRDd: "BGP.ext_community: (unknown 0x4004, %d, 1331659894)\n"},
		} {
			s.shows(r.Prefix.String(), fmt.Sprintf(want[m], x.shown))
		}
		if text := s.shown("10.9.0.1/32"); contains(text, "LB:") || contains(text, "ext_community") {
			t.Errorf("a route without a bandwidth has one: %s", text)
		}
	}
}

// shows waits until the router shows a text with a route.
func (s *station) shows(prefix, text string) {
	s.t.Helper()
	nstest.Eventually(s.t, "the router shows "+text, func() (bool, any) {
		all := s.shown(prefix)
		return contains(all, text), all
	})
}

// shown is all that the router shows of a route.
func (s *station) shown(prefix string) string {
	s.t.Helper()
	if s.bird != nil {
		return s.bird.Ask("show", "route", prefix, "all")
	}
	out, err := s.frr.Ask("bgpd", "show bgp ipv4 unicast "+prefix)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}
