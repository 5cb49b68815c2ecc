package gobgp_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// station is a node at 10.0.1.1 and 2001:db8:1::1 with one router at 10.0.1.2 and 2001:db8:1::2, or, when it is far,
// at 10.0.3.2 behind a gateway.
type station struct {
	t        *testing.T
	node, ns string
	ours     string // our address, as the router's neighbour
	frr      *routers.FRR
	bird     *routers.BIRD
	*process
}

// site says what is special about a station.
type site struct {
	far      bool
	no4      bool     // no IPv4 anywhere
	more     []string // more addresses of the node
	ours     string   // our address on the session, "" is 10.0.1.1
	asn, own uint32   // ours, 0 is 64512; the router's, 0 is 65001
	port     int      // of the router, 0 is 179
	frr      []string // lines after "neighbor ADDRESS "; those that begin with "bgp " are put as they are
	bird     []string // lines of the protocol
	bird4    string   // in its IPv4 channel
	bird6    string
	routes   int // that the router sends, 198.18.x.x/32
}

var stations atomic.Int32

func newStation(t *testing.T, m routers.Maker, x site) *station {
	t.Helper()
	routers.Require(t)
	routers.Needs(t, "tcpdump")
	n := strconv.Itoa(int(stations.Add(1)))
	s := &station{t: t, node: nstest.New(t, "n"+n), ns: nstest.New(t, "r"+n), ours: x.ours}
	if s.ours == "" {
		s.ours = "10.0.1.1"
	}
	near, theirs := []string{"10.0.1.1/24", "2001:db8:1::1/64"}, []string{"10.0.1.2/24", "2001:db8:1::2/64"}
	if x.no4 {
		near, theirs = near[1:], theirs[1:]
	}
	near = append(near, x.more...)
	if x.far {
		s.wireFar(nstest.New(t, "m"+n), near)
	} else {
		nstest.Wire(t, s.node, "eth1", near, s.ns, "eth0", theirs)
	}
	if m == routers.FRRouting {
		s.frr = routers.StartFRR(t, s.ns, x.frrDaemon(s.ours))
	} else {
		s.bird = routers.StartBIRD(t, s.ns, x.birdConfig(t, s.ours))
	}
	s.process = startSpeaker(t, s.node, false)
	return s
}

// wireFar puts a gateway between the node and the router.
func (s *station) wireFar(mid string, near []string) {
	t := s.t
	t.Helper()
	nstest.Wire(t, s.node, "eth1", near, mid, "eth0", []string{"10.0.1.2/24", "2001:db8:1::2/64"})
	nstest.Wire(t, mid, "eth1", []string{"10.0.3.1/24"}, s.ns, "eth0", []string{"10.0.3.2/24"})
	nstest.Run(t, "ip", "netns", "exec", mid, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	nstest.Run(t, "ip", "-n", s.node, "route", "add", "10.0.3.0/24", "via", "10.0.1.2")
	nstest.Run(t, "ip", "-n", s.ns, "route", "add", "10.0.1.0/24", "via", "10.0.3.1")
}

func (x site) asns() (ours, own uint32) {
	if ours = x.asn; ours == 0 {
		ours = 64512
	}
	if own = x.own; own == 0 {
		own = 65001
	}
	return ours, own
}

func (x site) frrDaemon(at string) routers.Daemon {
	d := routers.Daemon{Name: "bgpd", Config: x.frrConfig(at)}
	if x.port != 0 {
		d.Args = []string{"-p", strconv.Itoa(x.port)}
	}
	return d
}

func (x site) frrConfig(at string) string {
	asn, own := x.asns()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("frr defaults traditional\nrouter bgp %d\n bgp router-id 10.0.1.2\n no bgp ebgp-requires-policy", own)
	line(" no bgp default ipv4-unicast\n no bgp network import-check\n neighbor %s remote-as %d", at, asn)
	for _, l := range x.frr {
		if strings.HasPrefix(l, "bgp ") {
			line(" %s", l)
		} else {
			line(" neighbor %s %s", at, l)
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		line(" address-family %s unicast\n  neighbor %s activate", family, at)
		for i := range x.routes {
			if family == "ipv4" {
				line("  network %s", sent(i))
			}
		}
		line(" exit-address-family")
	}
	line("exit")
	return b.String()
}

// sent is the i-th route of a router that sends some.
func sent(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(16 + i>>16), byte(i >> 8), byte(i)}), 32)
}

func (x site) birdConfig(t *testing.T, at string) string {
	asn, own := x.asns()
	port, local := "", ""
	if x.port != 0 {
		port = fmt.Sprintf(" port %d", x.port)
	}
	var lines strings.Builder
	for _, l := range x.bird {
		if strings.HasPrefix(l, "local ") {
			local = strings.TrimPrefix(l, "local ")
			continue
		}
		lines.WriteString("  " + l + "\n")
	}
	statics := ""
	if x.far {
		statics = "protocol static way { ipv4; route 10.0.1.0/24 via 10.0.3.1; }\n"
	}
	if x.routes > 0 {
		var b strings.Builder
		for i := range x.routes {
			fmt.Fprintf(&b, "route %s blackhole;\n", sent(i))
		}
		file := filepath.Join(t.TempDir(), "routes")
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		for dir := filepath.Dir(file); dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		statics += fmt.Sprintf("protocol static { ipv4;\ninclude %q;\n}\n", file)
	}
	return fmt.Sprintf(`router id 10.0.1.2;
protocol device {}
protocol direct { ipv4; ipv6; }
protocol kernel { ipv4 { export where source = RTS_BGP; }; }
protocol kernel { ipv6 { export where source = RTS_BGP; }; }
%sprotocol bgp node {
  local %s%s as %d;
  neighbor %s as %d;
  error wait time 1, 2;
%s  ipv4 { import all; export where source = RTS_STATIC && net ~ 198.0.0.0/8; %s };
  ipv6 { import all; export none; %s };
}
`, statics, local, port, own, at, asn, lines.String(), x.bird4, x.bird6)
}

// view is what a router says of its session with us.
type view struct {
	State           string // "Established"
	Internal        bool
	ASN             uint32
	ID              string
	Hold, Keepalive int // seconds
}

func (s *station) view() view {
	s.t.Helper()
	if s.frr != nil {
		p := s.frr.Neighbour(s.ours)
		return view{p.BgpState, p.NbrInternalLink, p.RemoteAs, p.RemoteRouterID, p.BgpTimerHoldTimeMsecs / 1000, p.BgpTimerKeepAliveIntervalMsecs / 1000}
	}
	var v view
	for line := range strings.Lines(s.bird.Ask("show", "protocols", "all", "node")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		limit := func() int { // "2.345/3"
			_, after, _ := strings.Cut(value, "/")
			n, _ := strconv.Atoi(after)
			return n
		}
		switch name {
		case "BGP state":
			v.State = value
		case "Session":
			v.Internal = strings.Contains(value, "internal")
		case "Neighbor AS":
			n, _ := strconv.ParseUint(value, 10, 32)
			v.ASN = uint32(n)
		case "Neighbor ID":
			v.ID = value
		case "Hold timer":
			v.Hold = limit()
		case "Keepalive timer":
			v.Keepalive = limit()
		}
	}
	return v
}

// sees waits until the router's view is right.
func (s *station) sees(what string, right func(v view) bool) view {
	s.t.Helper()
	var last view
	nstest.Eventually(s.t, "the router sees "+what, func() (bool, any) {
		last = s.view()
		return last.State == "Established" && right(last), last
	})
	return last
}

// has waits until the router has exactly these routes from us, of both families.
func (s *station) has(want map[string]routers.Route) {
	s.t.Helper()
	nstest.Eventually(s.t, fmt.Sprintf("the router has %v", want), func() (bool, any) {
		got := s.learnt()
		return maps.Equal(got, want), got
	})
}

func (s *station) learnt() map[string]routers.Route {
	s.t.Helper()
	if s.bird != nil {
		return s.bird.Routes("node")
	}
	all := s.frr.Routes("ipv4", s.ours)
	maps.Copy(all, s.frr.Routes("ipv6", s.ours))
	return all
}

// peer is the router as a peer of ours.
func (s *station) peer(change ...func(*bgp.Peer)) bgp.Peer {
	p := bgp.Peer{Name: "router", Address: netip.MustParseAddr("10.0.1.2"), PeerASN: 65001, MyASN: 64512}
	for _, f := range change {
		f(&p)
	}
	return p
}

// one is the route that every station announces, and two is one of each family.
var (
	one = []bgp.Route{route("10.9.0.1/32")}
	two = []bgp.Route{route("10.9.0.1/32"), route("2001:db8:9::1/128")}
)

// announce sets the one peer and these routes, and waits for the session.
func (s *station) announce(p bgp.Peer, routes ...bgp.Route) bgp.PeerStatus {
	s.t.Helper()
	s.set([]bgp.Peer{p}, routes...)
	s.up("router")
	return s.status("router")
}

// down waits until the session is not Established for a reason.
func (s *station) downFor(reason string) bgp.PeerStatus {
	s.t.Helper()
	s.down("router", reason)
	return s.status("router")
}

var ttlText = regexp.MustCompile(`(?:ttl|hlim) (\d+)`)

// ttls begins to collect the TTLs with which BGP messages of ours arrive in a namespace. The function returns those of
// at least three messages.
func (s *station) ttls() func() map[string]bool {
	s.t.Helper()
	dump := nstest.Start(s.t, s.ns, "tcpdump", "-l", "-n", "-v", "-i", "eth0",
		"src", s.ours, "and", "((tcp[tcpflags] & tcp-push != 0) or (ip6[53] & 8 != 0))")
	nstest.Eventually(s.t, "tcpdump listens", func() (bool, any) { o := dump.Out.String(); return contains(o, "listening on"), o })
	return func() map[string]bool {
		s.t.Helper()
		all := map[string]bool{}
		nstest.Eventually(s.t, "three messages have come", func() (bool, any) {
			found := ttlText.FindAllStringSubmatch(dump.Out.String(), -1)
			for _, f := range found {
				all[f[1]] = true
			}
			return len(found) >= 3, dump.Out.String()
		})
		return all
	}
}

// arrives fails unless all messages of ours come with one TTL.
func (s *station) arrives(ttls func() map[string]bool, want int) {
	s.t.Helper()
	if got := ttls(); len(got) != 1 || !got[strconv.Itoa(want)] {
		s.t.Errorf("messages arrive with TTL %v, want %d", got, want)
	}
}
