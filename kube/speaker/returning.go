package speaker

import "time"

// returning is for how long a node whose speaker is gone keeps its place among those that advertise an address by BGP:
// the default of graceful_restart's restart_time, for which routers keep its routes.
const returning = 30 * time.Second

// absences takes note of nodes whose speakers were there a moment ago. Most are about to start again.
type absences struct {
	there map[string]bool // the nodes with a speaker, when it was looked last
	since map[string]time.Time
}

// look returns the nodes that have no speaker any more, and had one a moment ago; wake is called when one of them has
// been without for too long.
func (a *absences) look(running map[string]bool, now time.Time, wake func()) map[string]bool {
	if a.since == nil {
		a.since = map[string]time.Time{}
	}
	for node := range a.there {
		if !running[node] {
			a.since[node] = now
			time.AfterFunc(returning, wake)
		}
	}
	a.there = running
	out := map[string]bool{}
	for node, since := range a.since {
		if running[node] || now.Sub(since) >= returning {
			delete(a.since, node)
		} else {
			out[node] = true
		}
	}
	return out
}
