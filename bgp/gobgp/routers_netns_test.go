package gobgp_test

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

const frrConfig = `
frr defaults traditional
router bgp 65001
 bgp router-id 10.0.1.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 10.0.1.1 remote-as 64512
 neighbor 2001:db8:1::1 remote-as 64512
 address-family ipv4 unicast
  neighbor 10.0.1.1 activate
  neighbor 2001:db8:1::1 activate
  network 192.0.2.0/24
 exit-address-family
 address-family ipv6 unicast
  neighbor 10.0.1.1 activate
  neighbor 2001:db8:1::1 activate
 exit-address-family
exit
`

const birdConfig = `
router id 10.0.2.2;
protocol device {}
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
template bgp node {
  local as 65002;
  error wait time 1, 2;
  ipv4 { import all; export all; };
  ipv6 { import all; export all; };
}
protocol bgp four from node { neighbor 10.0.2.1 as 64512; }
protocol bgp six from node { neighbor 2001:db8:2::1 as 64512; }
`

// lab is a node between an FRR and a BIRD router.
type lab struct {
	node, r1, r2 string
	frr          *routers.FRR
	bird         *routers.BIRD
}

func newLab(t testing.TB) *lab {
	t.Helper()
	return newLabWith(t, frrConfig, birdConfig)
}

// newLabWith is newLab with routers of the given configurations.
func newLabWith(t testing.TB, frrConfig, birdConfig string) *lab {
	t.Helper()
	routers.Require(t)
	l := &lab{node: nstest.New(t, "node"), r1: nstest.New(t, "r1"), r2: nstest.New(t, "r2")}
	nstest.Wire(t, l.node, "eth1", []string{"10.0.1.1/24", "2001:db8:1::1/64"}, l.r1, "eth0", []string{"10.0.1.2/24", "2001:db8:1::2/64"})
	nstest.Wire(t, l.node, "eth2", []string{"10.0.2.1/24", "2001:db8:2::1/64"}, l.r2, "eth0", []string{"10.0.2.2/24", "2001:db8:2::2/64"})
	l.frr = routers.StartFRR(t, l.r1, routers.Daemon{Name: "bgpd", Config: frrConfig})
	l.bird = routers.StartBIRD(t, l.r2, birdConfig)
	return l
}

func peers() []bgp.Peer {
	peer := func(name, address string, asn uint32) bgp.Peer {
		return bgp.Peer{Name: name, Address: netip.MustParseAddr(address), PeerASN: asn, MyASN: 64512}
	}
	return []bgp.Peer{
		peer("frr4", "10.0.1.2", 65001), peer("frr6", "2001:db8:1::2", 65001),
		peer("bird4", "10.0.2.2", 65002), peer("bird6", "2001:db8:2::2", 65002),
	}
}

// hears waits until all four sessions brought exactly these routes.
func (l *lab) hears(t *testing.T, v4, v6 []string) time.Duration {
	t.Helper()
	want := func(prefixes []string, nextHop string) map[string]routers.Route {
		all := map[string]routers.Route{}
		for _, p := range prefixes {
			all[p] = heard("64512", nextHop)
		}
		return all
	}
	merge := func(a, b map[string]routers.Route) map[string]routers.Route {
		for k, v := range b {
			a[k] = v
		}
		return a
	}
	frr4, frr6 := want(v4, "10.0.1.1"), want(v6, "2001:db8:1::1")
	bird := merge(want(v4, "10.0.2.1"), want(v6, "2001:db8:2::1"))
	return nstest.Eventually(t, "the routers have heard everything", func() (bool, any) {
		seen := []map[string]routers.Route{
			l.frr.Routes("ipv4", "10.0.1.1"), l.frr.Routes("ipv6", "10.0.1.1"),
			l.frr.Routes("ipv4", "2001:db8:1::1"), l.frr.Routes("ipv6", "2001:db8:1::1"),
			l.bird.Routes("four"), l.bird.Routes("six"),
		}
		return reflect.DeepEqual(seen, []map[string]routers.Route{frr4, frr6, frr4, frr6, bird, bird}), seen
	})
}

func TestNetnsRoutersHearRoutes(t *testing.T) {
	l := newLab(t)
	p := startSpeaker(t, l.node, false)
	p.set(peers(), route("10.9.0.1/32"), route("2001:db8:9::1/128"))
	p.up("frr4", "frr6", "bird4", "bird6")
	t.Logf("sessions up, routes heard after %s", l.hears(t, []string{"10.9.0.1/32"}, []string{"2001:db8:9::1/128"}))
	for _, s := range p.tell(command{Do: "status"}).Status {
		s.IPv4.Received, s.IPv6.Received = 0, 0 // FRR sends one, BIRD ours back
		if one := (bgp.FamilyStatus{Wanted: 1, Sent: 1}); s.IPv4 != one || s.IPv6 != one || s.Flaps != 0 {
			t.Errorf("%+v", s)
		}
	}

	p.set(peers(), route("10.9.0.1/32"), route("10.9.0.2/32"), route("2001:db8:9::2/128"))
	t.Logf("changed after %s", l.hears(t, []string{"10.9.0.1/32", "10.9.0.2/32"}, []string{"2001:db8:9::2/128"}))

	before4, before6 := l.frr.Neighbour("10.0.1.1"), l.frr.Neighbour("2001:db8:1::1")
	for range 5 {
		p.set(peers(), route("10.9.0.2/32"), route("10.9.0.1/32"), route("2001:db8:9::2/128"))
	}
	// A later change is a fence: what was sent before it has arrived.
	p.set(peers(), route("10.9.0.2/32"), route("10.9.0.1/32"), route("2001:db8:9::2/128"), route("10.9.0.3/32"))
	l.hears(t, []string{"10.9.0.1/32", "10.9.0.2/32", "10.9.0.3/32"}, []string{"2001:db8:9::2/128"})
	if n := l.frr.Neighbour("10.0.1.1").MessageStats.UpdatesRecv - before4.MessageStats.UpdatesRecv; n != 1 {
		t.Errorf("FRR got %d updates over IPv4, want the new route's only", n)
	}
	if n := l.frr.Neighbour("2001:db8:1::1").MessageStats.UpdatesRecv - before6.MessageStats.UpdatesRecv; n != 1 {
		t.Errorf("FRR got %d updates over IPv6, want the new route's only", n)
	}

	p.set(peers())
	t.Logf("withdrawn after %s", l.hears(t, nil, nil))
}

func TestNetnsRoutesForSomePeers(t *testing.T) {
	l := newLab(t)
	p := startSpeaker(t, l.node, false)
	p.set(peers(), route("10.9.0.1/32", "frr4"), route("10.9.0.2/32", "bird6"))
	p.up("frr4", "frr6", "bird4", "bird6")
	nstest.Eventually(t, "each router has its own route", func() (bool, any) {
		seen := []map[string]routers.Route{l.frr.Routes("ipv4", "10.0.1.1"), l.bird.Routes("six"), l.frr.Routes("ipv4", "2001:db8:1::1"), l.bird.Routes("four")}
		return reflect.DeepEqual(seen, []map[string]routers.Route{{"10.9.0.1/32": heard("64512", "10.0.1.1")}, {"10.9.0.2/32": heard("64512", "10.0.2.1")}, {}, {}}), seen
	})
	if _, passedOn := l.bird.Routes("four")["192.0.2.0/24"]; passedOn {
		t.Error("FRR's route was passed on to BIRD")
	}
}

func TestNetnsChangedPeerTouchesNoOther(t *testing.T) {
	l := newLab(t)
	p := startSpeaker(t, l.node, false)
	p.set(peers(), route("10.9.0.1/32"))
	p.up("frr4", "frr6", "bird4", "bird6")
	l.hears(t, []string{"10.9.0.1/32"}, nil)

	changed := peers()
	changed[2].RouterID = netip.MustParseAddr("192.0.2.77")
	changed[1].HoldTime = 9 * time.Second // of the next session
	p.set(changed, route("10.9.0.1/32"))
	nstest.Eventually(t, "BIRD has the new router ID", func() (bool, any) {
		out := l.bird.Ask("show", "protocols", "all", "four")
		return contains(out, "Neighbor ID:      192.0.2.77"), out
	})
	p.up("bird4")
	l.hears(t, []string{"10.9.0.1/32"}, nil)
	p.set(changed[:3], route("10.9.0.1/32"))
	nstest.Eventually(t, "the removed peer's session is gone", func() (bool, any) { r := l.bird.Routes("six"); return len(r) == 0, r })
	for _, name := range []string{"frr4", "frr6"} {
		if s := p.status(name); s.Flaps != 0 || s.State != bgp.Established {
			t.Errorf("%+v", s)
		}
	}
	if after := l.frr.Neighbour("10.0.1.1"); after.ConnectionsEstablished != 1 {
		t.Errorf("FRR's session was touched: %+v", after)
	}
	if after := l.frr.Neighbour("2001:db8:1::1"); after.ConnectionsEstablished != 1 {
		t.Errorf("FRR's session was touched: %+v", after)
	}
}
