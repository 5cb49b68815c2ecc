package bgp

import (
	"time"

	"go.uber.org/zap"
)

// act brings the engine to what is wanted, and returns when to look again; zero is only when there is mail.
func (s *session) act(now time.Time, w *want, look bool) time.Time {
	if look {
		s.sup.looked(now)
	}
	if s.link != nil && s.open.session() != w.peer.session() {
		s.tally(s.link.Counters(), true)
		s.link.Close(false)
		s.unguard()
		s.link, s.dialled, s.have = nil, false, nil
		s.conn(Conn{})
		s.discardNews()
		s.forget()
		s.state(now, Idle, "")
	}
	if s.link == nil {
		if now.Before(s.sup.next) {
			return s.sup.next
		}
		link, err := s.engine.Open(w.peer, s.notify)
		if err != nil {
			return s.refused(now, w.peer, err)
		}
		s.link, s.open, s.key = link, w.peer, w.peer.Password
	}
	s.rekey(w.peer)
	s.update(w, look)
	if s.dialled {
		s.relimit(w.peer)
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
	s.forget()
}

// relimit has a changed MaxReceived obeyed at once.
func (s *session) relimit(p Peer) {
	if s.limit == p.MaxReceived {
		return
	}
	s.limit = p.MaxReceived
	if err := s.link.Dial(p); err != nil {
		s.logger().Warn("BGP engine does not take another limit of received routes", zap.Error(err))
	}
}

// forget lets a changed peer be dialled at once, as if it were new.
func (s *session) forget() {
	s.sup.forget()
	clear(s.told)
}

// refused plans the next attempt after the engine has refused the peer.
func (s *session) refused(now time.Time, p Peer, err error) time.Time {
	s.sup.refused(now, p.ConnectTime)
	s.warn("BGP peer cannot be dialled", err.Error())
	s.state(now, Idle, err.Error())
	return s.sup.next
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
		return s.refused(now, p, err)
	}
	s.dialled, s.limit = true, p.MaxReceived
	s.state(now, Connect, "")
	return time.Time{}
}

// publish brings the counts of the report up to date.
func (s *session) publish() {
	v4, v6 := count(s.have)
	s.mu.Lock()
	defer s.mu.Unlock()
	up, c := s.report.State == Established, s.report.Conn
	a := family("IPv4", v4, up, c.IPv4, s.withheld.IPv4)
	b := family("IPv6", v6, up, c.IPv6, s.withheld.IPv6)
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
