package gobgp_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// down waits until a peer has the reason, and is not Established.
func (p *process) down(name, reason string) {
	p.t.Helper()
	nstest.Eventually(p.t, name+" is down for "+reason, func() (bool, any) {
		s := p.status(name)
		return s.State != bgp.Established && contains(s.Reason, reason), s
	})
}

func TestNetnsReasons(t *testing.T) {
	l := newLab(t)
	p := startSpeaker(t, l.node, false)
	wrong := peers()
	wrong[1].PeerASN = 65099 // FRR is 65001
	wrong[2].MyASN = 64999   // BIRD expects 64512
	p.set(wrong, route("10.9.0.1/32"))
	p.up("frr4", "bird6")
	p.down("frr6", "as number mismatch expected 65099, received 65001")
	p.down("bird4", "refused our OPEN")

	if _, err := l.frr.Ask("bgpd", "configure terminal", "router bgp 65001", "neighbor 10.0.1.1 shutdown message back at noon"); err != nil {
		t.Fatal(err)
	}
	p.down("frr4", `administrative shutdown): "back at noon"`)
	if _, err := l.frr.Ask("bgpd", "configure terminal", "router bgp 65001", "no neighbor 10.0.1.1 shutdown"); err != nil {
		t.Fatal(err)
	}
	p.up("frr4")
	if s := p.status("frr4"); s.Flaps != 1 {
		t.Errorf("%+v", s)
	}
	if s := p.status("bird6"); s.Flaps != 0 || s.State != bgp.Established {
		t.Errorf("another peer was touched: %+v", s)
	}

	l.frr.Stop("bgpd")
	p.down("frr4", "the connection broke or the peer closed it")
	p.set(peers(), route("10.9.0.1/32"))
	p.up("bird4")
	l.frr.Start("bgpd")
	took := nstest.Eventually(t, "FRR has the routes back", func() (bool, any) {
		r := l.frr.Routes("ipv4", "10.0.1.1")
		return len(r) == 1, r
	})
	t.Logf("FRR is back; it has the routes after %s", took)
}

func TestNetnsSilentRouterDelaysNobody(t *testing.T) {
	l := newLab(t)
	accepted := make(chan net.Conn, 16)
	var listener net.Listener
	nstest.Do(t, l.r1, func() {
		var err error
		if listener, err = net.Listen("tcp", "10.0.1.2:1179"); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- c // kept open, nothing is said
		}
	}()
	p := startSpeaker(t, l.node, false)
	silent := bgp.Peer{Name: "silent", Address: netip.MustParseAddr("10.0.1.2"), Port: 1179, PeerASN: 65001, MyASN: 64512}
	all := append([]bgp.Peer{silent}, peers()...)
	p.set(all, route("10.9.0.1/32"))
	held := <-accepted
	defer func() { _ = held.Close() }()
	p.up("frr4", "frr6", "bird4", "bird6")
	nstest.Eventually(t, "silent is in OpenSent", func() (bool, any) { s := p.status("silent"); return s.State == bgp.OpenSent, s })
	p.set(all, route("10.9.0.1/32"), route("10.9.0.2/32"))
	t.Logf("the others heard a change after %s", l.hears(t, []string{"10.9.0.1/32", "10.9.0.2/32"}, nil))
	p.tell(command{Do: "close"})
	t.Logf("closing with it: the routes are gone after %s", l.hears(t, nil, nil))
}

func TestNetnsNextHopComesAndGoes(t *testing.T) {
	l := newLab(t)
	p := startSpeaker(t, l.node, false)
	one := peers()[:1]
	p.set(one, route("10.9.0.1/32"), route("2001:db8:9::1/128"))
	p.up("frr4")
	has := func(v6 int) func() (bool, any) {
		return func() (bool, any) {
			a, b := l.frr.Routes("ipv4", "10.0.1.1"), l.frr.Routes("ipv6", "10.0.1.1")
			return len(a) == 1 && len(b) == v6, []any{a, b}
		}
	}
	nstest.Eventually(t, "FRR has both", has(1))
	nstest.Run(t, "ip", "-n", l.node, "addr", "del", "2001:db8:1::1/64", "dev", "eth1")
	nstest.Eventually(t, "FRR has the IPv4 route only", has(0))
	want := bgp.FamilyStatus{Wanted: 1, Withheld: "interface eth1 has no permanent global IPv6 address to be the next hop"}
	if s := p.status("frr4"); s.IPv6 != want || s.State != bgp.Established {
		t.Errorf("%+v", s)
	}
	nstest.Run(t, "ip", "-n", l.node, "addr", "add", "2001:db8:1::7/64", "dev", "eth1")
	nstest.Eventually(t, "FRR has both again", has(1))
	if nh := l.frr.Routes("ipv6", "10.0.1.1")["2001:db8:9::1/128"].NextHop; nh != "2001:db8:1::7" {
		t.Errorf("next hop %s", nh)
	}
	nstest.Eventually(t, "the IPv6 route is counted", func() (bool, any) {
		s := p.status("frr4")
		return s.Flaps == 0 && s.IPv6.Sent == 1, s
	})

	// A peer that there is no route to is tried until there is one.
	one = append(one, bgp.Peer{Name: "far", Address: netip.MustParseAddr("172.31.0.1"), PeerASN: 1, MyASN: 64512})
	p.set(one, route("10.9.0.1/32"))
	p.down("far", "network is unreachable")
	nstest.Run(t, "ip", "-n", l.node, "route", "add", "172.31.0.0/24", "via", "10.0.1.2")
	nstest.Eventually(t, "far is dialled", func() (bool, any) { s := p.status("far"); return s.State == bgp.Connect, s })
}

// FRR over iBGP, BIRD with an ASN of four bytes: each peer sees its own ASN of ours.
func TestNetnsOwnASNPerPeer(t *testing.T) {
	routers.Require(t)
	l := newLab(t)
	if _, err := l.frr.Ask("bgpd", "configure terminal", "router bgp 65001", "neighbor 10.0.1.1 remote-as 65001"); err != nil {
		t.Fatal(err)
	}
	l.bird.Reconfigure(strings.Replace(birdConfig, "10.0.2.1 as 64512", "10.0.2.1 as 4200000001", 1))
	p := startSpeaker(t, l.node, false)
	all := peers()
	all[0].MyASN, all[2].MyASN = 65001, 4200000001
	p.set(all, route("10.9.0.1/32"), route("2001:db8:9::1/128"))
	p.up("frr4", "frr6", "bird4", "bird6")
	for what, c := range map[string]struct {
		routes func() map[string]routers.Route
		want   routers.Route
	}{
		"iBGP":      {func() map[string]routers.Route { return l.frr.Routes("ipv4", "10.0.1.1") }, heard("", "10.0.1.1")},
		"four-byte": {func() map[string]routers.Route { return l.bird.Routes("four") }, heard("4200000001", "10.0.2.1")},
		"ordinary":  {func() map[string]routers.Route { return l.bird.Routes("six") }, heard("64512", "10.0.2.1")},
	} {
		nstest.Eventually(t, what+" has its path", func() (bool, any) { r := c.routes(); return r["10.9.0.1/32"] == c.want, r })
	}
}
