package layer2

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// spot is an address on an interface.
type spot struct {
	link int
	addr netip.Addr
}

// table is what questions are looked up in. It has a lock of its own, so that an answer never waits for a decision,
// and holds it while it answers, so that an address that was removed is silent at once.
type table struct {
	mu       sync.RWMutex
	macs     map[spot]MAC
	counters map[int]*counters
}

type counters struct{ requests, answers, gratuitous, errors atomic.Uint64 }

// answer sends the answer to q, if it is a question for an address in the table.
func (t *table) answer(q Frame, send func(Frame) error) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	count, ok := t.counters[q.Link]
	if !ok {
		return nil
	}
	count.requests.Add(1)
	mac, ok := t.macs[spot{q.Link, q.Target.IP}]
	if !ok || !asks(q) || q.Source == mac {
		return nil
	}
	if err := send(answer(q, mac)); err != nil {
		count.errors.Add(1)
		return err
	}
	count.answers.Add(1)
	return nil
}

// announced counts a gratuitous frame.
func (t *table) announced(link int, err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	switch count := t.counters[link]; {
	case count == nil:
	case err != nil:
		count.errors.Add(1)
	default:
		count.gratuitous.Add(1)
	}
}

func (t *table) add(spots []spot, mac func(link int) MAC) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range spots {
		t.macs[s] = mac(s.link)
	}
}

func (t *table) remove(spots []spot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range spots {
		delete(t.macs, s)
	}
}

func (t *table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.macs)
}

// move gives the addresses on an interface its new MAC address.
func (t *table) move(link int, addrs []netip.Addr, mac MAC) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, addr := range addrs {
		t.macs[spot{link, addr}] = mac
	}
}

func (t *table) open(link int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counters[link] = &counters{}
}

func (t *table) shut(link int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.counters, link)
}
