package bgp

import (
	"net/netip"
	"time"
)

// memoryWatch watches a simulated router. Its engine's mutex guards it.
type memoryWatch struct {
	engine  *Memory
	router  *router
	bfd     BFD
	changed func(LivenessStatus)
}

// Watch implements Liveness: a router is Up at once, and dead some time after it Hangs.
func (m *Memory) Watch(t Target, changed func(LivenessStatus)) (Watch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.router(t.Remote)
	w := &memoryWatch{engine: m, router: r, bfd: t.Peer.BFD, changed: changed}
	r.watch, r.suspended = w, false
	if r.behaviour == Answers {
		changed(LivenessStatus{State: LivenessUp, Since: time.Now()})
	}
	return w, nil
}

// Watched says how the router at an address is being watched; the zero value is that it is not. It is suspended
// when it was asked to wait for the next process.
func (m *Memory) Watched(address netip.Addr) (by BFD, suspended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.router(address)
	if r.watch != nil {
		by = r.watch.bfd
	}
	return by, r.suspended
}

// detection is how long the router may be silent.
func (w *memoryWatch) detection() time.Duration {
	return time.Duration(w.bfd.Multiplier) * max(w.bfd.Receive, w.bfd.Transmit)
}

// unheard reports a router that hangs, if it still does and is still watched.
func (m *Memory) unheard(r *router, w *memoryWatch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.behaviour == Hangs && r.watch == w {
		w.changed(LivenessStatus{State: LivenessDown, Reason: "control detection time expired", Dead: true, Since: time.Now()})
	}
}

func (w *memoryWatch) Set(b BFD) {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	w.bfd = b
}

func (w *memoryWatch) Suspend() {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	w.router.suspended = true
}

func (w *memoryWatch) Close() {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	if w.router.watch == w {
		w.router.watch = nil
	}
}
