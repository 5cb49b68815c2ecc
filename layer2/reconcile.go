package layer2

import (
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// changes are the differences between what is answered and what is to be.
type changes struct{ taken, changed, dropped []spot }

// reconcile brings the stations in line with the claims and the interfaces. An address is withdrawn before the
// transport stops listening for it and answered only after it listens; r.mu is held.
func (r *Responder) reconcile(links []Link, now time.Time) {
	places, want := r.choose(links)
	r.places = places
	c := r.compare(want)
	r.answers.remove(c.dropped)
	for _, s := range c.dropped {
		st := r.stations[s.link]
		delete(st.holds, s.addr)
		st.schedule.remove(s.addr)
	}
	r.watch.forget(c.dropped)
	r.watch.know(links)
	r.follow(links, now)
	for _, s := range slices.Concat(c.taken, c.changed) {
		r.hold(s, want[s], now)
	}
	if len(c.taken)+len(c.changed)+len(c.dropped) > 0 {
		r.transport.Listen(r.listening())
		r.answers.put(slices.Concat(c.taken, c.changed), r.reply)
		r.log.Info("layer 2 addresses changed", zap.Int("taken", len(c.taken)), zap.Int("changed", len(c.changed)),
			zap.Int("withdrawn", len(c.dropped)))
	}
	r.poke()
}

func (r *Responder) compare(want map[spot]holding) changes {
	var c changes
	for s, h := range want {
		st, ok := r.stations[s.link]
		if ok {
			var held holding
			if held, ok = st.holds[s.addr]; ok && held != h {
				c.changed = append(c.changed, s)
			}
		}
		if !ok {
			c.taken = append(c.taken, s)
		}
	}
	for index, st := range r.stations {
		for addr := range st.holds {
			if _, ok := want[spot{index, addr}]; !ok {
				c.dropped = append(c.dropped, spot{index, addr})
			}
		}
	}
	return c
}

// hold has a station answer so for an address, and announce it if it was not its own before.
func (r *Responder) hold(s spot, h holding, now time.Time) {
	st := r.stations[s.link]
	st.holds[s.addr] = h
	if h.mac != (MAC{}) {
		st.schedule.remove(s.addr)
	} else if _, ok := st.schedule.entries[s.addr]; !ok {
		st.schedule.add(s.addr, now)
	}
}

// reply is how an address that is held is answered.
func (r *Responder) reply(s spot) reply {
	st := r.stations[s.link]
	h := st.holds[s.addr]
	e := reply{mac: h.mac, source: st.link.MAC, ping: h.ping}
	if h.mac == (MAC{}) {
		e.mac = e.source
	}
	return e
}

// choose decides where each claimed address is answered, and how.
func (r *Responder) choose(links []Link) (map[netip.Addr]place, map[spot]holding) {
	chooser, local := newChooser(links, r.exclude), localAddrs(links)
	places, want := make(map[netip.Addr]place, len(r.claims)), make(map[spot]holding, len(r.claims))
	for _, c := range r.claims {
		p := places[c.Addr]
		chosen, err := chooser.choose(c)
		for _, l := range chosen {
			s := spot{l.Index, c.Addr}
			h, ok := want[s]
			if !ok {
				h.mac = c.MAC
				p.links = append(p.links, l.Index)
			}
			if c.MAC == (MAC{}) || c.MAC == l.MAC {
				h.mac = MAC{}
			}
			h.ping = h.ping || c.AnswerPing && c.MAC == (MAC{}) && len(local[c.Addr]) == 0
			want[s] = h
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
		r.answers.open(l.Index, l.Name)
		st, ok := r.stations[l.Index]
		if !ok {
			r.stations[l.Index] = &station{l, map[netip.Addr]holding{}, newSchedule(r.rate)}
			continue
		}
		before := st.link
		st.link = l
		if l.MAC != before.MAC {
			r.answers.put(spotsOf(l.Index, st.holds), r.reply)
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

func spotsOf(link int, holds map[netip.Addr]holding) []spot {
	spots := make([]spot, 0, len(holds))
	for addr := range holds {
		spots = append(spots, spot{link, addr})
	}
	return spots
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
func (r *Responder) listening() map[int]Listening {
	want := map[int]Listening{}
	for index, st := range r.stations {
		var l Listening
		for addr, h := range st.holds {
			l.Addrs = append(l.Addrs, addr)
			if h.ping {
				l.Pings = append(l.Pings, addr)
			}
		}
		want[index] = l
	}
	for s := range r.probed {
		st, ok := r.stations[s.link]
		if !ok {
			continue
		}
		if _, held := st.holds[s.addr]; !held {
			l := want[s.link]
			l.Addrs = append(l.Addrs, s.addr)
			want[s.link] = l
		}
	}
	for index, l := range want {
		if len(l.Addrs) == 0 {
			delete(want, index)
		}
		slices.SortFunc(l.Addrs, netip.Addr.Compare)
		slices.SortFunc(l.Pings, netip.Addr.Compare)
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
