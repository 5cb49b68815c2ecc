package speaker

import (
	"net/netip"
	"strings"
	"time"

	"github.com/kontena/network-lb/bgp"
)

// steady is the least time between two weights of a route: each new one has the routers share out the traffic anew, and
// with it some of the connections that there are.
const steady = 30 * time.Second

// beginning is how long a route is a new one, whose endpoints are still coming: its weight changes freely.
const beginning = time.Second

// weights has the weights of routes change no more often than that. Its methods are the loop's own.
type weights struct {
	wake func()
	said map[audience]weight
	next time.Time // when wake is called, if that is to come
}

// audience is who hears of a prefix.
type audience struct {
	prefix netip.Prefix
	peers  string
}

// weight is what was said last of a prefix, since when there is one, and when it was changed after its beginning; never:
// the zero time.
type weight struct {
	bandwidth bgp.Bandwidth
	since     time.Time
	changed   time.Time
}

// settle puts the weights that the routes are to go on having into them, and forgets those of routes that are no more.
// The weights of a route's beginning are said at once, and so is the first change after it.
func (w *weights) settle(routes []bgp.Route, now time.Time) {
	var said map[audience]weight
	for i := range routes {
		r := &routes[i]
		if r.Bandwidth == 0 {
			continue
		}
		if said == nil {
			said = map[audience]weight{}
		}
		to := audience{r.Prefix, strings.Join(r.Peers, "\n")}
		last, before := w.said[to]
		switch {
		case !before:
			last = weight{bandwidth: r.Bandwidth, since: now}
		case last.bandwidth == r.Bandwidth:
		case now.Sub(last.since) < beginning:
			last.bandwidth = r.Bandwidth
		case last.changed.IsZero() || now.Sub(last.changed) >= steady:
			last.bandwidth, last.changed = r.Bandwidth, now
		default:
			w.later(last.changed.Add(steady), now)
		}
		r.Bandwidth, said[to] = last.bandwidth, last
	}
	w.said = said
}

// later has the loop woken at a time, unless it is before that.
func (w *weights) later(at, now time.Time) {
	if now.Before(w.next) && !at.Before(w.next) {
		return
	}
	w.next = at
	time.AfterFunc(at.Sub(now), w.wake)
}
