package bgp

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// session is one peer's goroutine and its mailbox. The mailbox holds the latest that is wanted and the news
// from the engine; the goroutine alone talks to the engine.
type session struct {
	engine   Engine
	liveness Liveness
	log      *zap.Logger
	changed  func()
	wake     chan struct{}
	done     chan struct{}

	mu      sync.Mutex // the mailbox
	want    *want
	news    []Event
	life    []lifeSign
	look    bool // next hops are to be looked up again
	closing bool
	keep    bool
	report  PeerStatus // the part of the status that the goroutine knows
	routes  [2]int     // received, of either family

	// The rest belongs to the goroutine.
	link     Session // nil: not open
	open     Peer    // what link was opened for
	key      Password
	limit    int // MaxReceived that link has
	dialled  bool
	told     map[string]bool // reasons that were logged since the session was stable
	opened   time.Time       // when the OPEN went out
	have     []Route         // what link was given
	withheld Withheld
	guard    guard
	past     Counters  // of the connections before
	counted  time.Time // when they were last looked at
	sup      supervisor
}

// startSession begins when those before it, with the same router, have ended: to the router they are one neighbour.
func startSession(sp *Speaker, w *want, before []*session) *session {
	s := &session{
		engine: sp.engine, liveness: sp.liveness, log: sp.log, changed: sp.wake,
		wake: make(chan struct{}, 1), done: make(chan struct{}), want: w, told: map[string]bool{},
	}
	s.report.Since = time.Now()
	s.poke()
	go func() {
		for _, x := range before {
			<-x.done
		}
		s.run()
	}()
	return s
}

// peer is the one that is wanted at present.
func (s *session) peer() Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.peer
}

// logger names the peer as it is called at present.
func (s *session) logger() *zap.Logger { return s.log.With(zap.String("peer", s.peer().Name)) }

// set replaces what is wanted.
func (s *session) set(w *want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.want.equal(w) {
		return
	}
	s.want = w
	s.poke()
}

// close has the goroutine end the session and itself; done is closed then.
func (s *session) close(keepRoutes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing, s.keep = true, keepRoutes
	s.poke()
}

// gone reports whether the goroutine has ended.
func (s *session) gone() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// notify is what the engine tells its news to.
func (s *session) notify(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.NextHops {
		s.look = true
	} else {
		s.news = append(s.news, e)
	}
	s.poke()
}

func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// status completes the goroutine's report by what is wanted right now.
func (s *session) status() PeerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Peer = s.want.peer
	r.IPv4.Wanted, r.IPv6.Wanted = s.want.v4, s.want.v6
	r.IPv4.Received, r.IPv6.Received = s.routes[0], s.routes[1]
	return r
}

// run takes a turn whenever there is mail or a deadline.
func (s *session) run() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-timer.C:
		}
		s.mu.Lock()
		w, news, life, look, closing, keep := s.want, s.news, s.life, s.look, s.closing, s.keep
		s.news, s.life, s.look = nil, nil, false
		s.mu.Unlock()
		if closing {
			s.end(keep)
			return
		}
		now := time.Now()
		for _, e := range news {
			s.hear(now, e)
		}
		s.lookAfter(now, life)
		s.watch(now)
		next := earliest(s.act(now, w, look), s.guarded(now, w.peer), s.count(now))
		s.publish()
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
}

// end ends the session for good. The peer is asked to be patient before the connection goes, and told that nobody
// watches it any more only afterwards: routers take either for a failure otherwise.
func (s *session) end(keepRoutes bool) {
	if keepRoutes {
		s.guard.suspend()
	}
	if s.link != nil {
		s.link.Close(keepRoutes)
	}
	if !keepRoutes {
		s.unguard()
	}
}

// earliest of some times; the zero time is never.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
