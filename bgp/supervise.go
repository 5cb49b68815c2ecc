package bgp

import (
	"math/rand/v2"
	"time"
)

// The supervisor's times.
const (
	leastRedial   = time.Second       // between two dials of one session
	longestWait   = 10 * time.Second  // after a session or an OPEN that failed
	longestCease  = 120 * time.Second // after the peer's Cease, or too many routes
	leastFlooded  = 15 * time.Second  // after too many routes
	openTime      = 15 * time.Second  // in OpenSent or OpenConfirm
	stableTime    = 60 * time.Second  // Established that long, a peer is as good as new
	backoffJitter = 0.25              // the part of a wait that is left to chance
)

// supervisor decides when a session is dialled and when an opening one has taken too long. It holds no clock
// and no session.
type supervisor struct {
	failures int       // in a row
	dialled  time.Time // last
	next     time.Time // no dial before
	unready  bool      // the last one could not be started
}

// dial takes down that the session is dialled now.
func (v *supervisor) dial(now time.Time) { v.dialled, v.unready = now, false }

// loss is a way in which a connection ends.
type loss int

const (
	broken  loss = iota
	ceased       // the peer said Cease
	flooded      // the peer sent too many routes
)

// failed plans the next dial after a connection was lost or an OPEN failed. The first time it is at once, but
// a second after the last dial; then the wait doubles. It reports whether the session had been stable.
func (v *supervisor) failed(now time.Time, was State, since time.Time, how loss) (stable bool) {
	if stable = was == Established && now.Sub(since) >= stableTime; stable {
		v.failures = 0
	}
	var wait time.Duration
	switch n := min(v.failures, 10); {
	case how == flooded:
		wait = min(leastFlooded<<n, longestCease)
	case n == 0:
	case how == ceased:
		wait = min(leastRedial<<(n-1), longestCease)
	default:
		wait = min(leastRedial<<(n-1), longestWait)
	}
	wait -= time.Duration(rand.Float64() * backoffJitter * float64(wait))
	v.failures++
	v.next = now.Add(wait)
	if earliest := v.dialled.Add(leastRedial); v.next.Before(earliest) {
		v.next = earliest
	}
	return stable
}

// refused plans the next attempt after a dial that could not even be started.
func (v *supervisor) refused(now time.Time, connect time.Duration) {
	v.unready = true
	v.next = now.Add(connect + time.Duration(rand.Float64()*float64(connect)))
}

// looked lets a dial that could not be started be tried again at once: what it lacked may be there now. Nothing has been
// sent, so nobody is bothered.
func (v *supervisor) looked(now time.Time) {
	if v.unready && now.Before(v.next) {
		v.next = now
	}
}

// forget lets a changed peer be dialled at once.
func (v *supervisor) forget() { *v = supervisor{} }

// overdue is when a session in this state has taken too long; the zero time is never.
func overdue(state State, opened time.Time) time.Time {
	if state == OpenSent || state == OpenConfirm {
		return opened.Add(openTime)
	}
	return time.Time{}
}
