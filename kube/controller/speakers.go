package controller

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

const (
	// speakersPatience is how long the beginning of leading waits for the speakers' reports.
	speakersPatience = 3 * time.Second
	// spreadInterval is the least time between two looks at what other reports mean for Services.
	spreadInterval = 500 * time.Millisecond
	// absence is how long the report of a speaker counts that is not Ready any more: a restart takes less, and on BGP
	// nobody notices it.
	absence = 30 * time.Second
)

// speakers is what the nodes' speakers report, as far as it counts.
type speakers struct {
	c    *Controller
	wake chan struct{} // something is in dirty

	mu    sync.Mutex
	on    bool                 // the cluster has the resource, and the reports have been read
	nodes map[string]*speaker  // by the nodes' names
	past  map[string]*speaker  // what was last looked at, of the nodes that are others now; nil: nothing counted
	pods  map[string]string    // the nodes of the speakers' Pods that are Ready, by the Pods' keys
	gone  map[string]time.Time // since when a node with a report has no such Pod
	list  []counted            // of view; nil: to be made anew
	any   bool                 // of view
}

// speaker is a report as far as it is used. It is not changed.
type speaker struct {
	ours        bool // of this installation
	written     time.Time
	layer2, bgp reports.Set
	not         []silence
	never       []ipam.Range
}

// silence is what a node does not announce for a reason.
type silence struct {
	reason string
	addrs  reports.Set
}

func newSpeakers(c *Controller) *speakers {
	return &speakers{
		c: c, wake: make(chan struct{}, 1), nodes: map[string]*speaker{}, past: map[string]*speaker{},
		pods: map[string]string{}, gone: map[string]time.Time{},
	}
}

// follow follows the reports until ctx ends, and returns when they are known, or that takes long. Where the cluster does
// not have the resource, or the right to it, there are none.
func (sp *speakers) follow(ctx context.Context) {
	if sp.c.opts.Reports == nil {
		return
	}
	began, cancel := context.WithTimeout(ctx, speakersPatience)
	defer cancel()
	_, err := sp.c.opts.Reports.Resource(reports.Speakers).List(began, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		sp.c.log.Warn("Services will have no condition Announced; see crds.install of the chart", zap.Error(err))
		return
	}
	synced := []cache.InformerSynced{sp.followPods(ctx)}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(sp.c.opts.Reports, 0)
	informer := factory.ForResource(reports.Speakers).Informer()
	_ = informer.SetTransform(stripReport)
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: sp.learn, UpdateFunc: func(_, o any) { sp.learn(o) }, DeleteFunc: sp.forget,
	})
	if err != nil {
		return // an informer has ended: so has ctx
	}
	synced = append(synced, registration.HasSynced)
	factory.Start(ctx.Done())
	known := func() {
		if !cache.WaitForCacheSync(ctx.Done(), synced...) {
			return
		}
		sp.mu.Lock()
		sp.on = true
		sp.mu.Unlock()
		sp.rouse()
	}
	if !cache.WaitForCacheSync(began.Done(), synced...) {
		go known()
		return
	}
	known()
}

// followPods follows the speakers' Pods, and returns what tells that all are known.
func (sp *speakers) followPods(ctx context.Context) cache.InformerSynced {
	if sp.c.opts.Pods == "" {
		return func() bool { return true }
	}
	informer := coreinformers.NewFilteredPodInformer(sp.c.opts.Client, sp.c.opts.Namespace, 0, nil,
		func(o *metav1.ListOptions) { o.LabelSelector = sp.c.opts.Pods })
	_ = informer.SetTransform(stripPod)
	changed := func(o any) {
		if p, ok := o.(*corev1.Pod); ok {
			sp.ready(p.Namespace+"/"+p.Name, objects.Speaker(p))
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: func(o any) {
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
				sp.ready(key, "")
			}
		},
	})
	if err != nil {
		return func() bool { return true } // an informer has ended: so has ctx
	}
	go informer.RunWithContext(ctx)
	return registration.HasSynced
}

// stripReport and stripPod drop what nobody reads before an object enters the cache.
func stripReport(o any) (any, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.SetManagedFields(nil)
	}
	return o, nil
}

func stripPod(o any) (any, error) {
	if p, ok := o.(*corev1.Pod); ok {
		p.ManagedFields, p.Spec.Containers, p.Spec.Volumes = nil, nil, nil
	}
	return o, nil
}

// learn takes in a report. One that a hand has spoilt is as none.
func (sp *speakers) learn(o any) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	report, err := reports.ToSpeaker(u)
	if err != nil {
		sp.c.log.Warn("a speaker's report", zap.Error(err))
	}
	sp.change(u.GetName(), sp.read(report.Status))
}

func (sp *speakers) forget(o any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
		sp.change(key, nil)
	}
}

// read takes out of a report what is used.
func (sp *speakers) read(s reports.SpeakerStatus) *speaker {
	out := &speaker{
		ours: s.Installation == reports.Installation(sp.c.opts.Namespace, sp.c.opts.LastGood), written: s.Written.Time,
		layer2: s.Layer2.Set(), never: networkRanges(s.Subnets, s.Gateways),
	}
	if s.BGP != nil {
		out.bgp = s.BGP.Set()
	}
	for _, r := range s.NotAnnounced.Reasons {
		out.not = append(out.not, silence{r.Reason, r.Set()})
	}
	return out
}

// networkRanges returns the gateways, and of the subnets the network and broadcast address; of IPv6 ones the first is
// their routers' anycast address (RFC 4291 section 2.6.1). Subnets of two addresses have neither (RFC 3021, RFC 6164).
func networkRanges(subnets, gateways []string) (all []ipam.Range) {
	one := func(a netip.Addr) { all = append(all, ipam.Range{From: a, To: a}) }
	for _, text := range subnets {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().BitLen()-p.Bits() < 2 {
			continue
		}
		r := ipam.PrefixRange(p.Masked())
		one(r.From)
		if r.From.Is4() {
			one(r.To)
		}
	}
	for _, text := range gateways {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			one(a.Unmap())
		}
	}
	return all
}

// change replaces a node's report; nil: there is none.
func (sp *speakers) change(node string, now *speaker) {
	sp.mu.Lock()
	before := sp.nodes[node]
	sp.soil(node)
	if now == nil {
		delete(sp.nodes, node)
		delete(sp.gone, node)
	} else {
		sp.nodes[node] = now
		sp.absent(node)
	}
	sp.mu.Unlock()
	if !slices.Equal(neverOf(before), neverOf(now)) {
		sp.c.rangesChanged()
	}
	sp.rouse()
}

func neverOf(s *speaker) []ipam.Range {
	if s == nil {
		return nil
	}
	return s.never
}

// ready notes on which node a speaker's Pod is Ready; empty: on none.
func (sp *speakers) ready(pod, node string) {
	sp.mu.Lock()
	before := sp.pods[pod]
	for _, n := range []string{before, node} {
		if n != "" {
			sp.soil(n)
		}
	}
	if node == "" {
		delete(sp.pods, pod)
	} else {
		sp.pods[pod] = node
	}
	for _, n := range []string{before, node} {
		if n != "" {
			sp.absent(n)
		}
	}
	sp.mu.Unlock()
	if before != node {
		sp.rouse()
	}
}

// absent notes since when a node has no speaker that is Ready. With the lock.
func (sp *speakers) absent(node string) {
	for _, n := range sp.pods {
		if n == node {
			delete(sp.gone, node)
			return
		}
	}
	if _, noted := sp.gone[node]; !noted && sp.c.opts.Pods != "" {
		sp.gone[node] = time.Now()
		time.AfterFunc(absence, func() {
			sp.mu.Lock()
			if s := sp.nodes[node]; s != nil && s.ours {
				sp.past[node] = s // it counted until now
			}
			sp.list = nil
			sp.mu.Unlock()
			sp.rouse()
		})
	}
}

// soil keeps what counted of a node until it is looked at what another report means. With the lock.
func (sp *speakers) soil(node string) {
	sp.list = nil
	if _, was := sp.past[node]; !was {
		sp.past[node] = sp.counts(node)
	}
}

// counts returns the report of a node if it counts. With the lock.
func (sp *speakers) counts(node string) *speaker {
	s := sp.nodes[node]
	if s == nil || !s.ours {
		return nil
	}
	if since, gone := sp.gone[node]; gone && time.Since(since) >= absence {
		return nil
	}
	return s
}

func (sp *speakers) rouse() {
	select {
	case sp.wake <- struct{}{}:
	default:
	}
}

// never returns the addresses that are never assigned because of where the nodes are.
func (sp *speakers) never() (all []ipam.Range) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, s := range sp.nodes {
		all = append(all, s.never...)
	}
	return all
}

// counted is the report of a node that counts.
type counted struct {
	node string
	*speaker
}

// view returns the reports that count, in order of their nodes, and whether there is any at all. The list is not to be
// changed.
func (sp *speakers) view() (all []counted, any bool) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.list == nil {
		sp.list, sp.any = []counted{}, false
		for _, node := range slices.Sorted(maps.Keys(sp.nodes)) {
			sp.any = sp.any || sp.nodes[node].ours
			if s := sp.counts(node); s != nil {
				sp.list = append(sp.list, counted{node, s})
			}
		}
	}
	return sp.list, sp.any && sp.on
}

// spread queues the Services that other reports say something else about, until ctx ends.
func (sp *speakers) spread(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-sp.wake:
		}
		sp.mu.Lock()
		past := sp.past
		sp.past = map[string]*speaker{}
		pairs := make(map[string][2]*speaker, len(past))
		for node, before := range past {
			pairs[node] = [2]*speaker{before, sp.counts(node)}
		}
		on := sp.on
		if !on {
			maps.Copy(sp.past, past)
		}
		sp.mu.Unlock()
		if on {
			for _, s := range sp.c.all(sp.c.class()) {
				if slices.ContainsFunc(s.Status, func(a netip.Addr) bool { return differ(pairs, a) }) {
					sp.c.queue.Add(s.Key())
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(spreadInterval):
		}
	}
}

// differ says that a node says something else about an address than before.
func differ(pairs map[string][2]*speaker, a netip.Addr) bool {
	for _, p := range pairs {
		if p[0].says(a) != p[1].says(a) {
			return true
		}
	}
	return false
}

// word is what a report says about an address.
type word struct {
	layer2, bgp, unknown bool
	reason               string // the most telling of those for which it is not announced
}

// says looks an address up. Of no report it is nothing.
func (s *speaker) says(a netip.Addr) (w word) {
	if s == nil {
		return w
	}
	var known2, knownB bool
	w.layer2, known2 = s.layer2.Has(a)
	w.bgp, knownB = s.bgp.Has(a)
	w.unknown = !known2 || !knownB
	for _, n := range s.not {
		if has, _ := n.addrs.Has(a); has && (w.reason == "" || tells(n.reason) < tells(w.reason)) {
			w.reason = n.reason
		}
	}
	return w
}
