package speaker

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

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
	services map[string]*entry       // those with an address, by namespace/name
	slices   map[string][]keyedSlice // by the Service's namespace/name
	owners   map[string]string       // the Service that a slice belongs to, by the slice's namespace/name
	roll     roll
	names    map[string]string // nodes' names, each once
	nodes    map[string]announce.Node
	uids     map[string]types.UID // of the nodes
	problems map[string]error     // with what nodes ask for
	pods     map[string]string    // the node of a speaker's Pod, by the Pod's namespace/name
	speakers map[string]string    // the node that a speaker's Pod makes able to announce, by the Pod's namespace/name
	absences absences
	api      []netip.AddrPort // the API server's Service
	wake     func()
}

// classed is a Service without its endpoints. It is never changed.
type classed struct {
	announce.Service
	class       string       // the implementation that it names
	rebalance   string       // the annotation's value
	unannounced []netip.Addr // addresses that it has not been announced with yet

	api []netip.AddrPort // of the API server's alone
}

// entry is a Service, and what came to pass with it.
type entry struct {
	*classed
	until time.Time // it is to be moved to the nodes that come first
	holds announce.Holds
}

// keyedSlice is an EndpointSlice of a Service, by its own namespace/name.
type keyedSlice struct {
	key string
	objects.Slice
}

// rebalancing is for how long another value of the annotation has hash order go before who holds an address. It is
// enough for all nodes to hear of it and for the address to move, and no more than once.
const rebalancing = 10 * time.Second

func newState(wake func()) *state {
	return &state{
		services: map[string]*entry{}, slices: map[string][]keyedSlice{}, owners: map[string]string{}, names: map[string]string{},
		nodes: map[string]announce.Node{}, uids: map[string]types.UID{}, problems: map[string]error{}, speakers: map[string]string{}, pods: map[string]string{},
		wake: wake,
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

func (s *state) serviceHandler() cache.ResourceEventHandler {
	return handler(s.reduce, func(key string, svc *classed) {
		s.update(func() bool { return s.putService(key, svc) })
	}, func(key string) {
		s.update(func() bool { return s.putService(key, nil) })
	})
}

// putService replaces a Service; nil deletes it.
func (s *state) putService(key string, svc *classed) bool {
	if key == objects.APIService {
		return s.putAPIServer(svc)
	}
	before, known := s.services[key]
	if svc == nil {
		delete(s.services, key)
		s.roll.touch(key)
		return known
	}
	if !known {
		s.services[key] = &entry{classed: svc}
		s.roll.touch(key)
		return true
	}
	changed := !reflect.DeepEqual(before.classed, svc)
	if svc.rebalance != "" && svc.rebalance != before.rebalance {
		before.until = time.Now().Add(rebalancing)
		s.again(key, rebalancing)
	}
	if before.classed = svc; changed {
		s.roll.touch(key)
	}
	return changed
}

// putAPIServer replaces the Service of the API server, which has nothing that could be announced.
func (s *state) putAPIServer(svc *classed) bool {
	var now []netip.AddrPort
	if svc != nil {
		now = svc.api
	}
	before := s.api
	s.api = now
	return !slices.Equal(before, now)
}

// apiServer is where the API server is reached inside the cluster.
func (s *state) apiServer() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.api
}

// again has a Service looked at again, because time has passed.
func (s *state) again(key string, after time.Duration) {
	time.AfterFunc(after, func() {
		s.update(func() bool {
			s.roll.touch(key)
			return true
		})
	})
}

func (s *state) sliceHandler() cache.ResourceEventHandler {
	return handler(s.reduce, func(key string, slice objects.Slice) {
		s.update(func() bool { return s.putSlice(key, slice) })
	}, func(key string) {
		s.update(func() bool { return s.putSlice(key, objects.Slice{}) })
	})
}

// putSlice replaces a slice, which may have belonged to another Service; one without a Service is deleted. Only
// Services with an address are worth a decision.
func (s *state) putSlice(key string, slice objects.Slice) bool {
	changed := false
	if before := s.owners[key]; before != "" && before != slice.Service {
		changed = s.putSliceOf(before, key, nil)
	}
	if slice.Service != "" {
		changed = s.putSliceOf(slice.Service, key, &slice) || changed
	}
	put(s.owners, key, slice.Service, slice.Service != "")
	return changed
}

// putSliceOf replaces a slice of a Service, or deletes it.
func (s *state) putSliceOf(service, key string, slice *objects.Slice) bool {
	all := s.slices[service]
	i := slices.IndexFunc(all, func(k keyedSlice) bool { return k.key == key })
	switch {
	case slice == nil && i < 0, slice != nil && i >= 0 && reflect.DeepEqual(all[i].Slice, *slice):
		return false
	case slice == nil:
		all = slices.Delete(all, i, i+1)
	case i < 0:
		all = append(all, keyedSlice{key, *slice})
	default:
		all[i].Slice = *slice
	}
	if s.slices[service] = all; len(all) == 0 {
		delete(s.slices, service)
	}
	_, announced := s.services[service]
	if announced {
		s.roll.touch(service)
	}
	return announced
}

func (s *state) nodeHandler() cache.ResourceEventHandler {
	return handler(s.reduce, func(key string, n located) {
		s.update(func() bool {
			s.uids[key] = n.uid
			changed := put(s.problems, key, n.problem, n.problem != nil)
			return put(s.nodes, key, n.Node, true) || changed
		})
	}, func(key string) {
		s.update(func() bool {
			delete(s.uids, key)
			delete(s.names, key)
			delete(s.problems, key)
			return put(s.nodes, key, announce.Node{}, false)
		})
	})
}

// problem returns what is wrong with what a node asks for.
func (s *state) problem(node string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problems[node]
}

// uid returns that of a node, empty where the node is not known, and how many nodes there are.
func (s *state) uid(node string) (uid types.UID, nodes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uids[node], len(s.uids)
}

func (s *state) podHandler() cache.ResourceEventHandler {
	return handler(s.reduce, func(key string, p place) {
		s.update(func() bool {
			changed := put(s.speakers, key, p.able, p.able != "")
			return put(s.pods, key, p.node, p.node != "") || changed
		})
	}, func(key string) {
		s.update(func() bool {
			changed := put(s.speakers, key, "", false)
			return put(s.pods, key, "", false) || changed
		})
	})
}

// places are the nodes that have a speaker's Pod.
func (s *state) places() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]bool{}
	for _, n := range s.pods {
		out[n] = true
	}
	return out
}

// view returns what is known now, without the configuration, in a fixed order: of the Services those of a class.
func (s *state) view(node, class string) announce.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	running := map[string]bool{}
	for _, n := range s.speakers {
		running[n] = true
	}
	placed := map[string]bool{}
	for _, n := range s.pods {
		placed[n] = true
	}
	v := announce.View{Node: node, Services: s.roll.of(class, s.everything, s.service)}
	returning := s.absences.look(running, time.Now(), s.wake)
	for _, n := range s.nodes {
		n.Speaker, n.Pod, n.Returning = running[n.Name], placed[n.Name], returning[n.Name]
		v.Nodes = append(v.Nodes, n)
	}
	slices.SortFunc(v.Nodes, func(a, b announce.Node) int { return cmp.Compare(a.Name, b.Name) })
	return v
}
