package speaker

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/objects"
)

// state holds the parts of the view, each translated once, on arrival. A change that a decision could depend on
// replaces a part and wakes the loop; heartbeats of nodes, Services without an address and other Services'
// endpoints do not. What was handed out in a view is never changed.
type state struct {
	mu       sync.Mutex
	services map[string]classed                  // those with an address, by namespace/name
	slices   map[string]map[string]objects.Slice // by the Service's, then by the slice's namespace/name
	owners   map[string]string                   // the Service that a slice belongs to, by the slice's namespace/name
	nodes    map[string]announce.Node
	uids     map[string]types.UID // of the nodes
	speakers map[string]string    // the node that a speaker's Pod makes able to announce, by the Pod's namespace/name
	wake     func()
}

// classed is a Service without its endpoints.
type classed struct {
	announce.Service
	class string // the implementation that it names
}

func newState(wake func()) *state {
	return &state{
		services: map[string]classed{}, slices: map[string]map[string]objects.Slice{}, owners: map[string]string{},
		nodes: map[string]announce.Node{}, uids: map[string]types.UID{}, speakers: map[string]string{}, wake: wake,
	}
}

// update replaces one part; replace runs under the lock and says whether a decision could depend on it.
func (s *state) update(replace func() bool) {
	s.mu.Lock()
	changed := replace()
	s.mu.Unlock()
	if changed {
		s.wake()
	}
}

// put replaces an entry of one of the state's maps, or deletes it, and says whether that changed anything.
func put[T any](m map[string]T, key string, value T, present bool) bool {
	before, was := m[key]
	if present {
		m[key] = value
	} else {
		delete(m, key)
	}
	return was != present || present && !reflect.DeepEqual(before, value)
}

// handler adapts set and remove to an informer's events. A deletion's key is all that remove gets.
func handler[T any](set func(key string, o T), remove func(key string)) cache.ResourceEventHandler {
	changed := func(o any) {
		if key, err := cache.MetaNamespaceKeyFunc(o); err == nil {
			if t, ok := o.(T); ok {
				set(key, t)
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			remove(key)
		}
	}}
}

func (s *state) serviceHandler() cache.ResourceEventHandler {
	return handler(func(key string, o *corev1.Service) {
		svc := objects.FromService(o)
		part := classed{class: svc.Class, Service: announce.Service{
			Name: key, Labels: svc.Labels, Addrs: svc.Status, Local: svc.Local, Allocated: svc.Allocated != nil && svc.Allocated.True,
		}}
		s.update(func() bool { return put(s.services, key, part, svc.LoadBalancer && len(svc.Status) > 0) })
	}, func(key string) {
		s.update(func() bool { return put(s.services, key, classed{}, false) })
	})
}

func (s *state) sliceHandler() cache.ResourceEventHandler {
	return handler(func(key string, o *discoveryv1.EndpointSlice) {
		slice := objects.FromSlice(o)
		s.update(func() bool { return s.putSlice(key, slice) })
	}, func(key string) {
		s.update(func() bool { return s.putSlice(key, objects.Slice{}) })
	})
}

// putSlice replaces a slice, which may have belonged to another Service; one without a Service is deleted. Only
// Services with an address are worth a decision.
func (s *state) putSlice(key string, slice objects.Slice) bool {
	changed := false
	set := func(service string, present bool) {
		if service == "" {
			return
		}
		if s.slices[service] == nil {
			s.slices[service] = map[string]objects.Slice{}
		}
		if put(s.slices[service], key, slice, present) {
			_, announced := s.services[service]
			changed = changed || announced
		}
		if len(s.slices[service]) == 0 {
			delete(s.slices, service)
		}
	}
	if before := s.owners[key]; before != slice.Service {
		set(before, false)
	}
	set(slice.Service, true)
	put(s.owners, key, slice.Service, slice.Service != "")
	return changed
}

func (s *state) nodeHandler() cache.ResourceEventHandler {
	return handler(func(key string, o *corev1.Node) {
		n := objects.FromNode(o)
		s.update(func() bool {
			s.uids[key] = o.UID
			return put(s.nodes, key, n, true)
		})
	}, func(key string) {
		s.update(func() bool {
			delete(s.uids, key)
			return put(s.nodes, key, announce.Node{}, false)
		})
	})
}

// uid returns that of a node, empty where the node is not known, and how many nodes there are.
func (s *state) uid(node string) (uid types.UID, nodes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uids[node], len(s.uids)
}

func (s *state) podHandler() cache.ResourceEventHandler {
	return handler(func(key string, o *corev1.Pod) {
		node := objects.Speaker(o)
		s.update(func() bool { return put(s.speakers, key, node, node != "") })
	}, func(key string) {
		s.update(func() bool { return put(s.speakers, key, "", false) })
	})
}

// view returns what is known now, without the configuration, in a fixed order: of the Services those of a class.
func (s *state) view(node, class string) announce.View {
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
		if svc.class == class {
			svc.Endpoints = objects.Merge(slices.Collect(maps.Values(s.slices[key]))...)
			v.Services = append(v.Services, svc.Service)
		}
	}
	slices.SortFunc(v.Nodes, func(a, b announce.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(v.Services, func(a, b announce.Service) int { return cmp.Compare(a.Name, b.Name) })
	return v
}
