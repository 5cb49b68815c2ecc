package bgp

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func attributed(prefix string, change func(*Route), peers ...string) Route {
	r := route(prefix, peers...)
	change(&r)
	return r
}

func TestMerge(t *testing.T) {
	a := attributed("10.9.0.1/32", func(r *Route) {
		r.LocalPref, r.Prepend, r.Communities = Some(200), 1, []Community{StandardCommunity(9), StandardCommunity(7)}
	})
	b := attributed("10.9.0.1/32", func(r *Route) {
		r.MED, r.Prepend, r.Communities = Some(0), 3, []Community{StandardCommunity(7), LargeCommunity(1, 2, 3)}
	})
	want := attributed("10.9.0.1/32", func(r *Route) {
		r.LocalPref, r.MED, r.Prepend = Some(200), Some(0), 3
		r.Communities = []Community{StandardCommunity(7), StandardCommunity(9), LargeCommunity(1, 2, 3)}
	})
	for _, pair := range [][2]Route{{a, b}, {b, a}, {want, a}, {b, want}, {want, want}} {
		if got, err := pair[0].Merge(pair[1]); err != nil || !got.Same(want) {
			t.Errorf("%+v and %+v become %+v, %v", pair[0], pair[1], got, err)
		}
	}
	if !slices.Equal(a.Communities, []Community{StandardCommunity(9), StandardCommunity(7)}) {
		t.Errorf("a merge has changed what was merged: %v", a.Communities)
	}
	b.LocalPref = Some(100)
	got, err := a.Merge(b)
	if !errors.Is(err, ErrClash) || got.LocalPref != Some(200) || got.MED != Some(0) || got.Prepend != 3 {
		t.Errorf("a clash becomes %+v, %v", got, err)
	}
	a.LocalPref, b.LocalPref, a.MED = Optional{}, Optional{}, Some(5)
	if _, err := b.Merge(a); !errors.Is(err, ErrClash) || !strings.Contains(err.Error(), "MED 0 and 5") {
		t.Errorf("two MEDs: %v", err)
	}
}

// A peer gets each prefix once, with what all of its routes say.
func TestPlanMergesRoutes(t *testing.T) {
	peers := []Peer{peer("a", "10.0.0.1"), peer("b", "10.0.0.2")}
	all, err := plan(nil, peers, []Route{
		attributed("10.9.0.1/32", func(r *Route) { r.Prepend = 1 }),
		attributed("10.9.0.1/32", func(r *Route) { r.Communities = []Community{StandardCommunity(7)} }, "b"),
		attributed("10.9.0.2/32", func(r *Route) { r.MED = Some(1) }, "a"),
		attributed("10.9.0.2/32", func(r *Route) { r.MED = Some(2) }, "b"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]Route{
		{{Prefix: netip.MustParsePrefix("10.9.0.1/32"), Prepend: 1}, {Prefix: netip.MustParsePrefix("10.9.0.2/32"), MED: Some(1)}},
		{{Prefix: netip.MustParsePrefix("10.9.0.1/32"), Prepend: 1, Communities: []Community{StandardCommunity(7)}},
			{Prefix: netip.MustParsePrefix("10.9.0.2/32"), MED: Some(2)}},
	} {
		if !slices.EqualFunc(all[i].routes, want, Route.Same) {
			t.Errorf("%s gets %+v, want %+v", all[i].peer.Name, all[i].routes, want)
		}
	}

	all, err = plan(nil, peers, []Route{
		attributed("10.9.0.3/32", func(r *Route) { r.MED = Some(1) }, "a"),
		attributed("10.9.0.3/32", func(r *Route) { r.MED = Some(2) }),
	})
	if !errors.Is(err, ErrClash) || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "peer a: ") {
		t.Errorf("a clash at one peer: %v", err)
	}
	if all[0].routes[0].MED != Some(1) || all[1].routes[0].MED != Some(2) {
		t.Errorf("a clash gives %+v and %+v", all[0].routes, all[1].routes)
	}
}

// A changed attribute is one UPDATE, and the same ones in another order are none.
func TestChangedAttributes(t *testing.T) {
	run(t, func(b bench) {
		router := netip.MustParseAddr("10.0.0.1")
		set := func(change func(*Route)) (updates int) {
			t.Helper()
			before, _ := b.network.Counts(router)
			other := attributed("10.9.0.2/32", func(*Route) {})
			if err := b.speaker.Set([]Peer{peer("a", "10.0.0.1")}, []Route{attributed("10.9.0.1/32", change), other}); err != nil {
				t.Fatal(err)
			}
			b.after(time.Second)
			synctest.Wait()
			after, _ := b.network.Counts(router)
			return after - before
		}
		x, y := StandardCommunity(1), LargeCommunity(1, 2, 3)
		for i, c := range []struct {
			change func(*Route)
			want   int
		}{
			{func(*Route) {}, 2},
			{func(r *Route) { r.LocalPref = Some(0) }, 1},
			{func(r *Route) { r.LocalPref, r.MED = Some(0), Some(0) }, 1},
			{func(r *Route) { r.MED, r.Prepend = Some(0), 1 }, 1},
			{func(r *Route) { r.Communities = []Community{x, y} }, 1},
			{func(r *Route) { r.Communities = []Community{y, x, y} }, 0},
			{func(r *Route) { r.Communities = []Community{y} }, 1},
			{func(r *Route) { r.Communities, r.Peers = []Community{y}, []string{"a"} }, 0},
			{func(*Route) {}, 1},
		} {
			if got := set(c.change); got != c.want {
				t.Errorf("step %d: %d updates, want %d", i, got, c.want)
			}
			if want := attributed("10.9.0.1/32", c.change); !b.network.Learnt(router)[0].Same(want) {
				t.Errorf("step %d: the router has %+v, want %+v", i, b.network.Learnt(router)[0], want)
			}
		}
	})
}

// Engines keep what is announced: what is added to many routes, one by one, must not keep each list that there was.
func TestDiffKeepsNoList(t *testing.T) {
	have := []Route{route("10.9.0.1/32"), route("10.9.0.2/32")}
	want := []Route{route("10.9.0.1/32"), route("10.9.0.2/32"), route("10.9.0.3/32")}
	announce, withdraw := diff(have, want)
	if len(announce) != 1 || announce[0].Prefix != want[2].Prefix || len(withdraw) > 0 {
		t.Fatalf("announced %v, withdrawn %v", announce, withdraw)
	}
	if &announce[0] == &want[2] {
		t.Error("what is announced is a part of the whole list")
	}
	if announce, _ := diff(nil, want); &announce[0] != &want[0] {
		t.Error("what a new peer is told is copied")
	}
}
