package bgp

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestBandwidthOfARoute(t *testing.T) {
	plain := route("10.9.0.1/32")
	one, three := plain, plain
	one.Bandwidth, three.Bandwidth = Mbps, 3*Mbps
	if got, err := plain.Merge(three); err != nil || got.Bandwidth != 3*Mbps || got.Same(plain) || !got.Same(three) {
		t.Errorf("without and with one become %+v, %v", got, err)
	}
	if got, err := three.Merge(plain); err != nil || !got.Same(three) {
		t.Errorf("with and without one become %+v, %v", got, err)
	}
	if got, err := one.Merge(three); !errors.Is(err, ErrClash) || got.Bandwidth != Mbps || !strings.Contains(err.Error(), "bandwidth 1 Mbit/s and 3 Mbit/s") {
		t.Errorf("two become %+v, %v", got, err)
	}
	announce, withdraw := diff([]Route{one}, []Route{three})
	if len(announce) != 1 || len(withdraw) != 0 {
		t.Errorf("another bandwidth announces %v and withdraws %v", announce, withdraw)
	}
	for b, good := range map[Bandwidth]bool{0: true, 1: true, 30000 * Mbps: true, -1: false, 1e10: false, Bandwidth(math.NaN()): false, Bandwidth(math.Inf(1)): false} {
		plain.Bandwidth = b
		if err := plain.Validate(); (err == nil) != good {
			t.Errorf("%s is %v", b, err)
		}
	}
}
