package gobgp_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// Routers with an eBGP session over IPv4 and an iBGP session over IPv6.
const frrAttributes = `
frr defaults traditional
router bgp 65001
 bgp router-id 10.0.1.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor 10.0.1.1 remote-as 64512
 neighbor 2001:db8:1::1 remote-as 65001
 address-family ipv4 unicast
  neighbor 10.0.1.1 activate
  neighbor 2001:db8:1::1 activate
 exit-address-family
exit
`

const birdAttributes = `
router id 10.0.2.2;
protocol device {}
protocol direct { ipv4; }
template bgp node {
  local as 65002;
  error wait time 1, 2;
  ipv4 { import all; export none; extended next hop yes; };
}
protocol bgp outer from node { neighbor 10.0.2.1 as 64512; }
protocol bgp inner from node { neighbor 2001:db8:2::1 as 65002; }
`

// attributes are a route's as a router has them; numbers that did not come are "-".
type attributes struct{ Path, LocalPref, MED, Communities string }

// inFRR are the attributes of one neighbour's route in FRR; ok is false where there is none.
func inFRR(f *routers.FRR, prefix, peer string) (a attributes, ok bool) {
	type words struct{ String string }
	var route struct {
		Paths []struct {
			Aspath         words
			LocPrf, Metric *json.Number
			Community      words
			LargeCommunity words
			Peer           struct{ PeerID string }
			Valid          bool
		}
	}
	f.JSON("bgpd", &route, "show bgp ipv4 unicast "+prefix+" json")
	for _, p := range route.Paths {
		if p.Peer.PeerID != peer || !p.Valid {
			continue
		}
		number := func(n *json.Number) string {
			if n == nil {
				return "-"
			}
			return n.String()
		}
		path := p.Aspath.String
		if path == "Local" {
			path = ""
		}
		all := strings.Fields(p.Community.String)
		for _, l := range strings.Fields(p.LargeCommunity.String) {
			all = append(all, "large:"+l)
		}
		sort.Strings(all)
		return attributes{path, number(p.LocPrf), number(p.Metric), strings.Join(all, " ")}, true
	}
	return attributes{}, false
}

// inBIRD are the attributes of one protocol's route in BIRD; ok is false where there is none.
func inBIRD(b *routers.BIRD, prefix, protocol string) (a attributes, ok bool) {
	a = attributes{LocalPref: "-", MED: "-"}
	var all []string
	mine := false
	for line := range strings.Lines(b.Ask("show", "route", prefix, "all")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.Contains(line, " unicast ["), strings.Contains(line, " unreachable ["):
			mine = strings.Contains(line, "["+protocol+" ")
			ok = ok || mine
		case !mine:
		case name == "BGP.as_path":
			a.Path = value
		case name == "BGP.local_pref":
			a.LocalPref = value
		case name == "BGP.med":
			a.MED = value
		case name == "BGP.community", name == "BGP.large_community":
			for c := range strings.SplitSeq(strings.ReplaceAll(value, ", ", ","), " ") {
				c = strings.ReplaceAll(strings.Trim(c, "()"), ",", ":")
				if parsed, err := bgp.ParseCommunity(c); err == nil {
					c = parsed.String()
				}
				if name == "BGP.large_community" {
					c = "large:" + c
				}
				all = append(all, c)
			}
		}
	}
	sort.Strings(all)
	a.Communities = strings.Join(all, " ")
	return a, ok
}

func community(t *testing.T, text string) bgp.Community {
	t.Helper()
	c, err := bgp.ParseCommunity(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNetnsAttributes(t *testing.T) {
	l := newLabWith(t, frrAttributes, birdAttributes)
	p := startSpeaker(t, l.node, false)
	neighbours := peers()
	neighbours[1].MyASN, neighbours[3].MyASN = 65001, 65002 // IPv6 sessions are iBGP
	var all []bgp.Community
	for _, text := range []string{"64500:100", "no-export", "large:64500:1:2", "large:4294967295:0:4294967295"} {
		all = append(all, community(t, text))
	}
	const said = "64500:100 large:4294967295:0:4294967295 large:64500:1:2 no-export"
	r := func(prefix string, change func(*bgp.Route)) bgp.Route {
		x := route(prefix)
		change(&x)
		return x
	}
	routes := []bgp.Route{
		r("10.9.0.1/32", func(*bgp.Route) {}),
		r("10.9.0.2/32", func(x *bgp.Route) { x.LocalPref = bgp.Some(333) }),
		r("10.9.0.3/32", func(x *bgp.Route) { x.LocalPref, x.MED = bgp.Some(0), bgp.Some(0) }),
		r("10.9.0.4/32", func(x *bgp.Route) { x.MED = bgp.Some(4294967295) }),
		r("10.9.0.5/32", func(x *bgp.Route) { x.Prepend = 3 }),
		r("10.9.0.6/32", func(x *bgp.Route) { x.Communities = all }),
		r("10.9.7.0/24", func(x *bgp.Route) {
			x.LocalPref, x.MED, x.Prepend, x.Communities = bgp.Some(7), bgp.Some(8), 1, all[1:2]
		}),
		r("10.9.0.8/32", func(x *bgp.Route) { x.Prepend = 64 }),
	}
	// What is not sent FRR takes to be MED 0 and shows no local preference, and BIRD takes 100 as the latter.
	external := map[string]attributes{
		"10.9.0.1/32": {"64512", "-", "-", ""}, "10.9.0.2/32": {"64512", "-", "-", ""}, "10.9.0.3/32": {"64512", "-", "0", ""},
		"10.9.0.4/32": {"64512", "-", "4294967295", ""}, "10.9.0.5/32": {"64512 64512 64512 64512", "-", "-", ""},
		"10.9.0.6/32": {"64512", "-", "-", said}, "10.9.7.0/24": {"64512 64512", "-", "8", "no-export"},
		"10.9.0.8/32": {strings.TrimSpace(strings.Repeat("64512 ", 65)), "-", "-", ""},
	}
	internal := map[string]attributes{
		"10.9.0.1/32": {"", "100", "-", ""}, "10.9.0.2/32": {"", "333", "-", ""}, "10.9.0.3/32": {"", "0", "0", ""},
		"10.9.0.4/32": {"", "100", "4294967295", ""}, "10.9.0.5/32": {"", "100", "-", ""},
		"10.9.0.6/32": {"", "100", "-", said}, "10.9.7.0/24": {"", "7", "8", "no-export"},
		"10.9.0.8/32": {"", "100", "-", ""},
	}
	p.set(neighbours, routes...)
	p.up("frr4", "frr6", "bird4", "bird6")
	check := func() {
		t.Helper()
		for prefix := range external {
			for _, c := range []struct {
				router string
				see    func() (attributes, bool)
				want   attributes
			}{
				{"FRR, eBGP", func() (attributes, bool) { return inFRR(l.frr, prefix, "10.0.1.1") }, external[prefix]},
				{"FRR, iBGP", func() (attributes, bool) { return inFRR(l.frr, prefix, "2001:db8:1::1") }, internal[prefix]},
				{"BIRD, eBGP", func() (attributes, bool) { return inBIRD(l.bird, prefix, "outer") }, external[prefix]},
				{"BIRD, iBGP", func() (attributes, bool) { return inBIRD(l.bird, prefix, "inner") }, internal[prefix]},
			} {
				if c.router == "BIRD, eBGP" {
					c.want.LocalPref = "100"
				}
				nstest.Eventually(t, fmt.Sprintf("%s has %s with %+v", c.router, prefix, c.want), func() (bool, any) {
					got, ok := c.see()
					if strings.HasPrefix(c.router, "FRR") && c.want.MED == "-" && got.MED == "0" {
						got.MED = "-"
					}
					return ok && reflect.DeepEqual(got, c.want), got
				})
			}
		}
	}
	check()

	// One changed attribute is one UPDATE to each peer.
	before4, before6 := l.frr.Neighbour("10.0.1.1"), l.frr.Neighbour("2001:db8:1::1")
	routes[0].MED = bgp.Some(5)
	external["10.9.0.1/32"] = attributes{"64512", "-", "5", ""}
	internal["10.9.0.1/32"] = attributes{"", "100", "5", ""}
	p.set(neighbours, routes...)
	routes = slices.Clone(routes)
	slices.Reverse(routes)
	p.set(neighbours, routes...)
	check()
	// LOCAL_PREF and Prepend are each for one kind of session, and no news to the other.
	for i := range routes {
		switch routes[i].Prefix.String() {
		case "10.9.0.2/32":
			routes[i].LocalPref = bgp.Some(444)
		case "10.9.0.5/32":
			routes[i].Prepend = 1
		}
	}
	internal["10.9.0.2/32"] = attributes{"", "444", "-", ""}
	external["10.9.0.5/32"] = attributes{"64512 64512", "-", "-", ""}
	p.set(neighbours, routes...)
	check()
	for address, before := range map[string]routers.Neighbour{"10.0.1.1": before4, "2001:db8:1::1": before6} {
		if n := l.frr.Neighbour(address).MessageStats.UpdatesRecv - before.MessageStats.UpdatesRecv; n != 2 {
			t.Errorf("FRR got %d updates over %s, want 2", n, address)
		}
	}
	for _, s := range p.tell(command{Do: "status"}).Status {
		if s.Flaps != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// Each peer has its own attributes of one prefix.
func TestNetnsAttributesPerPeer(t *testing.T) {
	l := newLabWith(t, frrAttributes, birdAttributes)
	p := startSpeaker(t, l.node, false)
	neighbours := peers()
	neighbours[1].MyASN, neighbours[3].MyASN = 65001, 65002
	var routes []bgp.Route
	for i, name := range []string{"frr4", "frr6", "bird4", "bird6"} {
		r := route("10.9.0.1/32", name)
		r.MED = bgp.Some(uint32(i + 1))
		routes = append(routes, r)
	}
	p.set(neighbours, routes...)
	p.up("frr4", "frr6", "bird4", "bird6")
	nstest.Eventually(t, "each session has its own MED", func() (bool, any) {
		var seen []string
		for _, see := range []func() (attributes, bool){
			func() (attributes, bool) { return inFRR(l.frr, "10.9.0.1/32", "10.0.1.1") },
			func() (attributes, bool) { return inFRR(l.frr, "10.9.0.1/32", "2001:db8:1::1") },
			func() (attributes, bool) { return inBIRD(l.bird, "10.9.0.1/32", "outer") },
			func() (attributes, bool) { return inBIRD(l.bird, "10.9.0.1/32", "inner") },
		} {
			a, _ := see()
			seen = append(seen, a.MED)
		}
		return slices.Equal(seen, []string{"1", "2", "3", "4"}), seen
	})
}

// An aggregate that becomes a host route, and the reverse, leaves no moment without a route in the router's kernel.
func TestNetnsAggregateChangesWithoutAGap(t *testing.T) {
	l := newLab(t)
	p := startSpeaker(t, l.node, false)
	neighbours := peers()[2:3]
	aggregate, host := route("10.9.0.0/24"), route("10.9.0.1/32")
	has := func(prefix string) {
		t.Helper()
		nstest.Eventually(t, prefix+" alone is in the kernel", func() (bool, any) {
			all := nstest.Run(t, "ip", "-n", l.r2, "route")
			return contains(all, prefix+" ") && strings.Count(all, "10.9.0.") == 1, all
		})
	}
	p.set(neighbours, aggregate)
	p.up("bird4")
	has("10.9.0.0/24")
	events := nstest.ListenForRoutes(t, l.r2, "eth0")
	p.set(neighbours, host)
	has("10.9.0.1")
	p.set(neighbours, aggregate)
	has("10.9.0.0/24")
	var seen []string
	nstest.Eventually(t, "the monitor has told all", func() (bool, any) {
		seen = nil
		for _, e := range events.Of("10.9.0.0/24", "10.9.0.1") {
			what := e.Prefix
			if e.Deleted {
				what = "-" + what
			}
			seen = append(seen, what)
		}
		return len(seen) == 4, seen
	})
	if want := []string{"10.9.0.1", "-10.9.0.0/24", "10.9.0.0/24", "-10.9.0.1"}; !slices.Equal(seen, want) {
		t.Errorf("the kernel's routes went %v, want %v", seen, want)
	}
}
