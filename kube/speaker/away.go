package speaker

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/config"
)

const (
	// unheard is for how long the API server does not answer before a speaker that has just started acts on what the last
	// process has kept. Where it is there everything has been read long before; routers keep the routes of a speaker that
	// restarts for 30 s, and on layer 2 the other nodes have taken over by then what they can.
	unheard = 3 * time.Second
	// askEvery is how often it is asked meanwhile, and how long each time.
	askEvery = time.Second
)

// Stale is what a speaker acts on that has not read the cluster yet, since the API server does not answer.
type Stale struct {
	Since   time.Time `json:"since"`   // it acts on that
	Written time.Time `json:"written"` // when the process before it still knew it to hold
}

// away waits until the API server has not answered for a while, and reports whether that came before ctx's end. Any answer
// counts, also one that refuses: who is not allowed any more has no right to what was before. The Node's UID is taken note
// of.
func (s *Speaker) away(ctx context.Context) bool {
	for heard := time.Now(); time.Since(heard) < unheard && ctx.Err() == nil; {
		next := time.Now().Add(askEvery)
		pauseUntil(ctx, next) // a start asks for nothing where it has read everything within this time
		asked, end := context.WithTimeout(ctx, askEvery)
		n, err := s.opts.Client.Nodes().Get(asked, s.opts.Node, metav1.GetOptions{})
		end()
		if err == nil {
			s.mu.Lock()
			s.nodeUID = n.UID
			s.mu.Unlock()
		}
		if answered(err) {
			heard = time.Now()
		}
	}
	return ctx.Err() == nil
}

// answered reports whether the API server has answered, and not only said that it cannot.
func answered(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err == nil
	}
	code := status.Status().Code
	return code < http.StatusInternalServerError && code != http.StatusTooManyRequests
}

// actOnKept begins to act on what the last process has kept, if that may be.
func (s *Speaker) actOnKept() {
	k, err := readKept(s.keeper.file)
	if errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("the API server does not answer; nothing is announced before it does, since the last run has kept nothing")
		return
	}
	s.mu.Lock()
	uid := s.nodeUID
	s.mu.Unlock()
	if err == nil {
		err = k.usable(s.opts, uid, time.Now())
	}
	if err == nil && s.document.Version() == nil {
		in, problem := k.version(s.opts)
		if err = problem; err == nil {
			s.configure(in)
		}
	}
	if err != nil {
		s.log.Warn("the API server does not answer; nothing is announced before it does, since what the last run has kept is of no use", zap.Error(err))
		return
	}
	s.log.Warn("the API server does not answer; acting on what the last run has kept", zap.Time("written", k.written),
		zap.Int64("generation", k.Generation), zap.Int("services", len(k.services)))
	s.setStale(k)
	s.poke()
}

// setStale has the loop act on what was kept; nil: on the cluster. A Service that had an endpoint until then, and has none
// now, has just lost it.
func (s *Speaker) setStale(k *kept) {
	if k == nil && s.kept != nil {
		s.state.follows(s.kept.services)
	}
	s.kept = k
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stale = nil; k != nil {
		s.stale = &Stale{Since: time.Now(), Written: k.written}
	}
}

// follows takes note of the endpoints that Services have had until now.
func (s *state) follows(services []announce.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, svc := range services { // each is a copy
		if e := s.services[svc.Name]; e != nil {
			e.holds.Apply(&svc, now)
		}
	}
}

// same reports whether the Node is the one that what was kept is of, as far as that has been seen. Of another one nothing
// more is done, nor undone, before the cluster has been read.
func (s *Speaker) same() bool {
	uid, _ := s.state.uid(s.opts.Node)
	return uid == "" || uid == s.kept.UID
}

// view returns what is known of the cluster without the configuration, or what the last process has known of it.
func (s *Speaker) view(cfg config.Config) announce.View {
	if s.kept == nil {
		v := s.state.view(s.opts.Node, cfg.LoadBalancerClass)
		s.keeper.put(s.keep(v))
		return v
	}
	v := announce.View{Node: s.opts.Node, Nodes: s.kept.Nodes}
	if s.kept.Class == cfg.LoadBalancerClass {
		v.Services = s.kept.services
	}
	return v
}

// doubt has nothing taken on layer 2, while the speaker acts on what was kept, but what nobody answers for. What the
// cluster said of a node then counts for nothing where its speaker is not met.
func (s *Speaker) doubt(all []announce.Member) {
	s.caution.doubt(s.kept != nil)
	for i := range all {
		if s.kept != nil && all[i].Presence == announce.Missing {
			all[i].Presence = announce.Lost
		}
	}
}

// places are the nodes that have a speaker's Pod.
func (s *Speaker) places() map[string]bool {
	if s.kept == nil {
		return s.state.places()
	}
	out := map[string]bool{}
	for _, n := range s.kept.Places {
		out[n] = true
	}
	return out
}

// fresh are the addresses that were never announced; of what was kept there are none, as each is asked for anyway.
func (s *Speaker) fresh(cfg config.Config) map[netip.Addr]config.Probe {
	if s.kept == nil {
		return s.state.fresh(cfg)
	}
	return nil
}

// Remark says what a speaker that is ready acts on, where that is not the cluster; else it is empty.
func (s *Speaker) Remark() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stale == nil || s.last == nil {
		return ""
	}
	return "the API server does not answer: acting on what was known at " + s.stale.Written.UTC().Format(time.RFC3339)
}
