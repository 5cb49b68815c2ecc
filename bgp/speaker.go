// Package bgp keeps a set of routes advertised to a set of peers (BGP-4, RFC 4271), over an Engine that it
// declares.
package bgp

import (
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// ErrClosed is what Set returns after Close.
var ErrClosed = errors.New("the BGP speaker is closed")

// closeTime is how long Close waits for all sessions together.
const closeTime = 2 * time.Second

// Options of a Speaker.
type Options struct {
	// Logger is told of every session that comes up, is lost or fails; nil is quiet.
	Logger *zap.Logger
	// Liveness watches peers that have BFD enabled, while their session is Established; nil watches none.
	Liveness Liveness
}

// Speaker keeps routes advertised to peers. Every peer has a session and a goroutine of its own, so a peer
// that is stuck delays no other. All methods may be called at any time from any goroutine, and none waits for
// a peer, except Close, which waits up to 2 s.
type Speaker struct {
	engine   Engine
	liveness Liveness
	log      *zap.Logger
	changed  chan struct{}

	mu       sync.Mutex
	closed   bool
	sessions []*session // in the order of the peers given to Set
	leaving  []*session // no longer wanted, perhaps not yet closed
}

// NewSpeaker returns a Speaker without peers.
func NewSpeaker(engine Engine, options Options) *Speaker {
	log := options.Logger
	if log == nil {
		log = zap.NewNop()
	}
	return &Speaker{engine: engine, liveness: options.Liveness, log: log, changed: make(chan struct{}, 1)}
}

// Set makes the given peers and routes the ones that are wanted, all of them: what is missing is taken back.
// The difference is carried out in the background, and the same input does nothing. All routes are known to a
// new peer's session before it is dialled. A changed peer touches no other peer.
//
// The error joins everything wrong with single peers and routes, which are left out; a peer whose new form is
// wrong keeps the session of its old form. Set may be called with the same or other input as often as one
// likes.
func (s *Speaker) Set(peers []Peer, routes []Route) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	running := make([]Peer, len(s.sessions))
	for i, x := range s.sessions {
		running[i] = x.peer()
	}
	wants, err := plan(running, peers, routes)
	kept := make([]bool, len(s.sessions))
	for _, w := range wants {
		if w.running >= 0 {
			kept[w.running] = true
		}
	}
	s.leaving = slices.DeleteFunc(s.leaving, (*session).gone)
	for i, x := range s.sessions {
		if !kept[i] {
			x.close(false)
			s.leaving = append(s.leaving, x)
			s.wake()
		}
	}
	next := make([]*session, len(wants))
	for i, w := range wants {
		if w.running < 0 {
			next[i] = startSession(s, w.want, s.leavingTo(w.want.peer))
			continue
		}
		next[i] = s.sessions[w.running]
		next[i].set(w.want)
	}
	s.sessions = next
	return err
}

// leavingTo returns the sessions with a peer's router that are about to end.
func (s *Speaker) leavingTo(p Peer) []*session {
	var all []*session
	for _, x := range s.leaving {
		if x.peer().host() == p.host() {
			all = append(all, x)
		}
	}
	return all
}

// Status tells what became of every peer, in the order of the peers given to Set.
func (s *Speaker) Status() []PeerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]PeerStatus, len(s.sessions))
	for i, x := range s.sessions {
		all[i] = x.status()
	}
	return all
}

// Changed receives a value after the status of any peer has changed; several changes make one value.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// Close ends all sessions. With keepRoutes connections are left to the exit of the process, without a Cease,
// so that a router that negotiated a graceful restart (Peer.RestartTime) keeps the routes for that long; the
// process must exit right afterwards. Peers that are watched are asked first to wait for the next process. Otherwise
// every router is sent a Cease and forgets the routes at once. Close waits for all sessions, 2 s at most.
func (s *Speaker) Close(keepRoutes bool) {
	s.mu.Lock()
	all := slices.Concat(s.sessions, s.leaving)
	for _, x := range s.sessions {
		x.close(keepRoutes)
	}
	s.closed, s.sessions, s.leaving = true, nil, nil
	s.mu.Unlock()

	enough := time.NewTimer(closeTime)
	defer enough.Stop()
	for _, x := range all {
		select {
		case <-x.done:
		case <-enough.C:
			s.log.Warn("not every BGP session was closed in time", zap.Duration("waited", closeTime))
			return
		}
	}
}

// wake tells Changed.
func (s *Speaker) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
