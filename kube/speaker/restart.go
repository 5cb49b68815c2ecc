package speaker

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/internal/atomicfile"
	"github.com/kontena/network-lb/layer2"
)

const (
	// leastReturn is for how long at least a speaker that is back asks for what its node held, whatever its clock says of
	// the time since: what somebody else has taken meanwhile it leaves alone anyhow.
	leastReturn = 5 * time.Second
	// mostReturn is how old may be what the last speaker left.
	mostReturn = time.Hour
)

// succession is what of fellows is for restarts.
type succession struct {
	standing   []netip.Addr  // answered for in the place of others
	vigil      *vigil        // over these
	restarting time.Duration // it is about to end, and another one follows: how long that may take
	back       comeback      // what this node held before its speaker restarted ...
	behind     atomic.Bool   // ... which is not decided on yet
}

// legacy is what a speaker that restarts leaves to the next one on its node.
type legacy struct {
	Boot      string        `json:"boot"` // of the node, see BootID
	Ended     time.Time     `json:"ended"`
	Grace     time.Duration `json:"grace"` // in nanoseconds
	Addresses []netip.Addr  `json:"addresses"`
}

// comeback is what this node held before its speaker restarted, until it is decided on. The others stand in meanwhile.
type comeback struct {
	addrs []netip.Addr // in order
	grace time.Duration
	until time.Time
}

func (b comeback) pending() bool { return len(b.addrs) > 0 && time.Now().Before(b.until) }

// restart has other speakers stand in for this one, if it is about to be followed by another on this node, and reports
// whether it is. It waits until they do, for a second at most.
func (s *Speaker) restart(life context.Context, cfg config.Config) bool {
	f := s.fellows
	if s.opts.Restarting == nil || s.opts.State == "" || s.opts.BootID == "" || f.membership() == nil || f.draining || len(f.claimed())+len(f.standing) == 0 {
		return false
	}
	if why := s.opts.Restarting(); why != nil {
		s.log.Info("layer 2 addresses are handed over", zap.String("reason", why.Error()))
		return false
	}
	if err := f.bequeath(cfg.RestartGrace); err != nil {
		s.log.Warn("layer 2 addresses are handed over, as the next speaker cannot know of them", zap.Error(err))
		return false
	}
	f.restarting = cfg.RestartGrace
	for enough := time.After(handingOver); ; {
		if s.turn(life, cfg); !s.waits() {
			return true
		}
		pauseUntil(life, time.Now().Add(settle))
		select {
		case <-s.wake:
		case <-enough:
			s.log.Warn("nobody stands in for addresses yet", zap.Stringers("addresses", slices.Concat(f.held, f.standing)))
			return true
		}
	}
}

// bequeath keeps what this node answers for, for the next speaker on it.
func (f *fellows) bequeath(grace time.Duration) error {
	text, err := json.Marshal(legacy{f.opts.BootID, time.Now(), grace, f.claimed()})
	if err != nil {
		return err
	}
	return atomicfile.Write(f.legacyFile(), text)
}

// inherit reads what the last speaker on this node has left, if it was to be followed by this one.
func (f *fellows) inherit() {
	if f.opts.State == "" || f.opts.BootID == "" {
		return
	}
	var l legacy
	text, err := os.ReadFile(f.legacyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		f.log.Warn("what the last speaker answered for is not remembered", zap.Error(err))
		return
	}
	since := time.Since(l.Ended)
	if l.Boot != f.opts.BootID || since > mostReturn || len(l.Addresses) == 0 {
		return
	}
	f.back = comeback{addrs: sorted(l.Addresses), grace: min(l.Grace, max(leastReturn, l.Grace-since))}
	f.back.until = time.Now().Add(f.back.grace)
	f.behind.Store(true)
	time.AfterFunc(f.back.grace, f.wake)
}

// settle takes note of what became of the addresses that this node held before: those that are still asked for remain.
func (f *fellows) settle(asked map[netip.Addr]string) {
	if len(f.back.addrs) == 0 || !f.decided && f.back.pending() {
		return
	}
	f.back.addrs = slices.DeleteFunc(slices.Clone(f.back.addrs), func(a netip.Addr) bool {
		_, waits := asked[a]
		return !waits || !f.back.pending()
	})
	if len(f.back.addrs) == 0 {
		f.disown()
	}
}

// disown has the next speaker on this node not know of anything.
func (f *fellows) disown() {
	f.back = comeback{}
	f.behind.Store(false)
	if f.opts.State == "" {
		return
	}
	if err := os.Remove(f.legacyFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Warn("what the last speaker answered for is not forgotten", zap.Error(err))
	}
}

func (f *fellows) legacyFile() string { return filepath.Join(f.opts.State, "restart.json") }

// claimed are the addresses that are this node's, as far as it is about to answer for them again.
func (f *fellows) claimed() []netip.Addr {
	if !f.back.pending() {
		return f.held
	}
	return sorted(slices.Concat(f.held, f.back.addrs))
}

// restarts is for how long others stand in for this speaker; 0: they do not.
func (f *fellows) restarts() time.Duration {
	if f.restarting == 0 && f.back.pending() {
		return f.back.grace
	}
	return f.restarting
}

// answerFor notes what is answered for: the node's own, and that of others.
func (f *fellows) answerFor(claims []layer2.Claim) {
	f.held, f.standing = nil, nil
	for _, c := range claims {
		if c.MAC == (layer2.MAC{}) {
			f.held = append(f.held, c.Addr)
		} else {
			f.standing = append(f.standing, c.Addr)
		}
	}
	f.standing = slices.Compact(f.standing)
}

func sorted(addrs []netip.Addr) []netip.Addr {
	return slices.Compact(slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare))
}
