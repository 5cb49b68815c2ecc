// Package controller gives Services of type LoadBalancer their addresses: it follows the Services and the
// configuration, asks the allocator, and writes what it says into the Services' statuses.
package controller

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/events"
	"github.com/kontena/network-lb/kube/objects"
)

// writers is how many statuses are written at the same time.
const writers = 16

// A Service that could not be written is tried again after firstRetry, then after twice as long each time, up to
// lastRetry.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// lastEvents is how long the end waits for Events to be posted; the Lease is free by then.
const lastEvents = 2 * time.Second

// Options say where a controller works.
type Options struct {
	Client kubernetes.Interface
	// Namespace is where its configuration and its Lease are.
	Namespace string
	// ConfigMap names the configuration, and LastGood the Secret for the accepted copy of it; File, if set, takes the
	// place of both.
	ConfigMap, LastGood, File string
	// Membership names the Secret for the key by which the speakers know each other; empty: somebody else sees to that.
	Membership string
	// Lease names the Lease by which one of several replicas leads, and Identity this replica in it.
	Lease, Identity string
	// Reports writes the AddressPools and reads the Speakers; nil: there are none, releases are not remembered when the
	// leader changes, and Services have no condition Announced. ClusterRole names what AddressPools are deleted with; empty:
	// nothing. Pods is a label selector of the speakers' Pods: what a speaker has reported counts only while its Pod is
	// Ready, and half a minute longer; empty: always.
	Reports           dynamic.Interface
	ClusterRole, Pods string
	Logger            *zap.Logger
}

// Controller assigns addresses. Make it with New.
type Controller struct {
	opts     Options
	log      *zap.Logger
	counts   counts
	events   *events.Poster
	informer cache.SharedIndexInformer // of all Services
	spaces   cache.SharedIndexInformer // of all Namespaces, for their labels
	nodes    cache.SharedIndexInformer // of all Nodes, for their addresses
	ranges   chan struct{}             // something has changed in what is never assigned
	queue    workqueue.TypedRateLimitingInterface[string]
	speakers *speakers

	quarantine quarantine
	told       map[told]bool // of attend alone; nil: it has not looked yet

	look chan struct{} // something has changed in documents
	gate sync.RWMutex  // held by who assigns addresses, and alone by who replaces the pools

	handing sync.Mutex // held while addresses change hands, until the reporter knows

	mu        sync.Mutex
	documents documents
	leading   bool                      // this replica has the Lease
	allocator *ipam.Allocator           // nil before this replica has adopted what the cluster has
	reporter  *reporter                 // like allocator
	lost      map[string]error          // why a Service has lost an address, until it is told
	doubts    map[string]doubt          // what the reports say of a Service, and its condition does not yet
	given     map[netip.Addr]ipam.Owner // addresses that this process gave, and that nobody was heard to announce since
	alarms    map[string]string         // why addresses of pools are not avoided, although others have them, by the pools
	held      bool                      // Services without an address wait for the speakers' first reports
	cidrs     cache.Store               // of all ServiceCIDRs; nil where there are none
}

// New returns a controller that does nothing before Run.
func New(o Options) *Controller {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	retry := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
	c := &Controller{
		opts: o, log: o.Logger, counts: newCounts(), lost: map[string]error{}, doubts: map[string]doubt{}, given: map[netip.Addr]ipam.Owner{},
		look:   make(chan struct{}, 1),
		events: events.NewPoster(o.Client, "network-lb-controller", o.Identity, o.Logger),
		informer: coreinformers.NewServiceInformer(o.Client, metav1.NamespaceAll, 0,
			cache.Indexers{byAddress: shownAddresses, cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}),
		spaces: coreinformers.NewNamespaceInformer(o.Client, 0, nil),
		nodes:  coreinformers.NewNodeInformer(o.Client, 0, nil),
		ranges: make(chan struct{}, 1),
		queue:  workqueue.NewTypedRateLimitingQueue(retry),
	}
	c.speakers = newSpeakers(c)
	return c
}

// Run works until ctx ends, and then returns nil once nothing is being written any more and the Lease is
// free. It returns an error when the configuration file is not valid or the Lease was lost. It is called once.
func (c *Controller) Run(ctx context.Context) error {
	defer c.queue.ShutDown()
	if err := c.prepare(); err != nil {
		return err
	}
	watch, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() { c.events.Run(watch, lastEvents) })
	watching.Go(func() { c.informer.RunWithContext(watch) })
	watching.Go(func() { c.spaces.RunWithContext(watch) })
	watching.Go(func() { c.nodes.RunWithContext(watch) })
	if err := c.follow(watch); err != nil {
		return err
	}
	return c.elect(ctx)
}

// current returns the allocator; nil while this replica does not assign addresses.
func (c *Controller) current() *ipam.Allocator {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allocator
}

// reporting returns what writes the AddressPools, while this replica leads.
func (c *Controller) reporting() *reporter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reporter
}

// handOver has addresses change hands and queues the owners of the changes, except one that is being looked at. Nobody
// shows what was released before the reporter knows of the release.
func (c *Controller) handOver(except string, change func() []ipam.Change) {
	c.handing.Lock()
	defer c.handing.Unlock()
	changes := change()
	if len(changes) > 0 {
		c.reporting().changed(changes)
	}
	for _, ch := range changes {
		c.give(ch)
		if ch.Lost != nil {
			c.mu.Lock()
			c.lost[string(ch.Owner)] = ch.Lost
			c.mu.Unlock()
		}
		if string(ch.Owner) != except {
			c.queue.Add(string(ch.Owner))
		}
	}
}

func (c *Controller) enqueueAll() {
	for _, s := range c.all(c.class()) {
		c.queue.Add(s.Key())
	}
}

// class is that of the Services that are handled.
func (c *Controller) class() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.documents.force == nil {
		return ""
	}
	return c.documents.force.Config.LoadBalancerClass
}

// all returns every Service in the cache that is handled, being of the class, or still carries our condition.
func (c *Controller) all(class string) []objects.Service {
	var out []objects.Service
	for _, o := range c.informer.GetStore().List() {
		if svc, ok := o.(*corev1.Service); ok {
			if s := objects.FromService(svc); s.Handled(class) || s.Allocated != nil {
				out = append(out, s)
			}
		}
	}
	return out
}

// Ready returns nil when the controller has its configuration and its Services; a replica that does not lead
// is ready too.
func (c *Controller) Ready() error {
	if !c.informer.HasSynced() || !c.spaces.HasSynced() || !c.nodes.HasSynced() {
		return errors.New("the Services, Namespaces and Nodes have not been read yet")
	}
	return c.known().ready()
}
