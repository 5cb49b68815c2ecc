// Package controller gives Services of type LoadBalancer their addresses: it follows the Services and the
// configuration, asks the allocator, and writes what it says into the Services' statuses.
package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/document"
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

// Options say where a controller works.
type Options struct {
	Client kubernetes.Interface
	// Namespace is where its configuration and its Lease are.
	Namespace string
	// ConfigMap names the configuration; File, if set, takes its place.
	ConfigMap, File string
	// Lease names the Lease by which one of several replicas leads, and Identity this replica in it.
	Lease, Identity string
	Logger          *zap.Logger
}

// Controller assigns addresses. Make it with New.
type Controller struct {
	opts     Options
	log      *zap.Logger
	events   *events.Poster
	informer cache.SharedIndexInformer // of all Services
	spaces   cache.SharedIndexInformer // of all Namespaces, for their labels
	queue    workqueue.TypedRateLimitingInterface[string]

	mu         sync.Mutex
	document   *document.Source
	config     *config.Config  // the last valid one; nil before the first
	configured chan struct{}   // closed when config is set for the first time
	refusal    *refusal        // of the present document; nil: it is valid, or not there
	leading    bool            // this replica has the Lease
	allocator  *ipam.Allocator // nil before this replica has adopted what the cluster has
}

// refusal is a document that is not valid.
type refusal struct {
	about corev1.ObjectReference
	why   error
}

// New returns a controller that does nothing before Run.
func New(o Options) *Controller {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	retry := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
	return &Controller{
		opts: o, log: o.Logger, configured: make(chan struct{}),
		events: events.NewPoster(o.Client, "network-lb-controller", o.Identity),
		informer: coreinformers.NewServiceInformer(o.Client, metav1.NamespaceAll, 0,
			cache.Indexers{byAddress: shownAddresses, cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}),
		spaces: coreinformers.NewNamespaceInformer(o.Client, 0, nil),
		queue:  workqueue.NewTypedRateLimitingQueue(retry),
	}
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
	watching.Go(func() { c.informer.RunWithContext(watch) })
	watching.Go(func() { c.spaces.RunWithContext(watch) })
	source, err := document.Follow(watch, c.opts.Client, document.Options{
		File: c.opts.File, Namespace: c.opts.Namespace, ConfigMap: c.opts.ConfigMap, Logger: c.log,
		Apply: c.configure, Refused: func(cm *corev1.ConfigMap, why error) { c.refused(watch, cm, why) },
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.document = source
	c.mu.Unlock()
	return c.elect(ctx)
}

// current returns the allocator; nil while this replica does not assign addresses.
func (c *Controller) current() *ipam.Allocator {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allocator
}

// configure puts a new valid configuration in force.
func (c *Controller) configure(cfg config.Config) {
	c.mu.Lock()
	first := c.config == nil
	c.config, c.refusal = &cfg, nil
	allocator := c.allocator
	c.mu.Unlock()
	if first {
		close(c.configured)
	}
	if allocator == nil {
		return
	}
	if _, err := allocator.SetPools(cfg.AllocatorPools(), ipam.Everything); err != nil {
		c.log.Error("applying the address pools", zap.Error(err))
		return
	}
	c.enqueueAll() // also for those that nothing has changed for: what a status says of its pool may be another
}

// refused tells the person who wrote the document what is wrong with it. Only the leader tells; what it finds
// refused when it begins to lead, lead tells.
func (c *Controller) refused(ctx context.Context, cm *corev1.ConfigMap, why error) {
	var r *refusal
	if cm != nil {
		r = &refusal{why: why, about: corev1.ObjectReference{
			APIVersion: "v1", Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name, UID: cm.UID,
		}}
	}
	c.mu.Lock()
	c.refusal = r
	leading := c.leading
	c.mu.Unlock()
	if leading {
		c.tell(ctx, r)
	}
}

func (c *Controller) tell(ctx context.Context, r *refusal) {
	if r == nil {
		return
	}
	if err := c.events.Post(ctx, r.about, corev1.EventTypeWarning, "ConfigRefused", r.why.Error()); err != nil {
		c.log.Warn("telling of a refused configuration", zap.Error(err))
	}
}

// enqueue queues the owners of the changes, except one that is being looked at.
func (c *Controller) enqueue(changes []ipam.Change, except string) {
	for _, ch := range changes {
		if string(ch.Owner) != except {
			c.queue.Add(string(ch.Owner))
		}
	}
}

func (c *Controller) enqueueAll() {
	for _, s := range c.all() {
		c.queue.Add(s.Key())
	}
}

// all returns every Service in the cache that is handled or still carries our condition.
func (c *Controller) all() []objects.Service {
	var out []objects.Service
	for _, o := range c.informer.GetStore().List() {
		if svc, ok := o.(*corev1.Service); ok {
			if s := objects.FromService(svc); s.Handled || s.Allocated != nil {
				out = append(out, s)
			}
		}
	}
	return out
}

// Ready returns nil when the controller has its configuration and its Services; a replica that does not lead
// is ready too.
func (c *Controller) Ready() error {
	c.mu.Lock()
	source := c.document
	c.mu.Unlock()
	if source == nil || !c.informer.HasSynced() || !c.spaces.HasSynced() {
		return errors.New("the Services and Namespaces have not been read yet")
	}
	return source.Ready()
}
