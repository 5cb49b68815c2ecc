package bgp

import "time"

// The times of watching a peer.
const (
	suspendTime = 500 * time.Millisecond // that a peer has to agree to a planned restart
	rewatchTime = 10 * time.Second       // until a peer that could not be watched is tried again
)

// guard is a session's watch on its peer, from Established until the connection is gone.
type guard struct {
	watch Watch // nil: there is none
	bfd   BFD   // that it runs with
	turn  int   // counts the watches: news of an old one is recognised by it
	next  time.Time
}

// lifeSign is news of a watch.
type lifeSign struct {
	turn   int
	status LivenessStatus
}

// guarded brings the watch to what is wanted, and returns when to try again.
func (s *session) guarded(now time.Time, p Peer) time.Time {
	g := &s.guard
	switch {
	case s.liveness == nil || s.report.State != Established:
	case !p.BFD.Enabled:
		s.unguard()
	case g.watch != nil:
		if g.bfd != p.BFD {
			g.bfd = p.BFD
			g.watch.Set(p.BFD)
		}
	case now.Before(g.next):
		return g.next
	default:
		return s.startWatch(now, p)
	}
	return time.Time{}
}

func (s *session) startWatch(now time.Time, p Peer) time.Time {
	g := &s.guard
	g.turn++
	turn, c := g.turn, s.report.Conn
	s.alive(LivenessStatus{State: LivenessDown, Since: now})
	watch, err := s.liveness.Watch(
		Target{Peer: p, Local: c.Local, Remote: c.Remote, Interface: c.Interface, Multihop: c.Multihop},
		func(status LivenessStatus) { s.sign(lifeSign{turn, status}) })
	if err != nil {
		g.next = now.Add(rewatchTime)
		s.warn("BGP peer cannot be watched, still trying", "BFD: "+err.Error())
		s.alive(LivenessStatus{State: LivenessDown, Reason: err.Error(), Since: now})
		return g.next
	}
	g.watch, g.bfd = watch, p.BFD
	return time.Time{}
}

// sign is what the watch tells its news to.
func (s *session) sign(l lifeSign) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = append(s.life, l)
	s.poke()
}

// lookAfter takes in news of the watch, and gives the session up when the peer is dead.
func (s *session) lookAfter(now time.Time, news []lifeSign) {
	for _, l := range news {
		if s.guard.watch == nil || l.turn != s.guard.turn {
			continue
		}
		s.alive(l.status)
		if l.status.Dead && s.report.State == Established {
			s.lose(now, Established, s.report.Since, Event{Reason: "BFD: " + l.status.Reason})
		}
	}
}

// unguard ends the watch, if there is one.
func (s *session) unguard() {
	g := &s.guard
	if g.watch != nil {
		g.watch.Close()
	}
	s.guard = guard{turn: g.turn + 1}
	s.alive(LivenessStatus{})
}

// suspend has the peer wait for the next process, but waits for the peer only so long.
func (g *guard) suspend() {
	if g.watch == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.watch.Suspend()
	}()
	enough := time.NewTimer(suspendTime)
	defer enough.Stop()
	select {
	case <-done:
	case <-enough.C:
	}
}

// alive notes what is known of the peer.
func (s *session) alive(status LivenessStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.report.Liveness != status {
		s.report.Liveness = status
		s.changed()
	}
}
