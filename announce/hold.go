package announce

import "time"

const (
	// Holding is how long a Service of externalTrafficPolicy Cluster that has lost its last endpoint is announced on:
	// another is mostly about to come. Where it flaps it is also the least time between two changes.
	Holding = 10 * time.Second
	// steady is how long a Service that has returned has to be announced before it counts as one that does not flap.
	steady = time.Minute
)

// Hold keeps a Service that loses its last endpoint, and gets another, from being withdrawn and announced again and
// again. It is told what is, and says what counts: a loss after Holding, and a return at once; but where the Service had
// returned before, and was lost again within a minute, Holding after it was withdrawn. It is a value, and its zero
// value is of a Service that never had an endpoint. One is for one family.
type Hold struct {
	has      bool // an endpoint
	counts   bool // as having one
	since    time.Time
	changed  time.Time // when counts was last changed; zero: never
	returned bool      // it has counted before
	hasty    bool      // when it had returned it counted for less than the steady time
}

// Set tells whether there is an endpoint now.
func (h *Hold) Set(has bool, now time.Time) {
	h.Counts(now)
	if has != h.has {
		h.has, h.since = has, now
	}
}

// Counts says whether the Service counts as having an endpoint, and until when if that is not what is: zero if it is.
func (h *Hold) Counts(now time.Time) (counts bool, until time.Time) {
	if h.has == h.counts {
		return h.counts, time.Time{}
	}
	due := h.since
	switch {
	case h.counts:
		due = h.since.Add(Holding)
	case h.hasty && h.changed.Add(Holding).After(due):
		due = h.changed.Add(Holding)
	}
	if now.Before(due) {
		return h.counts, due
	}
	h.hasty = h.counts && h.returned && due.Sub(h.changed) < steady
	h.returned = !h.changed.IsZero()
	h.counts, h.changed = h.has, due
	return h.counts, time.Time{}
}

// Holds are a Service's, one for each family.
type Holds struct{ v4, v6 Hold }

// Apply tells which endpoints the Service has now, and has it say what counts instead. That changes at until by itself;
// zero: it does not. Where externalTrafficPolicy is Local each node counts its own endpoints, at once.
func (h *Holds) Apply(s *Service, now time.Time) (until time.Time) {
	s.Kept, s.Waiting = Families{}, Families{}
	if s.Local {
		*h = Holds{}
		return time.Time{}
	}
	var has Families
	for _, e := range s.Endpoints {
		has.V4, has.V6 = has.V4 || e.V4.any(), has.V6 || e.V6.any()
	}
	h.v4.Set(has.V4, now)
	h.v6.Set(has.V6, now)
	counts4, until4 := h.v4.Counts(now)
	counts6, until6 := h.v6.Counts(now)
	s.Kept = Families{counts4 && !has.V4, counts6 && !has.V6}
	s.Waiting = Families{has.V4 && !counts4, has.V6 && !counts6}
	if until4.IsZero() || !until6.IsZero() && until6.Before(until4) {
		return until6
	}
	return until4
}

func (c Count) any() bool { return c.Ready > 0 || c.Serving > 0 }
