package bfd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// ErrNotUp is what Suspend returns when there is nothing that a neighbour would miss.
var ErrNotUp = errors.New("the BFD session is not Up")

// Session watches one neighbour. Its methods are safe for concurrent use, also from the function that is told of
// changes.
type Session struct {
	manager *Manager
	config  Config
	log     *zap.Logger
	link    int // index of config.Interface; 0 for any

	mu       sync.Mutex
	machine  *machine
	sender   sender
	timer    *time.Timer
	counters Status        // the packets' part of it
	over     bool          // nothing is sent or told any more
	closing  time.Time     // until when AdminDown is sent; zero unless closing
	asking   chan struct{} // closed when the neighbour has agreed to wait, or the session left Up
	woken    bool          // it is closed
	saved    Saved
	armed    time.Time // when the timer fires; zero when it has
	buffer   []byte
	warned   bool      // of a TTL
	lateTold time.Time // when a late timer was last logged

	changed func(Status)
	known   State    // that was told last
	queue   []Status // not yet told
	telling bool
}

// Set changes the parameters. The session stays as it is: while it is Up the neighbour learns of them by a Poll
// Sequence (RFC 5880 section 6.5), and the new timers are in force when it has answered. The error names what is wrong
// with a parameter; then nothing is changed. After Close or Suspend it is net.ErrClosed.
func (s *Session) Set(p Parameters) error {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return fmt.Errorf("setting BFD parameters of %v: %w", s.config.Remote, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || !s.closing.IsZero() || s.asking != nil {
		return net.ErrClosed
	}
	now := time.Now()
	s.machine.set(p, now)
	s.turn(now)
	return nil
}

// Status is how the session is now.
func (s *Session) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status()
}

func (s *Session) status() Status {
	st, c := s.machine.status(), &s.counters
	st.Sent, st.Unsent, st.Received, st.Refused, st.SendError = c.Sent, c.Unsent, c.Received, c.Refused, c.SendError
	return st
}

// Close tells the neighbour that the session is administratively down, so that it takes no alarm, and forgets the
// session. It returns at once; the neighbour is told for as long as it takes it to hear, its detection time at most.
// No change is told any more.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || !s.closing.IsZero() {
		return
	}
	now := time.Now()
	told := s.machine.told()
	s.machine.close(now)
	s.queue = nil
	s.closing = now.Add(time.Duration(s.machine.want.Multiplier) * s.machine.interval())
	s.wake()
	s.turn(now)
	if told {
		s.end()
	}
}

// Suspend is for a planned restart. It asks the neighbour to be patient (DesiredMinTxInterval 10 s, three times), waits
// until it has agreed, and from then on sends nothing: the neighbour goes on believing that all is well, for 30
// seconds, and what is returned lets the next process take over. The session is over when Suspend returns, whatever
// it returns: an error means that nothing can be resumed, ErrNotUp that there was nothing to resume, and the context's
// that the neighbour has not agreed; it then finds the session down in its own time.
func (s *Session) Suspend(ctx context.Context) (Saved, error) {
	s.mu.Lock()
	switch {
	case s.over || !s.closing.IsZero() || s.asking != nil:
		s.mu.Unlock()
		return Saved{}, net.ErrClosed
	case s.machine.state != Up:
		s.end()
		s.mu.Unlock()
		return Saved{}, fmt.Errorf("suspending: %w", ErrNotUp)
	}
	now := time.Now()
	s.machine.suspend(now)
	agreed := make(chan struct{})
	s.asking = agreed
	s.turn(now)
	s.mu.Unlock()

	select {
	case <-agreed:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved.LocalDiscriminator != 0 {
		return s.saved, nil
	}
	s.end()
	if err := ctx.Err(); err != nil {
		return Saved{}, fmt.Errorf("suspending: waiting for %v to answer: %w", s.config.Remote, err)
	}
	return Saved{}, fmt.Errorf("suspending: %w any more", ErrNotUp)
}

// Snapshot is for a process that may end without a word: what it returns lets the next process take over, if that one is
// there before the neighbour's detection time is over. It holds until the session goes Down; it is ErrNotUp that there is
// none.
func (s *Session) Snapshot() (Saved, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || !s.closing.IsZero() || s.asking != nil || s.machine.state != Up {
		return Saved{}, fmt.Errorf("taking a snapshot: %w", ErrNotUp)
	}
	v := s.save(time.Now())
	v.RemoteReceive, v.Until = time.Microsecond, time.Time{} // the neighbour may be about to ask for more
	return v, nil
}

// wake ends the waiting of Suspend. The caller holds the lock, as for all that follows.
func (s *Session) wake() {
	if s.asking != nil && !s.woken {
		s.woken = true
		close(s.asking)
	}
}

// end has nothing sent and told any more.
func (s *Session) end() {
	if s.over {
		return
	}
	s.over, s.machine.silent, s.queue = true, true, nil
	s.timer.Stop()
	_ = s.sender.Close()
	s.manager.remove(s)
}
