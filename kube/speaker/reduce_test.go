package speaker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/objects"
)

// TestReduce: an informer finds the names and versions of what is left of objects, and may reduce them again.
func TestReduce(t *testing.T) {
	s := newState(func() {})
	web, one, a, p := service("10.0.0.1"), slice("one", "web", "a"), node("a", "10.0.0.5"), pod("a")
	for key, o := range map[string]metav1.Object{"prod/web": web, "prod/one": one, "a": a, "system/speaker-a": p} {
		o.SetResourceVersion("7")
		left, err := s.reduce(o)
		if got, keyErr := cache.MetaNamespaceKeyFunc(left); err != nil || keyErr != nil || got != key {
			t.Errorf("%s: the key is %q (%v, %v)", key, got, err, keyErr)
		}
		if got := left.(metav1.ObjectMetaAccessor).GetObjectMeta().GetResourceVersion(); got != "7" {
			t.Errorf("%s: the version is %q", key, got)
		}
		if again, err := s.reduce(left); err != nil || again != left {
			t.Errorf("%s: reduced again it is %v (%v)", key, again, err)
		}
	}
	for _, o := range []*corev1.Service{service(), {}} {
		if left, _ := s.reduce(o); left.(*reduced[*classed]).value != nil {
			t.Errorf("a Service without an address is kept: %+v", left)
		}
	}
}

// TestRollTwin compares the list that is brought up to date with one that is made anew, while Services and their slices
// come, change and go.
func TestRollTwin(t *testing.T) {
	s := newState(func() {})
	rng := rand.New(rand.NewPCG(1, 2))
	services, slicesOf := s.serviceHandler(), s.sliceHandler()
	var handed [][]announce.Service // with copies of what they were
	var copies [][]announce.Service
	for range 2000 {
		name := fmt.Sprint("web-", rng.IntN(30))
		o := service(fmt.Sprint("10.0.0.", rng.IntN(5)+1))
		o.Name = name
		if rng.IntN(5) == 0 {
			o.Spec.LoadBalancerClass = new("edge")
		}
		switch rng.IntN(5) {
		case 0, 1:
			services.OnAdd(o, false)
		case 2:
			services.OnDelete(o)
		case 3:
			slicesOf.OnAdd(slice(fmt.Sprint("s", rng.IntN(60)), name, []string{"a", "b", "c"}[:rng.IntN(3)+1]...), false)
		default:
			slicesOf.OnDelete(slice(fmt.Sprint("s", rng.IntN(60)), name))
		}
		class := ""
		if rng.IntN(10) == 0 {
			class = "edge"
		}
		got := s.view("a", class).Services
		if want := s.twin(class); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("of class %q\n%+v, want\n%+v", class, got, want)
		}
		handed, copies = append(handed, got), append(copies, slices.Clone(got))
	}
	if !reflect.DeepEqual(handed, copies) {
		t.Error("a list that was handed out has changed")
	}
}

// twin makes the list of the Services of a class anew, but for what their Holds say.
func (s *state) twin(class string) (all []announce.Service) {
	for key, e := range s.services {
		if e.class != class {
			continue
		}
		one := e.Service
		var parts []objects.Slice
		for _, k := range s.slices[key] {
			parts = append(parts, k.Slice)
		}
		one.Endpoints = objects.Merge(parts...)
		i := slices.IndexFunc(s.roll.all, func(r announce.Service) bool { return r.Name == key })
		one.Kept = s.roll.all[i].Kept
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b announce.Service) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
