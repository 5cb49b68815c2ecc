package bgp

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func peer(name, address string) Peer {
	return Peer{Name: name, Address: netip.MustParseAddr(address), PeerASN: 65001, MyASN: 64512}
}

func route(prefix string, peers ...string) Route {
	return Route{Prefix: netip.MustParsePrefix(prefix), Peers: peers}
}

func prefixes(routes []Route) (all []string) {
	for _, r := range routes {
		all = append(all, r.Prefix.String())
	}
	return all
}

func TestPeerValidate(t *testing.T) {
	if err := peer("a", "10.0.0.1").Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change func(*Peer)
		want   string
	}{
		{func(p *Peer) { p.Address = netip.Addr{} }, "address: missing"},
		{func(p *Peer) { p.Address = netip.MustParseAddr("fe80::1%eth0") }, "unicast address"},
		{func(p *Peer) { p.Address = netip.MustParseAddr("::ffff:10.0.0.1") }, "unicast address"},
		{func(p *Peer) { p.Address = netip.MustParseAddr("ff02::1") }, "unicast address"},
		{func(p *Peer) { p.PeerASN, p.MyASN = 0, 0 }, "my ASN 0"},
		{func(p *Peer) { p.RouterID = netip.MustParseAddr("2001:db8::1") }, "router ID"},
		{func(p *Peer) { p.HoldTime = 2 * time.Second }, "hold time 2s"},
		{func(p *Peer) { p.HoldTime = 3500 * time.Millisecond }, "hold time 3.5s"},
		{func(p *Peer) { p.HoldTime, p.KeepaliveTime = 9*time.Second, 10*time.Second }, "keepalive time 10s"},
		{func(p *Peer) { p.ConnectTime = time.Millisecond }, "connect time"},
		{func(p *Peer) { p.RestartTime = 2 * time.Hour }, "restart time"},
	} {
		p := peer("a", "10.0.0.1")
		c.change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want something of %q", p, err, c.want)
		}
	}
}

func TestPeerTitle(t *testing.T) {
	p := peer("", "2001:db8::1")
	if got := p.Title(); got != "2001:db8::1" {
		t.Error(got)
	}
	p.Port = 1179
	if got := p.WithDefaults().Name; got != "[2001:db8::1]:1179" {
		t.Error(got)
	}
}

func TestDefaults(t *testing.T) {
	p := peer("a", "10.0.0.1").WithDefaults()
	if p.Port != 179 || p.HoldTime != 30*time.Second || p.KeepaliveTime != 10*time.Second || p.ConnectTime != time.Second {
		t.Errorf("%+v", p)
	}
	p.HoldTime, p.KeepaliveTime = 5*time.Second, 0
	if k := p.WithDefaults().KeepaliveTime; k != time.Second {
		t.Error(k)
	}
}

// TestDiff compares with the obvious way, by maps.
func TestDiff(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func() (routes []Route) {
		for range random.IntN(12) {
			bits := random.IntN(3) + 30
			p, _ := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(16))}).Prefix(bits)
			routes = append(routes, Route{Prefix: p, MED: Optional{uint32(random.IntN(2)), random.IntN(3) == 0}})
		}
		routes, _ = unique(routes)
		return routes
	}
	for range 2000 {
		have, want := some(), some()
		announce, withdraw := diff(have, want)
		got := map[netip.Prefix]Optional{}
		for _, r := range have {
			got[r.Prefix] = r.MED
		}
		for _, p := range withdraw {
			if _, there := got[p]; !there {
				t.Fatalf("%v -> %v: withdraws %s, which is not there", have, want, p)
			}
			delete(got, p)
		}
		for _, r := range announce {
			if med, there := got[r.Prefix]; there && med == r.MED {
				t.Fatalf("%v -> %v: announces %s, which is there", have, want, r.Prefix)
			}
			got[r.Prefix] = r.MED
		}
		differs := func(r Route) bool { med, there := got[r.Prefix]; return !there || med != r.MED }
		if len(got) != len(want) || slices.ContainsFunc(want, differs) {
			t.Fatalf("%v -> %v: got %v", have, want, got)
		}
	}
}

func TestPlanRoutes(t *testing.T) {
	peers := []Peer{peer("a", "10.0.0.1"), peer("b", "10.0.0.2")}
	all, err := plan(nil, peers, []Route{
		route("10.9.0.2/32"), route("2001:db8::9/128"), route("10.9.0.1/32", "b"), route("10.9.0.2/32", "b"),
		route("10.9.1.7/24", "a"), route("10.9.0.2/32"), {Prefix: netip.MustParsePrefix("10.9.0.3/32"), Peers: []string{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"10.9.0.2/32", "10.9.1.0/24", "2001:db8::9/128"},
		{"10.9.0.1/32", "10.9.0.2/32", "2001:db8::9/128"},
	}
	for i, p := range all {
		if got := prefixes(p.routes); !reflect.DeepEqual(got, want[i]) {
			t.Errorf("%s gets %v, want %v", p.peer.Name, got, want[i])
		}
	}
	if all[0].v4 != 2 || all[0].v6 != 1 {
		t.Errorf("counted %d and %d", all[0].v4, all[0].v6)
	}
}

func TestPlanNamesMistakesAndGoesOn(t *testing.T) {
	bad := peer("bad", "10.0.0.3")
	bad.PeerASN = 0
	twin := peer("twin", "10.0.0.1")
	all, err := plan(nil, []Peer{peer("a", "10.0.0.1"), bad, twin, peer("a", "10.0.0.4")},
		[]Route{route("10.9.0.1/32", "a", "bad", "nobody"), {}})
	if len(all) != 1 || len(all[0].routes) != 1 {
		t.Fatalf("planned %+v", all)
	}
	for _, want := range []string{
		"peer bad: peer ASN 0", "peer twin: peer a is the same session", "peer a: another peer has this name",
		`route 10.9.0.1/32: no peer has the name "nobody"`, "route: prefix",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("one mistake is reported twice:\n%v", err)
	}
}

func TestPlanKeepsAPeerWhoseNewFormIsWrong(t *testing.T) {
	running := []Peer{peer("a", "10.0.0.1").WithDefaults()}
	spoilt := running[0]
	spoilt.HoldTime = time.Second
	all, err := plan(running, []Peer{spoilt}, []Route{route("10.9.0.1/32", "a")})
	if err == nil || len(all) != 1 || all[0].running != 0 || all[0].peer != running[0] || len(all[0].routes) != 1 {
		t.Errorf("planned %+v, %v", all, err)
	}
}

func TestMatchPeers(t *testing.T) {
	defaults := func(peers ...Peer) (all []Peer) {
		for _, p := range peers {
			all = append(all, p.WithDefaults())
		}
		return all
	}
	other := peer("c", "10.0.0.3")
	other.PeerASN = 65009
	running := defaults(peer("a", "10.0.0.1"), peer("b", "10.0.0.2"), peer("c", "10.0.0.3"))
	for _, c := range []struct {
		name   string
		wanted []Peer
		want   []int
	}{
		{"unchanged", running, []int{0, 1, 2}},
		{"another order", defaults(peer("c", "10.0.0.3"), peer("a", "10.0.0.1")), []int{2, 0}},
		{"names swapped", defaults(peer("b", "10.0.0.1"), peer("a", "10.0.0.2")), []int{0, 1}},
		{"another ASN", defaults(other), []int{2}},
		{"moved", defaults(peer("a", "10.0.0.9")), []int{0}},
		{"renamed and new", defaults(peer("x", "10.0.0.2"), peer("y", "10.0.0.7")), []int{1, -1}},
	} {
		if got := matchPeers(running, c.wanted); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSupervisor(t *testing.T) {
	now := time.Unix(1000, 0)
	var v supervisor
	v.dial(now)
	wait := func(was State, up time.Duration, how loss) time.Duration {
		now = now.Add(up)
		v.failed(now, was, now.Add(-up), how)
		w := v.next.Sub(now)
		now = v.next
		v.dial(now)
		return w
	}
	if w := wait(Established, time.Hour, broken); w != 0 {
		t.Errorf("after an hour of Established: %s, want at once", w)
	}
	if w := wait(Established, time.Hour, broken); w != 0 {
		t.Errorf("again: %s, want at once", w)
	}
	for i, most := range []time.Duration{1, 2, 4, 8, 10, 10} {
		most *= time.Second
		least := max(most*3/4, time.Second)
		if w := wait(OpenSent, 0, broken); w < least || w > most {
			t.Errorf("failure %d: %s, want %s to %s", i, w, least, most)
		}
	}
	for range 8 {
		wait(Established, time.Second, ceased)
	}
	if w := wait(Established, time.Second, ceased); w < 90*time.Second || w > 120*time.Second {
		t.Errorf("after many Ceases: %s, want up to 120s", w)
	}
	if w := wait(OpenConfirm, 0, broken); w > 10*time.Second {
		t.Errorf("after one failed OPEN: %s, want up to 10s", w)
	}
	if w := wait(Established, 61*time.Second, ceased); w != 0 {
		t.Errorf("after a minute of Established: %s, want at once", w)
	}
	v.forget()
	v.dial(now)
	if w := wait(OpenSent, time.Millisecond, broken); w != 999*time.Millisecond {
		t.Errorf("at first: %s, want a second after the dial", w)
	}
}
