package controller

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// prepare says what the watches keep, and whom they tell.
func (c *Controller) prepare() error {
	for _, w := range []struct {
		what     string
		informer cache.SharedIndexInformer
		strip    cache.TransformFunc
		handler  cache.ResourceEventHandler
	}{
		{"Services", c.informer, strip, c.handler()},
		{"Namespaces", c.spaces, stripNamespace, c.spaceHandler()},
		{"Nodes", c.nodes, stripNode, c.nodeHandler()},
	} {
		if err := w.informer.SetTransform(w.strip); err != nil {
			return fmt.Errorf("watching %s: %w", w.what, err)
		}
		if _, err := w.informer.AddEventHandler(w.handler); err != nil {
			return fmt.Errorf("watching %s: %w", w.what, err)
		}
	}
	return nil
}

// handler queues every Service that changes, whatever its type: one that is ours no longer has to be let go of.
// Before this replica has adopted there is nothing to queue: adopting looks at all that came before.
func (c *Controller) handler() cache.ResourceEventHandler {
	enqueue := func(o any) {
		if c.current() == nil {
			return
		}
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			c.queue.Add(key)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(before, after any) { enqueue(after); c.gone(before, after) },
		DeleteFunc: func(o any) { enqueue(o); c.gone(o, nil) },
	}
}

// gone queues the Services that wait for another to let go of an address, when its status shows it no more.
func (c *Controller) gone(before, after any) {
	allocator := c.current()
	b, ok := before.(*corev1.Service)
	if allocator == nil || !ok {
		return
	}
	var now []corev1.LoadBalancerIngress
	if a, ok := after.(*corev1.Service); ok {
		now = a.Status.LoadBalancer.Ingress
	}
	for _, in := range b.Status.LoadBalancer.Ingress {
		addr, err := netip.ParseAddr(in.IP)
		if err != nil || slices.ContainsFunc(now, func(i corev1.LoadBalancerIngress) bool { return i.IP == in.IP }) {
			continue
		}
		for _, holder := range allocator.Holders(addr.Unmap()) {
			c.queue.Add(string(holder))
		}
	}
}

// strip drops what nobody reads before an object enters the cache.
func strip(o any) (any, error) {
	if s, ok := o.(*corev1.Service); ok {
		s.ManagedFields = nil
	}
	return o, nil
}

// stripNamespace leaves of a Namespace what is read: its name and its labels.
func stripNamespace(o any) (any, error) {
	if n, ok := o.(*corev1.Namespace); ok {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: n.Labels,
		}}, nil
	}
	return o, nil
}

// spaceHandler queues the Services of a Namespace that is new or has other labels: another pool may serve them.
func (c *Controller) spaceHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if n, ok := o.(*corev1.Namespace); ok {
				c.enqueueNamespace(n.Name)
			}
		},
		UpdateFunc: func(before, after any) {
			b, ok := before.(*corev1.Namespace)
			a, ok2 := after.(*corev1.Namespace)
			if ok && ok2 && !maps.Equal(b.Labels, a.Labels) {
				c.enqueueNamespace(a.Name)
			}
		},
	}
}

func (c *Controller) enqueueNamespace(name string) {
	if c.current() == nil {
		return
	}
	keys, err := c.informer.GetIndexer().IndexKeys(cache.NamespaceIndex, name)
	if err != nil {
		c.log.Error("reading the cache", zap.Error(err))
		return
	}
	for _, key := range keys {
		c.queue.Add(key)
	}
}

// space returns the labels of a Namespace, and whether it is known. One that a Service is in and that is not known is
// about to be.
func (c *Controller) space(name string) (labels map[string]string, known bool) {
	o, found, err := c.spaces.GetStore().GetByKey(name)
	n, ok := o.(*corev1.Namespace)
	if err != nil || !found || !ok {
		return nil, false
	}
	return n.Labels, true
}
