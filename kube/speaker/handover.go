package speaker

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce"
)

// handingOver is how long a speaker that ends goes on answering for an address that nobody has taken yet.
const handingOver = time.Second

// depart has others take over what this speaker announces before it is silent. On layer 2 it says that it ends, and answers
// for each address until another node does; what nobody else can take is not waited for. If it ends for good, its routes ask
// to be replaced and are withdrawn as those of a node that is drained, in the time that it has, unless there is no other
// node to announce them.
func (s *Speaker) depart(life context.Context) {
	v := s.document.Version()
	s.mu.Lock()
	decided := s.last != nil
	s.mu.Unlock()
	if v == nil || !decided || s.restart(life, v.Config) {
		return
	}
	s.fellows.ending = true
	s.fellows.disown()
	layer2 := len(s.fellows.held)+len(s.fellows.standing) > 0 && s.fellows.membership() != nil
	var left time.Duration
	if s.opts.Ending != nil {
		left = s.opts.Ending()
	}
	if s.departing = left > 0; s.departing {
		s.drain.depart(left)
	}
	enough := time.After(handingOver)
	for layer2 || s.departing {
		s.turn(life, v.Config)
		if waits := layer2 && s.waits(); !waits && !(s.departing && !s.alone && s.drain.departs()) {
			return
		}
		pauseUntil(life, time.Now().Add(settle))
		select {
		case <-s.wake:
		case <-enough:
			if layer2 && s.waits() {
				s.log.Warn("addresses were not taken over in time", zap.Stringers("addresses", s.fellows.held))
			}
			layer2 = false
		}
	}
}

// waits reports whether this speaker answers for an address until another one does in its place.
func (s *Speaker) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	others := s.fellows.seen().alive
	return slices.ContainsFunc(s.last.Verdicts, func(v announce.Verdict) bool {
		switch self := s.opts.Node; {
		case v.Protocol != announce.Layer2:
			return false
		case v.Reason != "": // it stands in itself, and is to be relieved
			_, stands := slices.BinarySearchFunc(s.fellows.standing, v.Addr, netip.Addr.Compare)
			return stands && v.StandIn != self && v.StandIn != ""
		case v.Owner == self:
			return v.StandIn != "" && !others[v.StandIn].StandsIn(v.Addr)
		}
		return true
	})
}
