// Package speaker makes one node announce what it should: it follows the cluster's objects, decides from them
// all at once, and hands the plan to BGP and layer 2.
package speaker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/api"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/layer2"
)

const (
	// settle is how long is waited after a decision: what changes meanwhile is decided together.
	settle = 20 * time.Millisecond
	// atOnce is how many decisions in a row are not followed by that wait, as the address of a new Service and its endpoints
	// come one after the other. One more may be so each restInterval.
	atOnce       = 3
	restInterval = 200 * time.Millisecond
)

// Speaker announces for one node. Make it with New.
type Speaker struct {
	opts        Options
	log         *zap.Logger
	state       *state
	document    document.LastGood
	passwords   *passwords
	wake        chan struct{}
	discards    discards // the loop's own
	weights     weights  // likewise
	overlaps    overlaps // likewise
	fellows     *fellows
	caution     *caution
	gate        *gate
	reporter    *reporter // nil: there is no report
	keeper      *keeper
	kept        *kept // what the loop acts on in place of the cluster, which has not been read; nil: the cluster
	drain       *drain
	sessionless *sessionless
	departing   bool                     // it ends for good; the loop's own, as alone is
	alone       bool                     // of one that does: nobody else can announce its routes
	set         map[session]bgp.Password // of the peers that were set last, as long as they are configured; the loop's own

	mu               sync.Mutex
	last             *announce.Plan    // the last plan carried out; nil before the first ...
	decided          time.Time         // ... which was then
	problem          string            // what went wrong carrying it out
	stale            *Stale            // it is carried out from what was kept; nil: from the cluster
	nodeUID          types.UID         // the Node's, as the API server has told before the cluster was read
	passwordProblems map[string]string // what is wrong with the passwords of this node's peers, by their titles
}

// New returns a speaker that does nothing before Run.
func New(o Options) *Speaker {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	s := &Speaker{opts: o, log: o.Logger, wake: make(chan struct{}, 1), set: map[session]bgp.Password{}}
	s.state = newState(s.poke)
	s.discards = discards{kernel: o.Discards, wake: s.poke}
	s.weights, s.overlaps = weights{wake: s.poke}, overlaps{wake: s.poke}
	s.passwords = newPasswords(o, s.poke)
	s.fellows = newFellows(o, s.log, s.poke)
	s.gate = newGate(o, s.poke, s.log)
	s.drain = newDrain(o, s.log, s.poke)
	s.sessionless = newSessionless(o, s.log, s.poke)
	s.caution = newCaution(o.Neighbours, s.poke, s.log)
	s.keeper = newKeeper(o, s.log)
	s.fellows.vigil.ask = s.caution.again
	if o.Reports != nil {
		s.reporter = newReporter(s)
	}
	return s
}

// poke wakes the loop; it never blocks.
func (s *Speaker) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. No peer is added and nothing is claimed before every object was read once and a
// valid configuration was found, unless the API server does not answer and the last process on the node has kept what it
// knew. It returns an error when the configuration file is not valid.
func (s *Speaker) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // while it ends the speaker still sees what changes
	defer end()
	synced, err := s.watch(life)
	if err != nil {
		return err
	}
	defer s.passwords.stop()
	defer s.fellows.end()
	if s.opts.Join != nil {
		s.fellows.keys = followKeys(ctx, s.opts, s.poke)
	}
	if err := s.follow(ctx); err != nil {
		return err
	}
	s.followLinks(ctx)
	if !s.read(ctx, synced) {
		s.depart(life)
		return nil
	}
	s.log.Info("cluster read", zap.String("node", s.opts.Node))
	s.poke()
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { s.keeper.run(life) })
	if s.reporter != nil {
		beside.Go(func() { s.reporter.run(ctx) })
	}
	var keeping sync.WaitGroup
	keeping.Go(func() { s.drain.keep(life) })
	s.loop(ctx)
	s.depart(life)
	end()
	keeping.Wait()
	return nil
}

// read waits for the cluster's objects, and meets the other speakers meanwhile. As long as the API server does not
// answer, it acts on what the last process has kept.
func (s *Speaker) read(ctx context.Context, synced []cache.InformerSynced) bool {
	reading, read := context.WithCancel(ctx)
	defer read()
	done, away := make(chan bool, 1), make(chan struct{})
	go func() { done <- cache.WaitForCacheSync(ctx.Done(), synced...) }()
	if s.keeper.file != "" {
		go func() {
			if s.away(reading) {
				close(away)
			}
		}()
	}
	for {
		select {
		case ok := <-done:
			if ok {
				s.setStale(nil)
			}
			return ok
		case <-away:
			away = nil
			s.actOnKept()
		case <-s.wake:
			s.gate.follow(ctx, s.state.apiServer(), false)
			switch v := s.document.Version(); {
			case v == nil:
			case s.kept == nil:
				s.fellows.early(v.Config)
			case s.same():
				s.turn(ctx, v.Config)
				pauseUntil(ctx, time.Now().Add(settle))
			}
		}
	}
}

// followLinks has interfaces that come, go or change looked at, until ctx ends.
func (s *Speaker) followLinks(ctx context.Context) {
	if s.opts.Links == nil {
		return
	}
	_, changed := s.opts.Links()
	go func() {
		for {
			select {
			case <-changed:
				_, changed = s.opts.Links() // before who is woken looks
				s.poke()
			case <-ctx.Done():
				return
			}
		}
	}()
}

// Conflict is told of other stations that answer for addresses that this node answers for; it is for
// layer2.Options.OnConflict.
func (s *Speaker) Conflict(c layer2.Conflict) { s.caution.conflict(s.opts.Node, c) }

// watch starts the informers and returns what tells that each has delivered all there is.
func (s *Speaker) watch(ctx context.Context) ([]cache.InformerSynced, error) {
	all, client := metav1.NamespaceAll, s.opts.Client
	own := func(o *metav1.ListOptions) { o.LabelSelector = s.opts.Pods }
	var synced []cache.InformerSynced
	for _, w := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{api.Informer(client, client.Services(all), &corev1.Service{}, nil), s.state.serviceHandler()},
		{api.Informer(client, client.EndpointSlices(all), &discoveryv1.EndpointSlice{}, nil), s.state.sliceHandler()},
		{api.Informer(client, client.Nodes(), &corev1.Node{}, nil), s.state.nodeHandler()},
		{api.Informer(client, client.Pods(s.opts.Namespace), &corev1.Pod{}, own), s.state.podHandler()},
	} {
		if err := w.informer.SetTransform(s.state.reduce); err != nil {
			return nil, fmt.Errorf("watching the cluster: %w", err)
		}
		registration, err := w.informer.AddEventHandler(w.handler)
		if err != nil {
			return nil, fmt.Errorf("watching the cluster: %w", err)
		}
		synced = append(synced, registration.HasSynced)
		go w.informer.RunWithContext(ctx)
	}
	return synced, nil
}

// follow reads the file, or follows the accepted configuration until ctx ends.
func (s *Speaker) follow(ctx context.Context) error {
	if s.opts.File != "" {
		v, err := document.ReadFile(s.opts.File)
		if err != nil {
			return err
		}
		s.configure(v)
		return nil
	}
	return document.Follow(ctx, s.opts.Client, document.InSecret(s.opts.Namespace, s.opts.LastGood), s.configure)
}

// configure puts a configuration in force if it is valid; otherwise the last good one stays.
func (s *Speaker) configure(v document.Version) {
	if changed := s.document.Take(v); v.Err != nil {
		s.log.Error("configuration", zap.Bool("last_good_in_force", s.document.Version() != nil), zap.Error(v.Err))
	} else if changed {
		s.log.Info("configuration applied", zap.Int64("generation", v.Generation),
			zap.Int("pools", len(v.Config.Pools)), zap.Int("peers", len(v.Config.Peers)))
		s.poke()
	}
}

// loop decides from the whole view whenever something has changed: at once after a quiet time, and then after a settle
// time, so that a burst is decided together.
func (s *Speaker) loop(ctx context.Context) {
	rested := flowcontrol.NewTokenBucketPassiveRateLimiter(float32(time.Second/restInterval), atOnce)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if v := s.document.Version(); v != nil {
			s.turn(ctx, v.Config)
		}
		if !rested.TryAccept() {
			pauseUntil(ctx, time.Now().Add(settle))
		}
	}
}

// turn decides once and carries the plan out. A problem of one protocol does not keep the other waiting.
func (s *Speaker) turn(ctx context.Context, cfg config.Config) {
	v := s.view(cfg)
	var own announce.Node
	if i := slices.IndexFunc(v.Nodes, func(n announce.Node) bool { return n.Name == v.Node }); i >= 0 {
		own = v.Nodes[i]
	}
	v.Pools, v.Peers = pools(cfg), s.peers(cfg, own.Labels)
	s.gate.follow(ctx, s.state.apiServer(), own.NetworkUnavailable)
	v.Unproven, v.Announced = s.gate.shut()
	s.fellows.unproven = v.Unproven
	v.DrainTaints = cfg.Drain.OnTaints
	v.Stage = s.drain.stage(own.Drains(v.DrainTaints), cfg.Drain)
	v.Nodes = s.sessionless.tell(ctx, v.Stage == announce.Leaving || v.Stage == announce.Withdrawing || s.departing, v.Nodes)
	s.alone = s.departing && announce.Alone(v)
	s.fellows.draining = v.Stage != announce.Staying
	plan := s.decide(ctx, cfg, v)
	s.weights.settle(plan.Routes, time.Now())
	s.gate.announced(plan.Verdicts)
	for _, p := range plan.Peers {
		s.set[sessionWith(p)] = p.Password
	}
	if own.Name != "" && s.opts.Prefer != nil {
		s.opts.Prefer(own.InternalIPs)
	}
	claimed := s.opts.Claims.Set(plan.Claims)
	s.fellows.tell(cfg, plan.Claims, s.caution.undecided())
	err := errors.Join(s.state.problem(s.opts.Node), claimed, s.discards.set(plan.Aggregates),
		s.opts.Routes.Set(plan.Peers, plan.Routes))
	s.mu.Lock()
	before, problem := s.last, s.problem
	if s.last, s.problem = &plan, ""; before == nil {
		s.decided = time.Now()
	}
	if err != nil {
		s.problem = err.Error()
	}
	s.mu.Unlock()
	if err != nil && err.Error() != problem {
		s.log.Error("carrying out the plan", zap.Error(err))
	}
	s.drain.carried(v.Stage, plan)
	s.tell(before, plan)
	if s.reporter != nil {
		s.reporter.rouse()
	}
}

// decide decides with what is known of the other speakers. What another one may still answer for is left alone until it
// was asked for.
func (s *Speaker) decide(ctx context.Context, cfg config.Config, v announce.View) announce.Plan {
	s.opts.Claims.Configure(cfg.ExcludeInterfaces, cfg.GratuitousRate)
	v.Exclude = cfg.ExcludeInterfaces
	s.fellows.follow(cfg, v.Nodes, s.places())
	company := s.fellows.look(cfg, &v)
	if s.opts.Join != nil {
		s.opts.Neighbours.SetSpeakers(company.byMAC)
	}
	if v.Members == nil && s.kept == nil {
		return s.overlaps.decide(v, s.last, time.Now())
	}
	var links []layer2.Link
	if v.Members != nil {
		links = v.Members[len(v.Members)-1].Links
	}
	s.caution.look(company, links, s.fresh(cfg), s.fellows.claimed())
	s.doubt(v.Members)
	s.caution.follow(company, s.fellows.held)
	s.caution.seek(ctx, company, s.fellows.held)
	v.Answered = s.caution.answered()
	plan := s.overlaps.decide(v, s.last, time.Now())
	if s.caution.hold(ctx, plan.Claims, s.fellows.held) {
		v.Answered = s.caution.answered()
		plan = s.overlaps.decide(v, s.last, time.Now())
	}
	s.fellows.decided = s.fellows.decided || !v.Silent
	s.fellows.vigil.follow(ctx, company, v, plan.Claims)
	return plan
}
