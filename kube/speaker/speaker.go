// Package speaker makes one node announce what it should: it follows the cluster's objects, decides from them
// all at once, and hands the plan to BGP and layer 2.
package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/layer2"
)

// settle is the least time between two decisions: changes that come within it are decided together.
const settle = 20 * time.Millisecond

// Routes is where the plan's BGP part goes; *bgp.Speaker is one.
type Routes interface {
	Set(peers []bgp.Peer, routes []bgp.Route) error
	Status() []bgp.PeerStatus
}

// Claims is where the plan's layer 2 part goes; *layer2.Responder is one.
type Claims interface {
	Set(claims []layer2.Claim) error
	Status() layer2.Status
}

// Options say where a speaker works and with what.
type Options struct {
	Client kubernetes.Interface
	// Node is the name of the node it runs on.
	Node string
	// Namespace is where its configuration and the speakers' Pods are, and Pods the label selector of these.
	Namespace, Pods string
	// LastGood names the Secret with the accepted configuration; File, if set, takes its place.
	LastGood, File string
	Routes         Routes
	Claims         Claims
	Discards       Discards // nil: what nobody has of an aggregate is not refused
	// Prefer is told the node's InternalIPs before each decision is carried out: BGP's next hops. nil: nobody is.
	Prefer func([]netip.Addr)
	// Reports writes the node's Speaker report; nil: there is none. The report has the node's BootID, and what Network
	// says every half minute (nil: nothing).
	Reports dynamic.Interface
	BootID  string
	Network func() (subnets []netip.Prefix, gateways []netip.Addr, err error)
	Logger  *zap.Logger
}

// Speaker announces for one node. Make it with New.
type Speaker struct {
	opts      Options
	log       *zap.Logger
	state     *state
	document  document.LastGood
	passwords *passwords
	wake      chan struct{}
	reporter  *reporter                // nil: there is no report
	discards  discards                 // the loop's own
	set       map[session]bgp.Password // of the peers that were set last, as long as they are configured; the loop's own

	mu               sync.Mutex
	last             *announce.Plan    // the last plan carried out; nil before the first
	problem          string            // what went wrong carrying it out
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
	s.passwords = newPasswords(o.Client, o.Namespace, s.poke)
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
// valid configuration was found. It returns an error when the configuration file is not valid.
func (s *Speaker) Run(ctx context.Context) error {
	synced, err := s.watch(ctx)
	if err != nil {
		return err
	}
	defer s.passwords.stop()
	if err := s.follow(ctx); err != nil {
		return err
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	s.log.Info("cluster read", zap.String("node", s.opts.Node))
	s.poke()
	if s.reporter != nil {
		var reporting sync.WaitGroup
		defer reporting.Wait()
		reporting.Go(func() { s.reporter.run(ctx) })
	}
	s.loop(ctx)
	return nil
}

// watch starts the informers and returns what tells that each has delivered all there is.
func (s *Speaker) watch(ctx context.Context) ([]cache.InformerSynced, error) {
	cluster := informers.NewSharedInformerFactoryWithOptions(s.opts.Client, 0, informers.WithTransform(strip))
	own := informers.NewSharedInformerFactoryWithOptions(s.opts.Client, 0, informers.WithTransform(strip),
		informers.WithNamespace(s.opts.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = s.opts.Pods }))
	var synced []cache.InformerSynced
	for _, w := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{cluster.Core().V1().Services().Informer(), s.state.serviceHandler()},
		{cluster.Discovery().V1().EndpointSlices().Informer(), s.state.sliceHandler()},
		{cluster.Core().V1().Nodes().Informer(), s.state.nodeHandler()},
		{own.Core().V1().Pods().Informer(), s.state.podHandler()},
	} {
		registration, err := w.informer.AddEventHandler(w.handler)
		if err != nil {
			return nil, fmt.Errorf("watching the cluster: %w", err)
		}
		synced = append(synced, registration.HasSynced)
	}
	cluster.Start(ctx.Done())
	own.Start(ctx.Done())
	return synced, nil
}

// strip drops the bulk of what nobody reads before an object enters the cache.
func strip(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Service:
		o.ManagedFields = nil
	case *discoveryv1.EndpointSlice:
		o.ManagedFields = nil
	case *corev1.Node:
		o.ManagedFields, o.Status.Images, o.Annotations = nil, nil, nil
	case *corev1.Pod:
		o.ManagedFields, o.Spec.Containers, o.Spec.Volumes = nil, nil, nil
	}
	return o, nil
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

// loop decides from the whole view whenever something has changed: at once after a quiet time, and then at most
// once in each settle time, so that a burst is decided together.
func (s *Speaker) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if v := s.document.Version(); v != nil {
			s.turn(v.Config)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settle):
		}
	}
}

// turn decides once and carries the plan out. A problem of one protocol does not keep the other waiting.
func (s *Speaker) turn(cfg config.Config) {
	v := s.state.view(s.opts.Node, cfg.LoadBalancerClass)
	var own announce.Node
	if i := slices.IndexFunc(v.Nodes, func(n announce.Node) bool { return n.Name == v.Node }); i >= 0 {
		own = v.Nodes[i]
	}
	v.Pools, v.Peers = pools(cfg), s.peers(cfg, own.Labels)
	plan := announce.Decide(v)
	for _, p := range plan.Peers {
		s.set[sessionWith(p)] = p.Password
	}
	if own.Name != "" && s.opts.Prefer != nil {
		s.opts.Prefer(own.InternalIPs)
	}
	err := errors.Join(s.opts.Claims.Set(plan.Claims), s.discards.set(plan.Aggregates),
		s.opts.Routes.Set(plan.Peers, plan.Routes))
	s.mu.Lock()
	before, problem := s.last, s.problem
	s.last, s.problem = &plan, ""
	if err != nil {
		s.problem = err.Error()
	}
	s.mu.Unlock()
	if err != nil && err.Error() != problem {
		s.log.Error("carrying out the plan", zap.Error(err))
	}
	s.tell(before, plan)
	if s.reporter != nil {
		s.reporter.rouse()
	}
}

// tell logs what begins and what ends; the rest is said at debug level.
func (s *Speaker) tell(before *announce.Plan, now announce.Plan) {
	old := map[announce.Verdict]bool{} // by all but the reason and the owner
	if before != nil {
		for _, v := range before.Verdicts {
			old[subject(v)] = v.Reason == ""
		}
	}
	for _, v := range now.Verdicts {
		was := old[subject(v)]
		delete(old, subject(v))
		switch is := v.Reason == ""; {
		case is && !was:
			s.log.Info("announcing", about(v)...)
		case was && !is:
			s.log.Info("no longer announcing", about(v)...)
		case !is:
			s.log.Debug("not announcing", about(v)...)
		}
	}
	for v, was := range old {
		if was {
			s.log.Info("no longer announcing", about(v)...)
		}
	}
}

func subject(v announce.Verdict) announce.Verdict {
	return announce.Verdict{Service: v.Service, Addr: v.Addr, Protocol: v.Protocol}
}

func about(v announce.Verdict) []zap.Field {
	return []zap.Field{zap.String("service", v.Service), zap.Stringer("address", v.Addr), zap.String("protocol", string(v.Protocol)),
		zap.String("reason", string(v.Reason)), zap.String("owner", v.Owner)}
}

// Ready returns nil once the first decision was carried out, else what it waits for.
func (s *Speaker) Ready() error {
	if err := s.document.Ready(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return errors.New("the cluster's objects have not all been read yet")
	}
	return nil
}
