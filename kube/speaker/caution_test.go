package speaker

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/layer2"
)

// quiet are neighbours of whom nobody answers.
type quiet struct {
	Neighbours
	asked int
}

func (q *quiet) Probe(_ context.Context, _ layer2.ProbeOptions, claims ...layer2.Claim) (out []layer2.ProbeResult, _ error) {
	q.asked += len(claims)
	for _, c := range claims {
		out = append(out, layer2.ProbeResult{Addr: c.Addr})
	}
	return out, nil
}

// What was found silent before this speaker stood still is asked for again: it may not have heard the answers.
func TestCautionAfterStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{}
		c := newCaution(q, func() {}, zap.NewNop())
		claims := []layer2.Claim{{Addr: netip.MustParseAddr("10.0.0.1")}}
		hold := func(when string, company *company, waits bool, asked int) {
			t.Helper()
			c.look(company, nil, nil, nil)
			got := c.hold(t.Context(), claims, nil)
			synctest.Wait()
			if got != waits || q.asked != asked {
				t.Errorf("%s: waits: %v, want %v; asked for %d, want %d", when, got, waits, q.asked, asked)
			}
		}
		hold("nothing is wrong", &company{}, false, 0)
		hold("it stood still", &company{lapsed: true}, true, 1)
		hold("nobody answered", &company{}, false, 1)
		hold("it stood still again", &company{lapsed: true}, true, 2)
	})
}
