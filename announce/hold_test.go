package announce_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce"
)

// changes replays when a Service has an endpoint, as "+SECOND" and "-SECOND", and says in the same way when it counts as
// having one. It looks at the Hold when that said, and where often is set each second besides.
func changes(text string, often bool) string {
	began := time.Unix(0, 0)
	var h announce.Hold
	var out []string
	counted := false
	look := func(second int) {
		if counts, _ := h.Counts(began.Add(time.Duration(second) * time.Second)); counts != counted {
			counted = counts
			out = append(out, fmt.Sprintf("%c%d", map[bool]rune{true: '+', false: '-'}[counts], second))
		}
	}
	events := map[int]bool{}
	for _, word := range strings.Fields(text) {
		var second int
		_, _ = fmt.Sscan(word[1:], &second)
		events[second] = word[0] == '+'
	}
	for second := range 1000 {
		now := began.Add(time.Duration(second) * time.Second)
		if has, there := events[second]; there {
			h.Set(has, now)
			look(second)
		}
		if _, until := h.Counts(now.Add(-time.Second)); often || until.Equal(now) {
			look(second)
		}
	}
	return strings.Join(out, " ")
}

func TestHold(t *testing.T) {
	for name, tt := range map[string]struct{ has, counts string }{
		"never":                         {"", ""},
		"the first at once":             {"+5", "+5"},
		"gone":                          {"+5 -100", "+5 -110"},
		"back in time":                  {"+5 -100 +109", "+5"},
		"a moment each time":            {"+5 -100 +105 -106 +110 -111 +120", "+5"},
		"lost anew each time":           {"+5 -100 +109 -110", "+5 -120"},
		"the first return at once":      {"+5 -100 +111", "+5 -110 +111"},
		"the second return waits":       {"+5 -100 +111 -112 +123", "+5 -110 +111 -122 +132"},
		"and the next":                  {"+5 -100 +111 -112 +123 -133 +144", "+5 -110 +111 -122 +132 -143 +153"},
		"gone while it waits":           {"+5 -100 +111 -112 +123 -125", "+5 -110 +111 -122"},
		"late enough by itself":         {"+5 -100 +111 -112 +140", "+5 -110 +111 -122 +140"},
		"steady for a minute":           {"+5 -100 +111 -170 +181", "+5 -110 +111 -180 +181"},
		"just short of steady":          {"+5 -100 +111 -160 +171", "+5 -110 +111 -170 +180"},
		"new, and gone before a minute": {"+5 -6 +17", "+5 -16 +17"},
	} {
		for _, often := range []bool{false, true} {
			if got := changes(tt.has, often); got != tt.counts {
				t.Errorf("%s: %s counts as %s, want %s (looked at each second: %v)", name, tt.has, got, tt.counts, often)
			}
		}
	}
}

func TestHolds(t *testing.T) {
	now := time.Unix(0, 0)
	var h announce.Holds
	s := announce.Service{Endpoints: map[string]announce.Endpoints{"a": {V4: announce.Count{Ready: 1}, V6: announce.Count{Serving: 1}}}}
	if until := h.Apply(&s, now); !until.IsZero() || s.Kept != (announce.Families{}) || s.Waiting != (announce.Families{}) {
		t.Errorf("at first: until %v, %+v", until, s)
	}
	s.Endpoints = map[string]announce.Endpoints{"a": {V4: announce.Count{Ready: 1}}}
	if until := h.Apply(&s, now); until != now.Add(announce.Holding) || s.Kept != (announce.Families{V6: true}) {
		t.Errorf("without IPv6: until %v, %+v", until, s)
	}
	now, s.Endpoints = now.Add(time.Second), nil
	if until := h.Apply(&s, now); until != now.Add(announce.Holding-time.Second) || s.Kept != (announce.Families{V4: true, V6: true}) {
		t.Errorf("without any: until %v, %+v", until, s)
	}
	s.Local = true
	if until := h.Apply(&s, now); !until.IsZero() || s.Kept != (announce.Families{}) {
		t.Errorf("Local: until %v, %+v", until, s)
	}
	s.Local = false
	if until := h.Apply(&s, now); !until.IsZero() || s.Kept != (announce.Families{}) {
		t.Errorf("Local no more, and without endpoints: until %v, %+v", until, s)
	}
}
