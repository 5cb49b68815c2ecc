package speaker

import (
	"errors"
	"fmt"
	"time"

	"github.com/kontena/network-lb/bgp"
)

// sessionTime is for how long after the first decision a speaker is not Ready because a session is not up. A router that
// is away for longer, or for good, is no reason to hold up what waits for this speaker.
const sessionTime = 30 * time.Second

// Ready returns nil when the first decision was carried out, the sessions with all peers have come up or had time to, and
// nothing keeps this node from announcing; else what it waits for.
func (s *Speaker) Ready() error {
	if err := s.document.Ready(); err != nil {
		return err
	}
	s.mu.Lock()
	plan, since := s.last, s.decided
	s.mu.Unlock()
	if plan == nil {
		return errors.New("the cluster's objects have not all been read yet")
	}
	if err := s.fellows.ready(); err != nil {
		return err
	}
	if time.Since(since) < sessionTime {
		for _, x := range s.sessions(plan) {
			if x.State != bgp.Established && !x.wasUp() {
				return fmt.Errorf("BGP: the session with %s is not up yet", x.Peer)
			}
		}
	}
	return s.gate.ready()
}

// wasUp reports whether the session has been Established.
func (p Session) wasUp() bool { return p.Flaps > 0 || !p.LostAt.IsZero() }
