package speaker

import (
	"fmt"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kontena/network-lb/announce"
)

// One decision about thousands of addresses is told in a few lines, and how many more there are.
func TestManyAreToldInFewLines(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	s := New(Options{Logger: zap.New(core)})
	plan := func(from, to int) (p announce.Plan) {
		for i := from; i < to; i++ {
			p.Verdicts = append(p.Verdicts, announce.Verdict{Service: fmt.Sprintf("prod/web-%04d", i)})
		}
		return p
	}
	first, second := plan(0, 250), plan(240, 290)
	for _, test := range []struct {
		before *announce.Plan
		now    announce.Plan
		want   map[string]int // lines
		more   map[string]int64
	}{
		{nil, first, map[string]int{begins: 100}, map[string]int64{begins: 150}},
		{&first, second, map[string]int{begins: 40, ends: 100}, map[string]int64{ends: 140}},
		{&second, second, nil, nil},
	} {
		s.tell(test.before, test.now)
		got, rest, more := map[string]int{}, map[string]int64{}, map[string]int64{}
		for _, line := range logs.TakeAll() {
			if n, there := line.ContextMap()["more"]; there {
				more[line.Message], _ = n.(int64)
			} else if line.Level == zap.DebugLevel {
				rest[line.Message]++
			} else {
				got[line.Message]++
			}
		}
		for _, what := range []string{begins, ends} {
			if got[what] != test.want[what] || more[what] != test.more[what] || rest[what] != test.more[what] {
				t.Errorf("%q: %d lines, more: %v, and at debug level: %v; want %d and %d", what, got[what], more, rest, test.want[what], test.more[what])
			}
		}
	}
}
