package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/bfd"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// station is a node with a speaker and a router, with a switch and a gateway between them.
type station struct {
	t                    *testing.T
	maker                routers.Maker
	node, middle, router string
	folder               string
	generation           int // of the speaker
	frr                  *routers.FRR
	bird                 *routers.BIRD
	*running
}

// newStation starts everything but the speaker.
func newStation(t *testing.T, m routers.Maker) *station {
	t.Helper()
	routers.Require(t)
	routers.Needs(t, "bridge")
	n := strings.ToLower(string(m))
	s := &station{t: t, maker: m, node: nstest.New(t, "sn"+n), middle: nstest.New(t, "sm"+n), router: nstest.New(t, "sr"+n), folder: t.TempDir()}
	addresses := func(link string, hosts ...string) (all []string) {
		for _, h := range hosts {
			all = append(all, "10.0."+link+"."+h+"/24", "2001:db8:"+link+"::"+h+"/64")
		}
		return all
	}
	nstest.Wire(t, s.node, "eth1", addresses("1", "1", "11"), s.middle, "near", nil)
	nstest.Wire(t, s.middle, "far", nil, s.router, "eth0", addresses("1", "2", "12"))
	nstest.Run(t, "ip", "-n", s.middle, "link", "add", "br0", "type", "bridge")
	for _, dev := range []string{"near", "far"} {
		nstest.Run(t, "ip", "-n", s.middle, "link", "set", dev, "master", "br0")
	}
	nstest.Run(t, "ip", "-n", s.middle, "link", "set", "br0", "up")
	nstest.Wire(t, s.node, "eth2", addresses("2", "1", "11"), s.middle, "gateway", addresses("2", "9"))
	nstest.Wire(t, s.middle, "eth1", addresses("3", "9"), s.router, "eth1", addresses("3", "2", "12"))
	nstest.Forward(t, s.middle)
	nstest.Run(t, "ip", "netns", "exec", s.middle, "sysctl", "-qw", "net.ipv6.conf.all.keep_addr_on_down=1") // the gateway's, for when its link is back
	for _, way := range [][3]string{{s.node, "3", "2"}, {s.router, "2", "3"}} {
		nstest.Run(t, "ip", "-n", way[0], "route", "add", "10.0."+way[1]+".0/24", "via", "10.0."+way[2]+".9")
		nstest.Run(t, "ip", "-n", way[0], "route", "add", "2001:db8:"+way[1]+"::/64", "via", "2001:db8:"+way[2]+"::9")
	}
	if m == routers.FRRouting {
		s.frr = routers.StartFRR(t, s.router, routers.Daemon{Name: "bfdd"}, routers.Daemon{Name: "bgpd", Config: frrConfig()})
	} else {
		s.bird = routers.StartBIRD(t, s.router, birdConfig())
	}
	return s
}

// start runs a speaker of the next generation, and has it announce everything on all sessions.
func (s *station) start(mode string, b bgp.BFD) {
	s.t.Helper()
	s.generation++
	s.running = startSpeaker(s.t, s.node, s.folder, mode)
	s.set(b)
}

// set gives the speaker its peers and routes.
func (s *station) set(b bgp.BFD) {
	s.t.Helper()
	o := order{Do: "set"}
	for _, x := range sessions {
		o.Peers = append(o.Peers, x.peer(s.maker, b))
		for _, prefix := range slices.Concat(x.prefixes(0), x.prefixes(s.generation)) {
			a := netip.MustParseAddr(prefix)
			o.Routes = append(o.Routes, bgp.Route{Prefix: netip.PrefixFrom(a, a.BitLen()), Peers: []string{x.name}})
		}
	}
	if r := s.tell(o); r.Error != "" {
		s.t.Fatal(r.Error)
	}
}

// look is a session at both ends.
type look struct {
	Name   string
	Ours   bgp.PeerStatus
	BFD    bfd.Status // ours
	Theirs routers.BFD
}

func (s *station) look() []look {
	s.t.Helper()
	r := s.tell(order{Do: "status"})
	var all []look
	for i, x := range sessions {
		l := look{Name: x.name, Ours: r.BGP[i], BFD: r.BFD[x.name]}
		if s.frr != nil {
			l.Theirs = s.frr.BFD(x.ours)
		} else {
			l.Theirs = s.bird.BFD(x.ours)
		}
		all = append(all, l)
	}
	return all
}

// up waits until all sessions are Established, BFD is Up at both ends with these timers of the node, and the router's
// kernel has all routes.
func (s *station) up(interval time.Duration, multiplier int) {
	s.t.Helper()
	var last []string // that were missing
	took := nstest.Eventually(s.t, "everything is up", func() (bool, any) {
		all := s.look()
		bad := slices.DeleteFunc(slices.Clone(all), func(l look) bool {
			return l.Ours.State == bgp.Established && l.Ours.Liveness.State == bgp.LivenessUp && l.BFD.State == bfd.Up && l.BFD.Negotiated &&
				l.BFD.Transmit == interval && l.Theirs.Up && l.Theirs.Interval == interval && l.Theirs.Timeout == time.Duration(multiplier)*interval
		})
		if len(bad) > 0 {
			last = nil
		}
		for _, l := range bad {
			last = append(last, fmt.Sprintf("%s: BGP %v, BFD %v, %v at the router", l.Name, l.Ours.State, l.BFD.State, l.Theirs.Up))
		}
		return len(bad) == 0, bad
	})
	all := took + s.has()
	s.t.Logf("sessions are up after %s, routes are there after %s; last: %v", took.Round(time.Millisecond), all.Round(time.Millisecond), last)
}

// has waits until the router's kernel has all routes, and none any more of the speaker before: it has heard this one to
// the end then.
func (s *station) has() time.Duration {
	s.t.Helper()
	return nstest.Eventually(s.t, "the router's kernel has what it should", func() (bool, any) {
		table := s.table()
		var wrong []string
		for _, p := range slices.Concat(prefixes(0), prefixes(s.generation)) {
			if !strings.Contains(table, "\n"+p+" ") {
				wrong = append(wrong, p+" is missing")
			}
		}
		for _, p := range prefixes(s.generation - 1) {
			if s.generation > 1 && strings.Contains(table, "\n"+p+" ") {
				wrong = append(wrong, p+" is left")
			}
		}
		return len(wrong) == 0, wrong
	})
}

// table is all of the router's routes.
func (s *station) table() string {
	s.t.Helper()
	return "\n" + nstest.Run(s.t, "ip", "-4", "-n", s.router, "route") + nstest.Run(s.t, "ip", "-6", "-n", s.router, "route")
}

// steady fails if any end falls within three detection times, or has since the speaker was started, or if the router
// has had more BGP sessions than this.
func (s *station) steady(established int) {
	s.t.Helper()
	<-time.After(3 * multiplier * normal)
	for i, l := range s.look() {
		if l.Ours.Flaps != 0 || l.BFD.Downs != 0 || l.BFD.Ups > 1 || l.Theirs.Falls != 0 {
			s.t.Errorf("%s has fallen: %+v", l.Name, l)
		}
		if n := s.established(sessions[i]); n != established {
			s.t.Errorf("%s: the router has seen %d BGP sessions, want %d", l.Name, n, established)
		}
	}
}

// established is how many BGP sessions the router has had with the node.
func (s *station) established(x session) int {
	s.t.Helper()
	if s.frr != nil {
		return s.frr.Neighbour(x.ours).ConnectionsEstablished
	}
	return strings.Count(s.bird.Log(), x.name+": BGP session established")
}

// untouched fails if the kernel has told of any of the routes that every speaker announces, or of none of those that
// only this one does, if there was another before.
func (s *station) untouched(events *nstest.RouteEvents) {
	s.t.Helper()
	for _, p := range prefixes(s.generation) {
		if s.generation > 1 && len(events.Of(p)) == 0 {
			s.t.Errorf("the router's kernel told nothing of %s, which is new", p)
		}
	}
	for _, p := range prefixes(0) {
		if all := events.Of(p); len(all) > 0 {
			s.t.Errorf("the router's kernel lost or changed %s: %+v", p, all)
		}
	}
}
