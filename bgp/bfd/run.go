package bfd

import (
	"time"

	"go.uber.org/zap"
)

// receive takes a packet of this session in.
func (s *Session) receive(p Packet, ttl int) {
	s.mu.Lock()
	if !s.over {
		s.take(p, ttl)
	}
	s.mu.Unlock()
	s.tell()
}

func (s *Session) take(p Packet, ttl int) {
	least := 255 // RFC 5881 section 5: nobody from further away can send it
	if s.config.Multihop {
		least = int(s.machine.want.MinimumTTL)
	}
	if ttl < least {
		s.counters.Refused++
		if !s.warned {
			s.warned = true
			s.log.Warn("BFD packets come from too far away and are refused", zap.Int("ttl", ttl), zap.Int("minimum_ttl", least))
		}
		return
	}
	s.counters.Received++
	now := time.Now()
	s.machine.receive(p, now)
	s.turn(now)
}

// fire is the timer's.
func (s *Session) fire() {
	s.mu.Lock()
	if !s.over {
		s.armed = time.Time{}
		s.turn(time.Now())
	}
	s.mu.Unlock()
	s.tell()
}

// turn does what is due. The caller holds the lock, and calls tell without it.
func (s *Session) turn(now time.Time) {
	late := s.machine.late
	for {
		p, ok := s.machine.due(now)
		if !ok {
			break
		}
		s.send(p)
	}
	if s.machine.late > late && now.Sub(s.lateTold) > time.Minute {
		s.lateTold = now
		s.log.Warn("this process was held up; BFD detection starts anew", zap.Duration("detection_time", s.machine.detection()))
	}
	switch {
	case !s.closing.IsZero():
		if !now.Before(s.closing) || s.machine.told() {
			s.end()
			return
		}
	case s.asking != nil && s.machine.state == Up && !s.machine.polling:
		s.saved = s.save(now)
		s.end()
		s.wake()
		return
	case s.asking != nil && s.machine.state != Up:
		s.wake()
	}
	s.note()
	s.arm()
}

func (s *Session) send(p Packet) {
	s.buffer, _ = p.AppendBinary(s.buffer[:0])
	if err := s.sender.send(s.buffer); err != nil {
		s.counters.Unsent++
		s.counters.SendError = err.Error()
		return
	}
	s.counters.Sent++
	s.counters.SendError = ""
}

// arm sets the timer for what is due next, if it would fire too late.
func (s *Session) arm() {
	next := s.machine.next()
	if !s.closing.IsZero() && (next.IsZero() || s.closing.Before(next)) {
		next = s.closing
	}
	if next.IsZero() || !s.armed.IsZero() && !next.Before(s.armed) {
		return
	}
	s.armed = next
	s.timer.Reset(time.Until(next))
}

// note queues a change of state for whoever is told.
func (s *Session) note() {
	if s.machine.state == s.known || !s.closing.IsZero() {
		return
	}
	was := s.known
	s.known = s.machine.state
	st := s.status()
	s.queue = append(s.queue, st)
	fields := []zap.Field{zap.Stringer("state", st.State), zap.Stringer("was", was),
		zap.Stringer("diagnostic", st.Diagnostic), zap.Stringer("remote_diagnostic", st.RemoteDiagnostic)}
	switch {
	case st.Dead:
		s.log.Warn("the neighbour is dead", fields...)
	case st.State == Up || was == Up:
		s.log.Info("BFD session changed", fields...)
	default:
		s.log.Debug("BFD session changed", fields...)
	}
}

// tell passes on what is queued, in order, one at a time, and without the lock.
func (s *Session) tell() {
	for {
		s.mu.Lock()
		if s.telling || len(s.queue) == 0 {
			s.mu.Unlock()
			return
		}
		st := s.queue[0]
		s.queue = s.queue[1:]
		s.telling = true
		s.mu.Unlock()
		s.changed(st)
		s.mu.Lock()
		s.telling = false
		s.mu.Unlock()
	}
}
