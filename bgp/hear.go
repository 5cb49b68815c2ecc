package bgp

import (
	"time"

	"go.uber.org/zap"
)

// hear takes in one event.
func (s *session) hear(now time.Time, e Event) {
	was, since := s.report.State, s.report.Since
	if !s.dialled || e.State == was && e.Reason == "" {
		return
	}
	switch e.State {
	case Idle:
		s.lose(now, was, since, e)
		return
	case OpenSent, OpenConfirm:
		if was < OpenSent {
			s.opened = now
		}
	case Established:
		s.conn(e.Conn)
		s.logger().Info("BGP session is up", zap.Bool("ipv4", e.Conn.IPv4), zap.Bool("ipv6", e.Conn.IPv6),
			zap.Uint32("asn", e.Conn.PeerASN), zap.Stringer("remote", e.Conn.Remote))
	case Connect:
		if e.Reason != "" {
			s.warn("BGP peer cannot be connected to, still trying", e.Reason)
		}
	}
	s.state(now, e.State, e.Reason)
}

// warn logs a reason, but only the first time since the session was stable: a peer that fails is tried often.
func (s *session) warn(msg, reason string, fields ...zap.Field) {
	log := s.logger().Debug
	if !s.told[reason] && len(s.told) < 20 {
		s.told[reason] = true
		log = s.logger().Warn
	}
	log(msg, append(fields, zap.String("reason", reason))...)
}

// watch drops a session whose OPEN the peer has not answered in time.
func (s *session) watch(now time.Time) {
	state := s.report.State
	if at := overdue(state, s.opened); !at.IsZero() && !now.Before(at) {
		s.lose(now, state, s.report.Since, Event{Reason: "no answer to our OPEN within " + openTime.String()})
	}
}

// lose ends a connection and plans the next.
func (s *session) lose(now time.Time, was State, since time.Time, e Event) {
	s.hangUp()
	how := broken
	switch {
	case e.Flooded:
		how = flooded
	case e.Cease:
		how = ceased
	}
	if s.sup.failed(now, was, since, how) {
		clear(s.told)
	}
	s.state(now, Idle, e.Reason)
	if was == Established {
		s.mu.Lock()
		s.report.Flaps++
		s.report.Lost, s.report.LostAt = e.Reason, now
		s.mu.Unlock()
	}
	s.warn("BGP session is down", e.Reason, zap.Stringer("was", was), zap.Duration("retry in", s.sup.next.Sub(now)))
}

// hangUp stops dialling and forgets the news of the old connection. Only when that is gone is the peer told that
// nobody watches it any more.
func (s *session) hangUp() {
	s.tally(s.link.Counters(), true)
	s.link.Drop()
	s.unguard()
	s.dialled = false
	s.conn(Conn{})
	s.discardNews()
}

// discardNews forgets what the engine has told of a connection that is gone: it would be taken for news of the next one.
func (s *session) discardNews() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = nil
}

// conn notes the session's connection.
func (s *session) conn(c Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Conn = c
}

// countTime is how often a session's counters are looked at.
const countTime = 5 * time.Second

// count looks at the counters of an Established session, and says when to look again.
func (s *session) count(now time.Time) time.Time {
	if s.report.State != Established {
		return time.Time{}
	}
	if next := s.counted.Add(countTime); now.Before(next) {
		return next
	}
	s.counted = now
	s.tally(s.link.Counters(), false)
	return now.Add(countTime)
}

// tally adds a connection's counters to those of the ones before; the last ones of a connection are kept.
func (s *session) tally(c Counters, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.report
	r.Sent, r.Received = s.past.Sent.plus(c.Sent), s.past.Received.plus(c.Received)
	s.routes = [2]int{c.IPv4, c.IPv6}
	if last {
		s.past = Counters{Sent: r.Sent, Received: r.Received}
		s.routes = [2]int{}
	}
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
