package layer2

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// spot is an address on an interface.
type spot struct {
	link int
	addr netip.Addr
}

// reply is how an address is answered on an interface.
type reply struct {
	mac    MAC // that is given for the address
	source MAC // of the frames: the interface's own
	ping   bool
}

// table is what questions are looked up in. It has a lock of its own, so that an answer never waits for a decision,
// and holds it while it answers, so that an address that was removed is silent at once.
type table struct {
	mu      sync.RWMutex
	replies map[spot]reply
	links   map[int]*traffic
}

// traffic is what happened on an interface.
type traffic struct {
	name                                                            string // under the table's lock
	requests, answers, gratuitous, probes, conflicts, pongs, errors atomic.Uint64

	pings bucket // of the one goroutine that answers
}

// answer sends the answer to q, if it is a question for an address in the table.
func (t *table) answer(q Frame, send func(Frame) error) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	count, ok := t.links[q.Link]
	if !ok {
		return nil
	}
	if q.Kind == ARPRequest || q.Kind == NeighborSolicitation {
		count.requests.Add(1)
	}
	e, ok := t.replies[spot{q.Link, q.Target.IP}]
	switch {
	case !ok || q.Source == e.mac || q.Source == e.source:
		return nil
	case asks(q):
		return count.sent(&count.answers, send(answer(q, e.mac, e.source)))
	case e.ping && pinged(q) && q.Destination == e.source:
		if !count.pings.take(time.Now()) {
			return nil
		}
		return count.sent(&count.pongs, send(echo(q)))
	}
	return nil
}

// sent counts a frame that was sent, or an error.
func (t *traffic) sent(as *atomic.Uint64, err error) error {
	if err != nil {
		as = &t.errors
	}
	as.Add(1)
	return err
}

// count counts a frame that was sent on a link as what the function chooses, or an error.
func (t *table) count(link int, as func(*traffic) *atomic.Uint64, err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if traffic := t.links[link]; traffic != nil {
		_ = traffic.sent(as(traffic), err)
	}
}

func gratuitousFrames(t *traffic) *atomic.Uint64 { return &t.gratuitous }
func probeFrames(t *traffic) *atomic.Uint64      { return &t.probes }

// conflict counts another station's claim to what is answered on the spot, and says how it is and on which
// interface. It is false when the address is not answered there.
func (t *table) conflict(s spot, mac MAC) (e reply, name string, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e, ok = t.replies[s]
	if !ok || mac == e.mac || mac == e.source {
		return e, "", false
	}
	traffic := t.links[s.link]
	if traffic == nil {
		return e, "", false
	}
	traffic.conflicts.Add(1)
	return e, traffic.name, true
}

func (t *table) put(spots []spot, how func(spot) reply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range spots {
		t.replies[s] = how(s)
	}
}

func (t *table) remove(spots []spot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range spots {
		delete(t.replies, s)
	}
}

func (t *table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.replies)
}

// open begins to count what happens on a link, or gives it another name.
func (t *table) open(link int, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.links[link] == nil {
		t.links[link] = &traffic{}
	}
	t.links[link].name = name
}

func (t *table) shut(link int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.links, link)
}

// pongRate is how many echo requests are answered on an interface in a second, and how many at once.
const pongRate = 200

// bucket is a token bucket of pongRate; full at zero.
type bucket struct {
	spent float64
	at    time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.spent = max(0, b.spent-now.Sub(b.at).Seconds()*pongRate)
	b.at = now
	if b.spent+1 > pongRate {
		return false
	}
	b.spent++
	return true
}
