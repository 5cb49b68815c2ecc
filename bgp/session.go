package bgp

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// session is one peer's goroutine and its mailbox. The mailbox holds the latest that is wanted and the news
// from the engine; the goroutine alone talks to the engine.
type session struct {
	engine  Engine
	log     *zap.Logger
	changed func()
	wake    chan struct{}
	done    chan struct{}

	mu      sync.Mutex // the mailbox
	want    *want
	news    []Event
	look    bool // next hops are to be looked up again
	closing bool
	keep    bool
	report  PeerStatus // the part of the status that the goroutine knows

	// The rest belongs to the goroutine.
	link     Session // nil: not open
	open     Peer    // what link was opened for
	key      Password
	dialled  bool
	told     bool      // that no connection comes about, since it was dialled
	opened   time.Time // when the OPEN went out
	have     []Route   // what link was given
	withheld Withheld
	takes    [2]bool // families the peer takes, in the present session
	sup      supervisor
}

// startSession begins when those before it, with the same router, have ended: to the router they are one neighbour.
func startSession(engine Engine, log *zap.Logger, changed func(), w *want, before []*session) *session {
	s := &session{
		engine: engine, log: log, changed: changed,
		wake: make(chan struct{}, 1), done: make(chan struct{}), want: w,
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
		w, news, look, closing, keep := s.want, s.news, s.look, s.closing, s.keep
		s.news, s.look = nil, false
		s.mu.Unlock()
		if closing {
			if s.link != nil {
				s.link.Close(keep)
			}
			return
		}
		now := time.Now()
		for _, e := range news {
			s.hear(now, e)
		}
		s.watch(now)
		next := s.act(now, w, look)
		s.publish()
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
}

// hear takes in one event.
func (s *session) hear(now time.Time, e Event) {
	was, since := s.report.State, s.report.Since
	if !s.dialled || e.State == was && e.Reason == "" {
		return
	}
	switch e.State {
	case Idle:
		s.lose(now, was, since, e.Reason, e.Cease)
		return
	case OpenSent, OpenConfirm:
		if was < OpenSent {
			s.opened = now
		}
	case Established:
		s.takes = [2]bool{e.IPv4, e.IPv6}
		s.logger().Info("BGP session is up", zap.Bool("ipv4", e.IPv4), zap.Bool("ipv6", e.IPv6))
	case Connect:
		s.unconnected(e.Reason)
	}
	s.state(now, e.State, e.Reason)
}

// unconnected logs why no connection comes about, once for each time that the peer is dialled.
func (s *session) unconnected(reason string) {
	if reason != "" && !s.told {
		s.told = true
		s.logger().Warn("BGP peer cannot be connected to, still trying", zap.String("reason", reason))
	}
}

// watch drops a session whose OPEN the peer has not answered in time.
func (s *session) watch(now time.Time) {
	state := s.report.State
	if at := overdue(state, s.opened); !at.IsZero() && !now.Before(at) {
		s.lose(now, state, s.report.Since, "no answer to our OPEN within "+openTime.String(), false)
	}
}

// lose ends a connection and plans the next.
func (s *session) lose(now time.Time, was State, since time.Time, reason string, cease bool) {
	s.hangUp()
	s.sup.failed(now, was, since, cease)
	s.state(now, Idle, reason)
	if was == Established {
		s.mu.Lock()
		s.report.Flaps++
		s.mu.Unlock()
	}
	s.logger().Warn("BGP session is down", zap.Stringer("was", was), zap.String("reason", reason),
		zap.Duration("retry in", s.sup.next.Sub(now)))
}

// hangUp stops dialling and forgets the news of the old connection.
func (s *session) hangUp() {
	s.link.Drop()
	s.dialled, s.takes = false, [2]bool{}
	s.mu.Lock()
	s.news = nil
	s.mu.Unlock()
}

// act brings the engine to what is wanted, and returns when to look again; zero is only when there is mail.
func (s *session) act(now time.Time, w *want, look bool) time.Time {
	if s.link != nil && s.open.session() != w.peer.session() {
		s.link.Close(false)
		s.link, s.dialled, s.have = nil, false, nil
		s.sup.forget()
		s.state(now, Idle, "")
	}
	if s.link == nil {
		if now.Before(s.sup.next) {
			return s.sup.next
		}
		link, err := s.engine.Open(w.peer, s.notify)
		if err != nil {
			s.sup.refused(now, w.peer.ConnectTime)
			s.state(now, Idle, err.Error())
			return s.sup.next
		}
		s.link, s.open, s.key = link, w.peer, w.peer.Password
	}
	s.rekey(w.peer)
	s.update(w, look)
	if s.dialled {
		return overdue(s.report.State, s.opened)
	}
	if now.Before(s.sup.next) {
		return s.sup.next
	}
	return s.dial(now, w.peer)
}

// rekey has a changed password used at once, except that it leaves an Established session alone: the kernel
// signs that with the old password until it ends.
func (s *session) rekey(p Peer) {
	if s.key == p.Password {
		return
	}
	s.key = p.Password
	if s.report.State == Established {
		return
	}
	if s.dialled {
		s.hangUp()
	}
	s.sup.forget()
}

// update gives the engine the difference of the routes.
func (s *session) update(w *want, look bool) {
	announce, withdraw := diff(s.have, w.routes)
	if len(announce) == 0 && len(withdraw) == 0 && !look {
		return
	}
	withheld, err := s.link.Update(announce, withdraw)
	s.have, s.withheld = w.routes, withheld
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	s.mu.Lock()
	news := problem != s.report.Problem
	s.report.Problem = problem
	s.mu.Unlock()
	if news {
		if err != nil {
			s.logger().Warn("BGP engine refuses routes", zap.Error(err))
		}
		s.changed()
	}
}

// dial starts connecting, and returns when to look again.
func (s *session) dial(now time.Time, p Peer) time.Time {
	// Next hops may be others than when the routes were given.
	withheld, _ := s.link.Update(nil, nil)
	s.withheld = withheld
	s.sup.dial(now)
	if err := s.link.Dial(p); err != nil {
		s.sup.refused(now, p.ConnectTime)
		s.state(now, Idle, err.Error())
		return s.sup.next
	}
	s.dialled, s.told = true, false
	s.state(now, Connect, "")
	return time.Time{}
}

// state notes the session's state; an empty reason leaves the last one.
func (s *session) state(now time.Time, state State, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.report
	if r.State == state && (reason == "" || reason == r.Reason) {
		return
	}
	if r.State != state {
		r.State, r.Since = state, now
	}
	if reason != "" {
		r.Reason = reason
	}
	s.changed()
}

// publish brings the counts of the report up to date.
func (s *session) publish() {
	v4, v6 := count(s.have)
	s.mu.Lock()
	defer s.mu.Unlock()
	up := s.report.State == Established
	a := family("IPv4", v4, up, s.takes[0], s.withheld.IPv4)
	b := family("IPv6", v6, up, s.takes[1], s.withheld.IPv6)
	if a != s.report.IPv4 || b != s.report.IPv6 {
		s.report.IPv4, s.report.IPv6 = a, b
		s.changed()
	}
}

// family says how much of a family the peer has, or why nothing.
func family(name string, given int, up, takes bool, withheld string) FamilyStatus {
	switch {
	case given == 0:
		return FamilyStatus{}
	case withheld != "":
		return FamilyStatus{Withheld: withheld}
	case !up:
		return FamilyStatus{}
	case !takes:
		return FamilyStatus{Withheld: "the peer does not take " + name + " routes on this session"}
	}
	return FamilyStatus{Sent: given}
}
