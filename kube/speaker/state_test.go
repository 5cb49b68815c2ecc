package speaker

import (
	"net/netip"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/objects"
)

// service is an allocated Service prod/web.
func service(addrs ...string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
	}
	for _, a := range addrs {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	s.Status.Conditions = []metav1.Condition{{Type: objects.ConditionAllocated, Status: metav1.ConditionTrue, Reason: "Allocated"}}
	return s
}

// slice is an EndpointSlice of prod/SERVICE with a ready endpoint on each of the nodes.
func slice(name, service string, nodes ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "prod", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, n := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{NodeName: &n})
	}
	return s
}

func node(name, ip string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
}

// pod is the ready Pod of a speaker.
func pod(node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "speaker-" + node},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

// TestOnlyChangesWake: heartbeats and what is not announced anyway cause no decision.
func TestOnlyChangesWake(t *testing.T) {
	wakes := 0
	s := newState(func() { wakes++ })
	s.serviceHandler().OnAdd(service("10.0.0.1"), true)
	s.sliceHandler().OnAdd(slice("one", "web", "a"), true)
	s.nodeHandler().OnAdd(node("a", "10.0.0.5"), true)
	s.podHandler().OnAdd(pod("a"), true)
	if wakes != 4 {
		t.Errorf("4 changes wake the loop %d times", wakes)
	}
	noted, beat := service("10.0.0.1"), node("a", "10.0.0.5")
	noted.Annotations = map[string]string{"colour": "red"}
	beat.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
	s.serviceHandler().OnUpdate(nil, noted)
	s.sliceHandler().OnUpdate(nil, slice("one", "web", "a"))
	s.sliceHandler().OnAdd(slice("other", "db", "a"), false)
	s.nodeHandler().OnUpdate(nil, beat)
	s.podHandler().OnUpdate(nil, pod("a"))
	s.podHandler().OnDelete(pod("stranger"))
	if wakes != 4 {
		t.Errorf("what changes nothing wakes the loop %d times", wakes-4)
	}
	s.sliceHandler().OnUpdate(nil, slice("one", "db", "a")) // away from a Service that is announced
	s.sliceHandler().OnUpdate(nil, slice("other", "web", "a"))
	labelled := service("10.0.0.1")
	labelled.Labels = map[string]string{"colour": "red"} // which advertisements select by
	s.serviceHandler().OnUpdate(nil, labelled)
	if wakes != 7 {
		t.Errorf("3 changes wake the loop %d times", wakes-4)
	}
}

// endpoints is the count of a node with n ready IPv4 endpoints.
func endpoints(n int) announce.Endpoints { return announce.Endpoints{V4: announce.Count{Ready: n}} }

func TestStateFollowsServices(t *testing.T) {
	wakes := 0
	s := newState(func() { wakes++ })
	h := s.serviceHandler()
	want := func(when string, services ...announce.Service) {
		t.Helper()
		if got := s.view("a", "").Services; len(got)+len(services) > 0 && !reflect.DeepEqual(got, services) {
			t.Errorf("%s: %+v, want %+v", when, got, services)
		}
	}
	web := announce.Service{Name: "prod/web", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Allocated: true, Endpoints: map[string]announce.Endpoints{}}
	h.OnAdd(service(), true)
	want("without an address")
	h.OnUpdate(nil, service("10.0.0.1"))
	want("allocated", web)
	h.OnDelete(cache.DeletedFinalStateUnknown{Key: "prod/web"})
	want("deletion was missed")
	h.OnAdd(service("10.0.0.1"), false)
	other := service("10.0.0.1")
	other.Spec.Type = corev1.ServiceTypeClusterIP
	h.OnUpdate(nil, other)
	want("no LoadBalancer any more")
	h.OnUpdate(nil, service("10.0.0.1"))
	h.OnDelete(service("10.0.0.1"))
	want("deleted")
	if wakes != 6 {
		t.Errorf("the loop was woken %d times, want once for each of the 6 changes of the view", wakes)
	}
}

func TestStateFollowsSlices(t *testing.T) {
	s := newState(func() {})
	s.serviceHandler().OnAdd(service("10.0.0.1"), true)
	h := s.sliceHandler()
	want := func(when string, counts map[string]announce.Endpoints) {
		t.Helper()
		if got := s.view("a", "").Services[0].Endpoints; !reflect.DeepEqual(got, counts) {
			t.Errorf("%s: %v, want %v", when, got, counts)
		}
	}
	h.OnAdd(slice("one", "web", "a", "b"), true)
	h.OnAdd(slice("two", "web", "b"), true)
	h.OnAdd(slice("stranger", "db", "a"), true)
	h.OnAdd(slice("nobody's", "", "a"), true)
	want("two slices", map[string]announce.Endpoints{"a": endpoints(1), "b": endpoints(2)})
	h.OnUpdate(nil, slice("two", "db", "b"))
	want("one went to another Service", map[string]announce.Endpoints{"a": endpoints(1), "b": endpoints(1)})
	h.OnUpdate(nil, slice("two", "web", "c"))
	want("and came back", map[string]announce.Endpoints{"a": endpoints(1), "b": endpoints(1), "c": endpoints(1)})
	h.OnUpdate(nil, slice("one", ""))
	want("one lost its Service", map[string]announce.Endpoints{"c": endpoints(1)})
	h.OnDelete(cache.DeletedFinalStateUnknown{Key: "prod/two", Obj: slice("two", "web", "c")})
	want("deletion was missed", map[string]announce.Endpoints{})
	h.OnDelete(slice("stranger", "db", "a"))
	if len(s.slices) != 0 || len(s.owners) != 0 {
		t.Errorf("left behind: %v, %v", s.slices, s.owners)
	}
}

func TestStateFollowsNodesAndSpeakers(t *testing.T) {
	s := newState(func() {})
	nodes, pods := s.nodeHandler(), s.podHandler()
	want := func(when string, running ...string) {
		t.Helper()
		var got []string
		for _, n := range s.view("a", "").Nodes {
			got = append(got, n.Name)
			if n.Speaker {
				got = append(got, "speaks")
			}
		}
		if !reflect.DeepEqual(got, running) {
			t.Errorf("%s: %q, want %q", when, got, running)
		}
	}
	nodes.OnAdd(node("b", "10.0.0.2"), true)
	nodes.OnAdd(node("a", "10.0.0.1"), true)
	pods.OnAdd(pod("a"), true)
	want("one speaker", "a", "speaks", "b")
	pods.OnAdd(pod("b"), false)
	pods.OnDelete(cache.DeletedFinalStateUnknown{Key: "system/speaker-a"})
	want("another speaker", "a", "b", "speaks")
	going := pod("b")
	going.DeletionTimestamp = &metav1.Time{}
	pods.OnUpdate(nil, going)
	want("it is on its way out", "a", "b")
	nodes.OnDelete(cache.DeletedFinalStateUnknown{Key: "b"})
	want("a node is gone", "a")
	// What was handed out does not change any more.
	v := s.view("a", "")
	nodes.OnUpdate(nil, node("a", "10.0.0.9"))
	if got := v.Nodes[0].InternalIPs[0].String(); got != "10.0.0.1" {
		t.Errorf("an old view changed: %s", got)
	}
}

func TestStateKeepsClassesApart(t *testing.T) {
	s := newState(func() {})
	theirs := service("10.0.0.9")
	theirs.Name = "theirs"
	theirs.Spec.LoadBalancerClass = new("example.com/edge")
	for _, o := range []*corev1.Service{service("10.0.0.1"), theirs} {
		s.serviceHandler().OnAdd(o, true)
	}
	for class, want := range map[string]string{"": "prod/web", "example.com/edge": "prod/theirs"} {
		if got := s.view("a", class).Services; len(got) != 1 || got[0].Name != want {
			t.Errorf("of class %q: %+v", class, got)
		}
	}
}
