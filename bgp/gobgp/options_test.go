package gobgp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// options are the rows of docs/interop.md. Where a row says less than its function looks at, it is for brevity.
var options = []option{
	{"`my_asn` and `peer_asn` differ (eBGP)", "external neighbour 64512, AS path `64512`, messages with TTL 1", "", testExternalSession},
	{"`my_asn` is `peer_asn` (iBGP)", "internal neighbour, empty AS path", "", testInternalSession},
	{"`my_asn` of four bytes", "AS path `4200000001`", "", testLongASN},
	{"`peer_asn: external`", "the session comes up whatever the router's ASN is, messages with TTL 1", "", testExternalPeer},
	{"`peer_asn: external`, router of our ASN", "refused before the session stands, no route comes; the reason names the ASN", "", testExternalPeerOfOwnASN},
	{"`peer_asn: external`, `ebgp_multihop: 3`", "messages arrive behind one gateway with TTL 2", "", testExternalPeerMultihop},
	{"wrong `peer_asn`", "no session, the reason names both ASNs", "", testWrongASN},
	{"`peer_port`", "session with port 1179", "", testPort},
	{"`source_address`", "session with that address of the node, next hop likewise", "", testSource},
	{"`source_address` of nobody", "no session until the address is on the node; the reason says so", "", testSourceAway},
	{"`source_address` unset, node that is renumbered while the router is away", "session from the new address when the router is back, by whatever name of the interface", routers.FRRouting, testRenumbered},
	{"`router_id`", "BGP identifier 192.0.2.77", "", testRouterID},
	{"`router_id` unset, no IPv4 on the node", "a BGP identifier, not 0.0.0.0", "", testDefaultRouterID},
	{"`hold_time: 3s`, `keepalive_time: 1s`", "hold time 3 s, keepalive 1 s; the session stands for longer than that", "", testTimers},
	{"`ebgp_multihop: 3`", "session over a gateway; messages arrive with TTL 2", "", testMultihop},
	{"router over a gateway, without `ebgp_multihop`", "no session: our packets end at the gateway", "", testNoMultihop},
	{"`ttl_security: 1` (GTSM)", "messages with TTL 255, session with GTSM on both sides", "", testTTLSecurity},
	{"`ttl_security: 1`, router without GTSM", "no session: what the router sends has TTL 1 and is dropped", "", testTTLSecurityAlone},
	{"IPv4 session, both families", "IPv4 and IPv6 routes with next hops of the node's interface", "", testBothOverIPv4},
	{"IPv6 session, both families", "IPv4 and IPv6 routes with next hops of the node's interface", "", testBothOverIPv6},
	{"IPv6 session, no IPv4 on the node, router with extended next hops", "IPv4 route with an IPv6 next hop (RFC 8950)", "", testExtendedNextHop},
	{"IPv6 session, no IPv4 on the node, router without", "the IPv6 route; the IPv4 route is withheld, the reason says why", "", testNoExtendedNextHop},
	{"`interface` (unnumbered)", "both families with our link-local next hop, messages with TTL 255; nothing but the interface is named to either side", "", testUnnumbered},
	{"`interface`, `ttl_security: 1`", "no session before the router is told to send with TTL 255, too", "", testUnnumberedGTSM},
	{"`interface`, router that has restarted", "session again", routers.FRRouting, testUnnumberedRestarted},
	{"`interface` that is replaced", "session with whatever router is behind it now, from our new address", "", testUnnumberedReplaced},
	{"`interface` that goes down", "session again when it is up, at either end", "", testUnnumberedDown},
	{"`graceful_restart`", "restart time 30 s; a killed speaker's routes stay without a kernel route event until the next one's", "", testGracefulRestart},
	{"`graceful_restart: {enabled: false}`", "routes go with the speaker", "", testNoGracefulRestart},
	{"`max_received_routes`", "Cease, maximum number of prefixes reached; session again when the limit is raised", "", testMaxReceived},
	{"`password` (TCP MD5)", "session; with another password none, and the reason says that it may be the password", "", testPassword},
	{"`localpref: 333` (iBGP)", "LOCAL_PREF 333; without it 100", "", testLocalPref},
	{"`med: 50`", "MED 50; without it none", "", testMED},
	{"`prepend: 2`", "AS path `64512 64512 64512`", "", testPrepend},
	{"`communities`", "`64500:100`, `no-export` and the large `64500:1:2`", "", testCommunities},
	{"`weight`", "a link bandwidth of 1 Mbit/s for each, `LB:64512:125000`, on eBGP and iBGP sessions, of 23456 if our ASN has four bytes", routers.FRRouting, testBandwidth},
	{"`weight`", "the same as `(unknown 0x4004, 64512, 1207182336)`", routers.BIRDd, testBandwidth},
	{"`weight`, two nodes with 1 and 3", "next hops with weights 25 and 75, and a quarter of 4,000 flows to the first node, within 3 points; alike if one says none", routers.FRRouting, testWeightInFRR},
	{"`weight`, two nodes with 1 and 3", "no use of it: half of 4,000 flows to each node, within 3 points", routers.BIRDd, testWeightInBIRD},
	{"a node that is drained", "the community `graceful-shutdown` and the path `64512 64512 64512 64512`, of which FRR makes LOCAL_PREF 0; LOCAL_PREF 0 on iBGP sessions", routers.FRRouting, testLeaving},
	{"a node that is drained", "the community `graceful-shutdown` and the path `64512 64512 64512 64512`; LOCAL_PREF 0 on iBGP sessions", routers.BIRDd, testLeaving},
	{"a node that is drained, of two", "the other one alone is the next hop at once, no packet of 500 flows is lost when the first goes and comes back, and the kernel's route stays as it is when the first is withdrawn", "", testLeavingOneOfTwo},
	{"`bfd_profile`, router found dead (the test plays BFD)", "the session ends at once, and comes again", "", testDead},
}

func own(asn uint32) func(*bgp.Peer) { return func(p *bgp.Peer) { p.MyASN = asn } }
func external(p *bgp.Peer)           { p.PeerASN, p.External = 0, true }
func far(p *bgp.Peer)                { p.Address = netip.MustParseAddr("10.0.3.2") }
func six(p *bgp.Peer)                { p.Address = netip.MustParseAddr("2001:db8:1::2") }

func testExternalSession(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	ttls := s.ttls()
	st := s.announce(s.peer(), one...)
	s.sees("64512", func(v view) bool { return !v.Internal && v.ASN == 64512 })
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
	s.arrives(ttls, 1)
	c := st.Conn
	if c.PeerASN != 65001 || c.PeerID != netip.MustParseAddr("10.0.1.2") || c.HoldTime != 30*time.Second || !c.IPv4 || !c.IPv6 || c.Multihop ||
		c.Local != netip.MustParseAddr("10.0.1.1") || c.Remote != netip.MustParseAddr("10.0.1.2") || c.Interface != "eth1" {
		t.Errorf("%+v", c)
	}
}

func testInternalSession(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{asn: 65001})
	s.announce(s.peer(own(65001)), one...)
	s.sees("an internal neighbour", func(v view) bool { return v.Internal && v.ASN == 65001 })
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("", "10.0.1.1")})
}

func testLongASN(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{asn: 4200000001, own: 4200000002})
	s.announce(s.peer(own(4200000001), func(p *bgp.Peer) { p.PeerASN = 4200000002 }), one...)
	s.sees("4200000001", func(v view) bool { return !v.Internal && v.ASN == 4200000001 })
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("4200000001", "10.0.1.1")})
}

func testExternalPeer(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{own: 4200000009})
	ttls := s.ttls()
	st := s.announce(s.peer(external), one...)
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
	s.arrives(ttls, 1)
	if st.Conn.PeerASN != 4200000009 || st.Flaps != 0 {
		t.Errorf("%+v", st)
	}
}

func testExternalPeerOfOwnASN(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{own: 64512})
	s.set([]bgp.Peer{s.peer(external)}, one...)
	if st := s.downFor("the router has our own ASN 64512"); st.Flaps != 0 {
		t.Errorf("%+v", st)
	}
	if s.frr != nil {
		if p := s.frr.Neighbour(s.ours); p.ConnectionsEstablished != 0 { // FRR forgets what was said on a connection that came to nothing
			t.Errorf("%+v", p)
		}
	} else if out := s.bird.Ask("show", "protocols", "all", "node"); !contains(out, "Received: Bad peer AS") {
		t.Errorf("BIRD says %s", out)
	}
	if got := s.learnt(); len(got) != 0 {
		t.Errorf("the router has %v", got)
	}
}

func testExternalPeerMultihop(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{far: true, frr: []string{"ebgp-multihop 3"}, bird: []string{"multihop 3;"}})
	ttls := s.ttls()
	st := s.announce(s.peer(external, far, func(p *bgp.Peer) { p.Multihop = 3 }), one...)
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
	s.arrives(ttls, 2)
	if !st.Conn.Multihop {
		t.Errorf("%+v", st.Conn)
	}
}

func testWrongASN(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	s.set([]bgp.Peer{s.peer(func(p *bgp.Peer) { p.PeerASN = 65099 })}, one...)
	s.downFor("as number mismatch expected 65099, received 65001")
	if got := s.learnt(); len(got) != 0 {
		t.Errorf("the router has %v", got)
	}
}

func testPort(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{port: 1179})
	s.announce(s.peer(func(p *bgp.Peer) { p.Port = 1179 }), one...)
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
}

func source(a string) func(*bgp.Peer) { return func(p *bgp.Peer) { p.Source = netip.MustParseAddr(a) } }

func testSource(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{ours: "10.0.1.9", more: []string{"10.0.1.9/24"}})
	st := s.announce(s.peer(source("10.0.1.9")), two...)
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.9"), "2001:db8:9::1/128": heard("64512", "2001:db8:1::1")})
	if st.Conn.Local != netip.MustParseAddr("10.0.1.9") {
		t.Errorf("%+v", st.Conn)
	}
}

func testSourceAway(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{ours: "10.0.1.9"})
	s.set([]bgp.Peer{s.peer(source("10.0.1.9"))}, one...)
	s.downFor("the source address 10.0.1.9 is not on this node")
	nstest.Run(t, "ip", "-n", s.node, "addr", "add", "10.0.1.9/24", "dev", "eth1")
	s.up("router")
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.9")})
}

func testRouterID(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	s.announce(s.peer(func(p *bgp.Peer) { p.RouterID = netip.MustParseAddr("192.0.2.77") }), one...)
	s.sees("the identifier", func(v view) bool { return v.ID == "192.0.2.77" })
}

func testDefaultRouterID(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{no4: true, ours: "2001:db8:1::1"})
	s.announce(s.peer(six), two[1])
	v := s.sees("an identifier", func(v view) bool { return v.ID != "" && v.ID != "0.0.0.0" })
	if a, err := netip.ParseAddr(v.ID); err != nil || !a.Is4() {
		t.Errorf("%+v", v)
	}
}

func testTimers(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	p := s.peer(func(p *bgp.Peer) { p.HoldTime, p.KeepaliveTime = 3*time.Second, time.Second })
	if st := s.announce(p, one...); st.Conn.HoldTime != 3*time.Second {
		t.Errorf("%+v", st.Conn)
	}
	s.sees("3 s and 1 s", func(v view) bool { return v.Hold == 3 && v.Keepalive == 1 })
	nstest.Eventually(t, "the session is twice as old as its hold time", func() (bool, any) {
		st := s.status("router")
		return time.Since(st.Since) > 6*time.Second && st.Flaps == 0, st
	})
}

func testMultihop(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{far: true, frr: []string{"ebgp-multihop 3"}, bird: []string{"multihop 3;"}})
	ttls := s.ttls()
	s.announce(s.peer(far, func(p *bgp.Peer) { p.Multihop = 3 }), one...)
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
	s.arrives(ttls, 2)
}

func testNoMultihop(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{far: true, frr: []string{"ebgp-multihop 3"}, bird: []string{"multihop 3;"}})
	s.set([]bgp.Peer{s.peer(far)}, one...)
	nstest.Eventually(t, "it does not come up", func() (bool, any) {
		st := s.status("router")
		return st.State == bgp.Connect && st.Reason != "", st
	})
	if v := s.view(); v.State == "Established" {
		t.Errorf("%+v", v)
	}
}

func gtsm(p *bgp.Peer) { p.TTLSecurity = 1 }

func testTTLSecurity(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{frr: []string{"ttl-security hops 1"}, bird: []string{"ttl security on;"}})
	ttls := s.ttls()
	s.announce(s.peer(gtsm), one...)
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
	s.arrives(ttls, 255)
}

func testTTLSecurityAlone(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{bird: []string{"ttl security off;"}})
	s.set([]bgp.Peer{s.peer(gtsm)}, one...)
	nstest.Eventually(t, "it does not come up", func() (bool, any) {
		st := s.status("router")
		return st.State != bgp.Established && st.Reason != "", st
	})
	if v := s.view(); v.State == "Established" {
		t.Errorf("%+v", v)
	}
}

var bothHops = map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1"), "2001:db8:9::1/128": heard("64512", "2001:db8:1::1")}

func testBothOverIPv4(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	s.announce(s.peer(), two...)
	s.has(bothHops)
}

func testBothOverIPv6(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{ours: "2001:db8:1::1"})
	s.announce(s.peer(six), two...)
	s.has(bothHops)
}

// counts waits until the status is so: the router may have a route before it is counted.
func (s *station) counts(so func(bgp.PeerStatus) bool) {
	s.t.Helper()
	nstest.Eventually(s.t, "the routes are counted", func() (bool, any) { st := s.status("router"); return so(st), st })
}

func testExtendedNextHop(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{no4: true, ours: "2001:db8:1::1", frr: []string{"capability extended-nexthop"}, bird4: "extended next hop yes;"})
	s.announce(s.peer(six), two...)
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "2001:db8:1::1"), "2001:db8:9::1/128": heard("64512", "2001:db8:1::1")})
	s.counts(func(st bgp.PeerStatus) bool { return st.IPv4.Withheld == "" && st.IPv4.Sent == 1 })
}

func testNoExtendedNextHop(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{no4: true, ours: "2001:db8:1::1"})
	s.announce(s.peer(six), two...)
	s.has(map[string]routers.Route{"2001:db8:9::1/128": heard("64512", "2001:db8:1::1")})
	const why = "interface eth1 has no permanent global IPv4 address to be the next hop, and the router does not take an IPv6 one (RFC 8950)"
	s.counts(func(st bgp.PeerStatus) bool { return st.IPv4.Withheld == why && st.IPv6.Sent == 1 })
	nstest.Run(t, "ip", "-n", s.ns, "addr", "add", "10.0.1.2/24", "dev", "eth0")
	nstest.Run(t, "ip", "-n", s.node, "addr", "add", "10.0.1.1/24", "dev", "eth1")
	s.has(bothHops)
}

func restartingAfter(d time.Duration) func(*bgp.Peer) {
	return func(p *bgp.Peer) { p.RestartTime = d }
}

func testGracefulRestart(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	p := s.peer(restartingAfter(30 * time.Second))
	s.announce(p, two...)
	s.has(bothHops)
	inKernel := func() {
		t.Helper()
		for _, prefix := range []string{"10.9.0.1", "2001:db8:9::1"} {
			nstest.Eventually(t, prefix+" is in the kernel", func() (bool, any) { r := nstest.Kernel(t, s.ns, prefix); return r != "", r })
		}
	}
	inKernel()
	if s.frr != nil {
		if g := s.frr.Neighbour(s.ours).GracefulRestartInfo; g.RemoteGrMode != "Restart" || g.Timers.ReceivedRestartTimer != 30 {
			t.Errorf("%+v", g)
		}
	}
	events := nstest.ListenForRoutes(t, s.ns, "eth0")
	s.kill()
	nstest.Eventually(t, "the router sees the connection gone", func() (bool, any) { v := s.view(); return v.State != "Established", v })
	s.process = startSpeaker(t, s.node, true)
	s.announce(p, append(two[:2:2], route("10.9.0.3/32"))...)
	nstest.Eventually(t, "a new route has come", func() (bool, any) { r := nstest.Kernel(t, s.ns, "10.9.0.3"); return r != "", r })
	for _, kept := range []string{"10.9.0.1", "2001:db8:9::1"} {
		if all := events.Of(kept); len(all) > 0 {
			t.Errorf("the kernel lost or changed %s: %v", kept, all)
		}
	}
}

func testNoGracefulRestart(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	s.announce(s.peer(), two...)
	s.has(bothHops)
	s.kill()
	s.has(map[string]routers.Route{})
}

func testMaxReceived(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{routes: 5})
	limited := func(n int) bgp.Peer { return s.peer(func(p *bgp.Peer) { p.MaxReceived = n }) }
	s.announce(limited(6), one...)
	nstest.Eventually(t, "the routes are counted", func() (bool, any) { // FRR sends ours back
		st := s.status("router")
		return st.IPv4.Received == 5 || st.IPv4.Received == 6, st
	})
	s.set([]bgp.Peer{limited(4)}, one...)
	st := s.downFor("the peer sent more than 4 routes")
	if st.Flaps != 1 || st.Lost == "" || st.IPv4.Received != 0 {
		t.Errorf("%+v", st)
	}
	if s.frr != nil {
		if r := s.frr.Neighbour(s.ours).LastNotificationReason; !contains(r, "Maximum Number of Prefixes") {
			t.Errorf("FRR heard %q", r)
		}
	} else if out := s.bird.Ask("show", "protocols", "all", "node"); !contains(out, "Received: Maximum number of prefixes reached") {
		t.Errorf("BIRD says %s", out)
	}
	s.set([]bgp.Peer{limited(0)}, one...)
	s.up("router")
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
}

func testPassword(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{frr: []string{"password s3cret"}, bird: []string{`password "s3cret";`}})
	secret := func(x bgp.Password) bgp.Peer { return s.peer(func(p *bgp.Peer) { p.Password = x }) }
	s.set([]bgp.Peer{secret("another")}, one...)
	s.downFor("a wrong or missing password looks like this too")
	s.announce(secret("s3cret"), one...)
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
}

func testDead(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	s.announce(s.peer(func(p *bgp.Peer) { p.BFD.Enabled = true }), one...)
	nstest.Eventually(t, "the router is watched", func() (bool, any) { // from just after the session is up
		st := s.status("router")
		return st.Liveness.State == bgp.LivenessUp, st
	})
	s.tell(command{Do: "dead"})
	s.has(map[string]routers.Route{})
	if st := s.status("router"); !strings.HasPrefix(st.Lost, "BFD: ") || st.Flaps != 1 {
		t.Errorf("%+v", st)
	}
	s.up("router")
	s.has(map[string]routers.Route{"10.9.0.1/32": heard("64512", "10.0.1.1")})
}

// said waits until the router has a route of ours with these attributes. FRR shows a MED that was not sent as 0, or not
// at all; BIRD shows a local preference that was not sent as 100.
func (s *station) said(r bgp.Route, right func(a attributes) bool) {
	s.t.Helper()
	nstest.Eventually(s.t, "the router has the attributes of "+r.Prefix.String(), func() (bool, any) {
		var a attributes
		var ok bool
		if s.frr != nil {
			a, ok = inFRR(s.frr, r.Prefix.String(), s.ours)
		} else {
			a, ok = inBIRD(s.bird, r.Prefix.String(), "node")
		}
		return ok && right(a), a
	})
}

func testLocalPref(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{asn: 65001})
	plain, preferred := route("10.9.0.1/32"), route("10.9.0.2/32")
	preferred.LocalPref = bgp.Some(333)
	s.announce(s.peer(own(65001)), plain, preferred)
	s.said(plain, func(a attributes) bool { return a.LocalPref == "100" })
	s.said(preferred, func(a attributes) bool { return a.LocalPref == "333" })
}

func testMED(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	plain, metric := route("10.9.0.1/32"), route("10.9.0.2/32")
	metric.MED = bgp.Some(50)
	s.announce(s.peer(), plain, metric)
	s.said(plain, func(a attributes) bool { return a.MED == "-" || a.MED == "0" && m == routers.FRRouting })
	s.said(metric, func(a attributes) bool { return a.MED == "50" })
}

func testPrepend(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	long := route("10.9.0.1/32")
	long.Prepend = 2
	s.announce(s.peer(), long)
	s.said(long, func(a attributes) bool { return a.Path == "64512 64512 64512" })
}

func testCommunities(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{})
	marked := route("10.9.0.1/32")
	for _, c := range []string{"64500:100", "no-export", "large:64500:1:2"} {
		marked.Communities = append(marked.Communities, community(t, c))
	}
	s.announce(s.peer(), marked)
	s.said(marked, func(a attributes) bool { return a.Communities == "64500:100 large:64500:1:2 no-export" })
}
