package speaker

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/objects"
)

// state holds the parts of the view, each translated once, on arrival. A change replaces a part and wakes
// the loop; what was handed out in a view is never changed.
type state struct {
	mu       sync.Mutex
	services map[string]objects.Service          // by namespace/name
	slices   map[string]map[string]objects.Slice // by the Service's, then by the slice's namespace/name
	owners   map[string]string                   // the Service that a slice belongs to, by the slice's namespace/name
	nodes    map[string]announce.Node
	speakers map[string]string // the node that a speaker's Pod makes able to announce, by the Pod's namespace/name
	wake     func()
}

func newState(wake func()) *state {
	return &state{
		services: map[string]objects.Service{}, slices: map[string]map[string]objects.Slice{}, owners: map[string]string{},
		nodes: map[string]announce.Node{}, speakers: map[string]string{}, wake: wake,
	}
}

// update replaces one part; f runs under the lock.
func (s *state) update(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	s.wake()
}

// handler adapts put and remove to an informer's events. A deletion's key is all that remove gets.
func handler[T any](put func(key string, o T), remove func(key string)) cache.ResourceEventHandler {
	set := func(o any) {
		if key, err := cache.MetaNamespaceKeyFunc(o); err == nil {
			if t, ok := o.(T); ok {
				put(key, t)
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: set, UpdateFunc: func(_, o any) { set(o) }, DeleteFunc: func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			remove(key)
		}
	}}
}

func (s *state) serviceHandler() cache.ResourceEventHandler {
	return handler(func(key string, o *corev1.Service) {
		svc := objects.FromService(o)
		s.update(func() {
			if svc.Handled {
				s.services[key] = svc
			} else {
				delete(s.services, key)
			}
		})
	}, func(key string) { s.update(func() { delete(s.services, key) }) })
}

func (s *state) sliceHandler() cache.ResourceEventHandler {
	drop := func(key string) {
		owner := s.owners[key]
		delete(s.owners, key)
		delete(s.slices[owner], key)
		if len(s.slices[owner]) == 0 {
			delete(s.slices, owner)
		}
	}
	return handler(func(key string, o *discoveryv1.EndpointSlice) {
		slice := objects.FromSlice(o)
		s.update(func() {
			drop(key)
			if slice.Service == "" {
				return
			}
			if s.slices[slice.Service] == nil {
				s.slices[slice.Service] = map[string]objects.Slice{}
			}
			s.owners[key] = slice.Service
			s.slices[slice.Service][key] = slice
		})
	}, func(key string) { s.update(func() { drop(key) }) })
}

func (s *state) nodeHandler() cache.ResourceEventHandler {
	return handler(func(key string, o *corev1.Node) {
		n := objects.FromNode(o)
		s.update(func() { s.nodes[key] = n })
	}, func(key string) { s.update(func() { delete(s.nodes, key) }) })
}

func (s *state) podHandler() cache.ResourceEventHandler {
	return handler(func(key string, o *corev1.Pod) {
		node := objects.Speaker(o)
		s.update(func() { s.speakers[key] = node })
	}, func(key string) { s.update(func() { delete(s.speakers, key) }) })
}

// view returns what is known now, without the configuration, in a fixed order.
func (s *state) view(node string) announce.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	running := map[string]bool{}
	for _, n := range s.speakers {
		running[n] = true
	}
	v := announce.View{Node: node}
	for _, n := range s.nodes {
		n.Speaker = running[n.Name]
		v.Nodes = append(v.Nodes, n)
	}
	for key, svc := range s.services {
		if len(svc.Status) == 0 {
			continue
		}
		v.Services = append(v.Services, announce.Service{
			Name: key, Addrs: svc.Status, Local: svc.Local, Allocated: svc.Allocated != nil && svc.Allocated.True,
			Endpoints: objects.Merge(slices.Collect(maps.Values(s.slices[key]))...),
		})
	}
	slices.SortFunc(v.Nodes, func(a, b announce.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(v.Services, func(a, b announce.Service) int { return cmp.Compare(a.Name, b.Name) })
	return v
}
