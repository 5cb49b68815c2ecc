package layer2

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	defendEvery = 10 * time.Second // at most, an address on an interface (RFC 5227: DEFEND_INTERVAL)
	repeatEvery = time.Second      // a conflict with a fellow speaker that lasts is told again
)

// Conflict is another station that says that it has an address that is answered here: by ARP with the address as
// sender (RFC 5227 §2.4), or by a neighbour advertisement with it as target. Stations that only ask whether anybody has
// it are none.
type Conflict struct {
	Addr      netip.Addr
	Interface string // on which it was heard
	MAC       MAC    // that the other station gives for the address
	// Speaker is the fellow speaker whose MAC it is: both answer, and one has to stop. Empty for a foreign machine.
	Speaker     string
	First, Last time.Time // heard since the address was claimed
	Frames      uint64    // heard in that time
}

// SetSpeakers says who the fellow speakers are: the name of each by the MAC addresses of its interfaces. It replaces what
// was said before. A station that is none of them, nor this one, is a foreign machine, against which an address is
// defended: by one gratuitous frame, at most each ten seconds (RFC 5227 §2.4 (b)). Before the first call it may be a
// fellow, and nothing is defended.
func (r *Responder) SetSpeakers(byMAC map[MAC]string) {
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	r.watch.speakers = map[MAC]string{}
	maps.Copy(r.watch.speakers, byMAC)
}

// watch knows who else claims what is answered here. It has a lock of its own, so that a conflict is told at once
// whatever else is going on.
type watch struct {
	mu       sync.Mutex
	speakers map[MAC]string // nil: not known
	own      map[MAC]bool   // of this machine's interfaces
	records  map[spot]*record
	defences []spot // to be sent
}

type record struct {
	Conflict
	told, defended time.Time
}

// heard takes note of a station that says that the address of s is at mac.
func (r *Responder) heard(s spot, mac MAC) {
	e, name, ok := r.answers.conflict(s, mac)
	if !ok {
		return
	}
	c, tell, defend := r.watch.note(s, name, mac, e.mac == e.source, time.Now())
	if defend {
		r.poke()
	}
	if !tell {
		return
	}
	if c.Speaker == "" || c.Last.Sub(c.First) >= repeatEvery { // a fellow may just be taking it over
		r.log.Warn("another station claims an address that is answered here", zap.Stringer("address", c.Addr),
			zap.String("interface", c.Interface), zap.Stringer("mac", c.MAC), zap.String("speaker", c.Speaker))
	}
	if r.onConflict != nil {
		r.onConflict(c)
	}
}

// isOwn reports whether mac is this machine's, one of whose interfaces can hear another.
func (w *watch) isOwn(mac MAC) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.own[mac]
}

// note says whether the conflict is to be told, and whether the address is to be defended: a fellow speaker's is told at
// once and every second while it lasts, and not fought over; a foreign machine's is told and answered each ten seconds.
func (w *watch) note(s spot, name string, mac MAC, ours bool, now time.Time) (c Conflict, tell, defend bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rec := w.records[s]
	if rec == nil {
		rec = &record{Conflict: Conflict{Addr: s.addr, First: now}}
		w.records[s] = rec
	}
	speaker := w.speakers[mac]
	turned := rec.Speaker == "" && speaker != ""
	rec.Interface, rec.MAC, rec.Speaker, rec.Last = name, mac, speaker, now
	rec.Frames++
	every := defendEvery
	if speaker != "" {
		every = repeatEvery
	}
	if tell = turned || now.Sub(rec.told) >= every; tell {
		rec.told = now
	}
	if defend = ours && w.speakers != nil && speaker == "" && now.Sub(rec.defended) >= defendEvery; defend {
		rec.defended = now
		w.defences = append(w.defences, s)
	}
	return rec.Conflict, tell, defend
}

func (w *watch) takeDefences() []spot {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.defences
	w.defences = nil
	return taken
}

// forget drops what was heard of addresses.
func (w *watch) forget(spots []spot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range spots {
		delete(w.records, s)
	}
}

// know says which MAC addresses are this machine's.
func (w *watch) know(links []Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own = make(map[MAC]bool, len(links))
	for _, l := range links {
		w.own[l.MAC] = true
	}
}

// of is the conflicts of an address on these links.
func (w *watch) of(addr netip.Addr, links []int) []Conflict {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.records) == 0 {
		return nil
	}
	var found []Conflict
	for _, link := range links {
		if rec := w.records[spot{link, addr}]; rec != nil {
			found = append(found, rec.Conflict)
		}
	}
	slices.SortFunc(found, func(a, b Conflict) int { return a.First.Compare(b.First) })
	return found
}

// Defend announces an address once more where it is answered, so that a fellow speaker that claims it too hears of this
// one. Conflicts with foreign machines are defended against without being asked.
func (r *Responder) Defend(addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	addr = addr.Unmap().WithZone("")
	r.watch.mu.Lock()
	for _, link := range r.places[addr].links {
		r.watch.defences = append(r.watch.defences, spot{link, addr})
	}
	r.watch.mu.Unlock()
	r.poke()
}
