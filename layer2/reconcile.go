package layer2

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// reconcile brings the stations in line with the claims and the interfaces. An address is withdrawn before the
// transport stops listening for it and answered only after it listens; r.mu is held.
func (r *Responder) reconcile(links []Link, now time.Time) {
	places, want := r.choose(links)
	r.places = places
	var taken, dropped []spot
	for s := range want {
		if !r.holds(s) {
			taken = append(taken, s)
		}
	}
	for index, st := range r.stations {
		for addr := range st.schedule.entries {
			if s := (spot{index, addr}); !want[s] {
				dropped = append(dropped, s)
			}
		}
	}
	r.answers.remove(dropped)
	for _, s := range dropped {
		r.stations[s.link].schedule.remove(s.addr)
	}
	r.follow(links, now)
	if len(taken)+len(dropped) == 0 {
		r.poke()
		return
	}
	for _, s := range taken {
		r.stations[s.link].schedule.add(s.addr, now)
	}
	r.transport.Listen(r.listening())
	r.answers.add(taken, func(index int) MAC { return r.stations[index].link.MAC })
	r.log.Info("layer 2 addresses changed", zap.Int("taken", len(taken)), zap.Int("withdrawn", len(dropped)))
	r.poke()
}

func (r *Responder) holds(s spot) bool {
	st, ok := r.stations[s.link]
	if !ok {
		return false
	}
	_, ok = st.schedule.entries[s.addr]
	return ok
}

// choose decides where each claimed address is answered.
func (r *Responder) choose(links []Link) (map[netip.Addr]place, map[spot]bool) {
	chooser := newChooser(links, r.exclude)
	places, want := make(map[netip.Addr]place, len(r.claims)), make(map[spot]bool, len(r.claims))
	for _, c := range r.claims {
		p := places[c.Addr]
		chosen, err := chooser.choose(c)
		for _, l := range chosen {
			if s := (spot{l.Index, c.Addr}); !want[s] {
				want[s] = true
				p.links = append(p.links, l.Index)
			}
		}
		if p.err = err; len(p.links) > 0 {
			p.err = nil
		}
		places[c.Addr] = p
	}
	return places, want
}

// follow updates the stations to the interfaces as they are now: those that are gone go, and one of which the
// neighbours should hear anew announces all that it has.
func (r *Responder) follow(links []Link, now time.Time) {
	present := make(map[int]bool, len(links))
	for _, l := range links {
		present[l.Index] = true
		st, ok := r.stations[l.Index]
		if !ok {
			r.stations[l.Index] = &station{l, newSchedule(r.rate)}
			r.answers.open(l.Index)
			continue
		}
		before := st.link
		st.link = l
		if l.MAC != before.MAC {
			r.answers.move(l.Index, slices.Collect(maps.Keys(st.schedule.entries)), l.MAC)
		}
		if changedForNeighbours(before, l) {
			st.schedule.restart(now)
		}
		if l.Problem != before.Problem && l.Problem != "" {
			r.log.Warn("layer 2 interface has a problem", zap.String("interface", l.Name), zap.String("problem", l.Problem))
		}
	}
	for index := range r.stations {
		if !present[index] {
			delete(r.stations, index)
			r.answers.shut(index)
		}
	}
}

// changedForNeighbours reports whether what they were told, or not told, has to be told again: the interface has
// another MAC address, or it was interrupted, or frames could not be sent.
func changedForNeighbours(before, now Link) bool {
	if !now.ready() {
		return false
	}
	return now.MAC != before.MAC || now.Epoch != before.Epoch || !before.ready() || before.Problem != "" && now.Problem == ""
}

// listening is what the transport is to listen for.
func (r *Responder) listening() map[int][]netip.Addr {
	want := map[int][]netip.Addr{}
	for index, st := range r.stations {
		if len(st.schedule.entries) > 0 {
			want[index] = slices.SortedFunc(maps.Keys(st.schedule.entries), netip.Addr.Compare)
		}
	}
	return want
}

// poke wakes the announcing goroutine to look again at what is due.
func (r *Responder) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
