package bgp

import (
	"math"
	"net/netip"
	"slices"
	"testing"
)

func TestLeaving(t *testing.T) {
	p := netip.MustParsePrefix("10.0.0.1/32")
	own := []Community{StandardCommunity(7), GracefulShutdown}
	for _, tt := range []struct{ route, want Route }{
		{Route{Prefix: p}, Route{Prefix: p, LocalPref: Some(0), Prepend: 3, Communities: []Community{GracefulShutdown}}},
		{Route{Prefix: p, LocalPref: Some(200), MED: Some(5), Prepend: 2, Communities: own[:1], Peers: []string{"tor"}},
			Route{Prefix: p, LocalPref: Some(0), MED: Some(5), Prepend: 5, Communities: own, Peers: []string{"tor"}}},
		{Route{Prefix: p, Prepend: 254, Communities: own}, Route{Prefix: p, LocalPref: Some(0), Prepend: math.MaxUint8, Communities: own}},
	} {
		if got := tt.route.Leaving(); !got.Same(tt.want) || !slices.Equal(got.Peers, tt.want.Peers) {
			t.Errorf("%+v leaving is %+v, want %+v", tt.route, got, tt.want)
		}
	}
	if len(own) != 2 || own[0] != StandardCommunity(7) {
		t.Errorf("the communities given are now %v", own)
	}
}
