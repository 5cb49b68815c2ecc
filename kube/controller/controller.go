// Package controller gives Services of type LoadBalancer their addresses: it follows the Services and the
// configuration, asks the allocator, and writes what it says into the Services' statuses.
package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
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
	services listers.ServiceLister
	informer cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[string]
	document *document.Source

	mu         sync.Mutex
	config     *config.Config  // the last valid one; nil before the first
	configured chan struct{}   // closed when config is set for the first time
	allocator  *ipam.Allocator // nil while this replica does not lead
}

// New returns a controller that does nothing before Run.
func New(o Options) *Controller {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Controller{
		opts: o, log: o.Logger, configured: make(chan struct{}),
		events: events.NewPoster(o.Client, "network-lb-controller", o.Identity),
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
	}
}

// Run works until ctx ends, and then returns nil once nothing is being written any more and the Lease is
// free. It returns an error when the configuration file is not valid or the Lease was lost.
func (c *Controller) Run(ctx context.Context) error {
	defer c.queue.ShutDown()
	factory := informers.NewSharedInformerFactoryWithOptions(c.opts.Client, 0, informers.WithTransform(strip))
	c.services = factory.Core().V1().Services().Lister()
	c.informer = factory.Core().V1().Services().Informer()
	if _, err := c.informer.AddEventHandler(c.handler()); err != nil {
		return fmt.Errorf("watching Services: %w", err)
	}
	factory.Start(ctx.Done())
	source, err := document.Follow(ctx, c.opts.Client, document.Options{
		File: c.opts.File, Namespace: c.opts.Namespace, ConfigMap: c.opts.ConfigMap, Logger: c.log,
		Apply: c.configure, Refused: func(cm *corev1.ConfigMap, why error) { c.refused(ctx, cm, why) },
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.document = source
	c.mu.Unlock()
	return c.elect(ctx)
}

// handler queues the Services that may concern us. Those of other types are let through when they carry our
// condition, because it has to go.
func (c *Controller) handler() cache.ResourceEventHandler {
	enqueue := func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			c.queue.Add(key)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: enqueue, UpdateFunc: func(_, o any) { enqueue(o) }, DeleteFunc: enqueue}
}

// strip drops what nobody reads before an object enters the cache.
func strip(o any) (any, error) {
	if s, ok := o.(*corev1.Service); ok {
		s.ManagedFields = nil
	}
	return o, nil
}

// configure puts a new valid configuration in force.
func (c *Controller) configure(cfg config.Config) {
	c.mu.Lock()
	first := c.config == nil
	c.config = &cfg
	allocator := c.allocator
	c.mu.Unlock()
	if first {
		close(c.configured)
	}
	if allocator == nil {
		return
	}
	changes, err := allocator.SetPools(cfg.AllocatorPools(), ipam.Everything)
	if err != nil {
		c.log.Error("applying the address pools", zap.Error(err))
		return
	}
	c.enqueue(changes, "")
	c.enqueueAll() // a Service whose status was foreign may lie in a pool now
}

// refused tells the person who wrote the document what is wrong with it.
func (c *Controller) refused(ctx context.Context, cm *corev1.ConfigMap, why error) {
	about := corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name, UID: cm.UID}
	if !c.leading() {
		return
	}
	if err := c.events.Post(ctx, about, corev1.EventTypeWarning, "ConfigRefused", why.Error()); err != nil {
		c.log.Warn("telling of a refused configuration", zap.Error(err))
	}
}

func (c *Controller) leading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allocator != nil
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
	if source == nil || !c.informer.HasSynced() {
		return errors.New("the Services have not been read yet")
	}
	return source.Ready()
}
