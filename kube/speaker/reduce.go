package speaker

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/objects"
)

// reduced is all that is kept of an object, in an informer's cache too: how it is called, its version, and what the view
// has of it.
type reduced[T any] struct {
	namespace, name, version string
	value                    T
}

// GetObjectMeta implements metav1.ObjectMetaAccessor, by which informers tell objects and their versions apart.
func (r *reduced[T]) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: r.namespace, Name: r.name, ResourceVersion: r.version}
}

func reduceTo[T any](o metav1.Object, value T) *reduced[T] {
	return &reduced[T]{o.GetNamespace(), o.GetName(), o.GetResourceVersion(), value}
}

// place is a Node, and where a speaker's Pod is: see objects.Speaker and objects.SpeakerNode.
type (
	located struct {
		announce.Node
		uid     types.UID
		problem error // with what it asks for
	}
	place struct{ able, node string }
)

// reduce translates an object on its arrival, before it enters a cache. It is an informer's TransformFunc, and leaves
// alone what it has made.
func (s *state) reduce(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Service:
		return reduceTo(o, serviceOf(o)), nil
	case *discoveryv1.EndpointSlice:
		return reduceTo(o, s.named(objects.FromSlice(o))), nil
	case *corev1.Node:
		_, problem := objects.NodeWeight(o)
		return reduceTo(o, located{objects.FromNode(o), o.UID, problem}), nil
	case *corev1.Pod:
		return reduceTo(o, place{objects.Speaker(o), objects.SpeakerNode(o)}), nil
	}
	return o, nil
}

// serviceOf is what the view has of a Service: nil of one without an address.
func serviceOf(o *corev1.Service) *classed {
	if api := objects.APIServer(o); api != nil {
		return &classed{api: api}
	}
	svc := objects.FromService(o)
	if !svc.LoadBalancer || len(svc.Status) == 0 {
		return nil
	}
	return &classed{class: svc.Class, rebalance: svc.Rebalance, unannounced: unannounced(svc), Service: announce.Service{
		Name: svc.Key(), Labels: svc.Labels, Addrs: svc.Status, Local: svc.Local, Allocated: svc.Allocated != nil && svc.Allocated.True,
	}}
}

// named gives a slice the names of its nodes that others have too: they are the same few, again and again.
func (s *state) named(one objects.Slice) objects.Slice {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := make(map[string]announce.Endpoints, len(one.Nodes))
	for name, n := range one.Nodes {
		if s.names[name] == "" {
			s.names[name] = name
		}
		nodes[s.names[name]] = n
	}
	one.Nodes = nodes
	return one
}

// handler adapts set and remove to an informer's events. A deletion's key is all that remove gets.
func handler[T any](reduce cache.TransformFunc, set func(key string, value T), remove func(key string)) cache.ResourceEventHandler {
	changed := func(o any) {
		o, _ = reduce(o) // never fails
		if r, ok := o.(*reduced[T]); ok {
			key, _ := cache.MetaNamespaceKeyFunc(r) // likewise
			set(key, r.value)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			remove(key)
		}
	}}
}
