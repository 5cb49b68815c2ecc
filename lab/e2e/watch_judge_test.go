package e2e

import (
	"slices"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	began := time.Now()
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	both := func(from, to int) (all []answered) { // every 100 ms
		for ms := from; ms <= to; ms += 100 {
			all = append(all, answered{at(ms), ms, "a"}, answered{at(ms + 1), ms, "b"})
		}
		return all
	}
	for name, tt := range map[string]struct {
		answers              []answered
		owners               []string
		gap, double, settled int
	}{
		"nobody":               {nil, nil, 3000, 0, 0},
		"one":                  {[]answered{{at(10), 1, "a"}, {at(1510), 2, "a"}}, []string{"a"}, 1500, 0, 0},
		"one after another":    {[]answered{{at(900), 1, "a"}, {at(950), 2, "b"}, {at(2000), 3, "b"}}, []string{"a", "b"}, 1050, 0, 0},
		"one answers twice":    {[]answered{{at(900), 1, "a"}, {at(950), 1, "a"}, {at(2000), 2, "a"}}, []string{"a"}, 1050, 0, 0},
		"two":                  {both(100, 1100), []string{"a", "b", "a", "…", "b"}, 1899, 1000, 1101},
		"two, and then again":  {slices.Concat(both(0, 300), both(1500, 1600)), []string{"a", "b", "a", "…", "b"}, 1399, 300, 1601},
		"two with one between": {slices.Concat(both(0, 200), []answered{{at(300), 300, "a"}}, both(400, 600)), []string{"a", "b", "a", "…", "b"}, 2399, 600, 601},
	} {
		v := judge(tt.answers, began, at(3000))
		ms := func(d time.Duration) int { return int(d.Milliseconds()) }
		if !slices.Equal(v.owners, tt.owners) || ms(v.gap) != tt.gap || ms(v.double) != tt.double || ms(v.settled) != tt.settled {
			t.Errorf("%s: %+v, want %+v", name, v, tt)
		}
	}
	if n := burst([]time.Time{at(0), at(10), at(999), at(1000), at(1005), at(5000)}); n != 4 {
		t.Errorf("%d within a second, want 4", n)
	}
}
