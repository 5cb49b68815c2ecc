package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const few = `- {name: $WORLD-main, protocol: layer2, addresses: [10.77.0.0-10.77.1.243]}
- {name: $WORLD-team, protocol: layer2, addresses: [10.78.0.1], auto_assign: false, namespace_selectors: [{match_labels: {team: a}}]}
`

// Rules that depend on what the API server itself does to a Service.
func TestE2ERules(t *testing.T) {
	w := newWorld(t, few)
	m := w.meter()

	// 1,000 Services wait for a controller with 500 addresses: those are served that come first in the queue, and what
	// becomes free goes to the next.
	w.create(0, 1000)
	queue := w.queue()
	c := w.start("a")
	defer func() { kill(c) }()
	w.until("all know where they are", func() bool { return m.written() >= 1000 })
	w.wantServed(queue[:500])
	for i, name := range queue[:500] {
		if i%5 == 0 {
			w.remove(name)
		}
	}
	w.until("what was freed is in use again", func() bool { return len(w.allocated()) == 500 })
	rest := slices.Clone(queue[:600])
	w.wantServed(slices.DeleteFunc(rest, func(name string) bool { i := slices.Index(queue, name); return i < 500 && i%5 == 0 }))

	kill(c)
	w.furnish(few)
	c, m = w.start("a"), w.meter()
	t.Run("cluster IP and back", func(t *testing.T) {
		w.served(m, "turned")
		before := w.get("turned")
		w.patch("turned", `{"spec":{"type":"ClusterIP","loadBalancerClass":null,"allocateLoadBalancerNodePorts":null}}`)
		w.until("the status is empty", func() bool { s := w.get("turned"); return len(addresses(s)) == 0 && condition(s) == "" })
		w.patch("turned", fmt.Sprintf(`{"spec":{"type":"LoadBalancer","loadBalancerClass":%q}}`, *w.class()))
		w.until("it has its address again", func() bool { return fmt.Sprint(addresses(w.get("turned"))) == fmt.Sprint(addresses(before)) })
	})
	t.Run("recreated in the same instant", func(t *testing.T) {
		w.served(m, "again")
		had := addresses(w.get("again"))
		for range 20 {
			w.remove("again")
			if err := w.add("again"); err != nil {
				t.Fatal(err)
			}
		}
		w.until("it has its address again", func() bool { return fmt.Sprint(addresses(w.get("again"))) == fmt.Sprint(had) })
	})
	t.Run("namespace relabelled", func(t *testing.T) {
		if err := w.add("team"); err != nil {
			t.Fatal(err)
		}
		w.patch("team", `{"metadata":{"annotations":{"network-lb.kontena.io/address-pool":"`+w.name+`-team"}}}`)
		w.until("it waits", func() bool { return condition(w.get("team")) == "NoMatchingPool" })
		label := []byte(`{"metadata":{"labels":{"team":"a"}}}`)
		if _, err := w.client.CoreV1().Namespaces().Patch(t.Context(), w.load, types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		w.until("it is served", func() bool { return fmt.Sprint(addresses(w.get("team"))) == "[10.78.0.1]" })
	})
	t.Run("loadBalancerIP", func(t *testing.T) {
		if err := w.add("asks"); err != nil {
			t.Fatal(err)
		}
		w.patch("asks", `{"spec":{"loadBalancerIP":"10.77.0.99"}}`)
		w.until("it has what it asks for", func() bool { return fmt.Sprint(addresses(w.get("asks"))) == "[10.77.0.99]" })
	})
	t.Run("conditions of others", func(t *testing.T) {
		w.served(m, "shared")
		other := `{"status":{"conditions":[{"type":"example.com/Checked","status":"True","reason":"Fine","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`
		if _, err := w.client.CoreV1().Services(w.load).Patch(t.Context(), "shared", types.StrategicMergePatchType, []byte(other), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
		w.patch("shared", `{"spec":{"loadBalancerIP":"10.77.0.98"}}`)
		w.until("it has what it asks for", func() bool { return fmt.Sprint(addresses(w.get("shared"))) == "[10.77.0.98]" })
		if s := w.get("shared"); len(s.Status.Conditions) != 2 {
			t.Errorf("the conditions are %+v", s.Status.Conditions)
		}
	})
}

// queue returns the names of all Services in the order in which they are to be served.
func (w *world) queue() (names []string) {
	w.t.Helper()
	all := w.all()
	slices.SortFunc(all, func(a, b corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i := range all {
		names = append(names, all[i].Name)
	}
	return names
}

// allocated returns the names of the Services that have an address, in order.
func (w *world) allocated() (names []string) {
	w.t.Helper()
	for _, s := range w.all() {
		if condition(&s) == "Allocated" && len(addresses(&s)) > 0 {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}

// wantServed checks that these Services have an address, and that all others are told to wait.
func (w *world) wantServed(want []string) {
	w.t.Helper()
	got := w.allocated()
	want = slices.Sorted(slices.Values(want))
	for _, name := range got {
		if _, found := slices.BinarySearch(want, name); !found {
			w.t.Errorf("%s is served before its turn", name)
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("%d have an address, want %d", len(got), len(want))
	}
	for _, s := range w.all() {
		if reason := condition(&s); reason != "Allocated" && reason != "PoolExhausted" {
			w.t.Errorf("%s says %q", s.Name, reason)
		}
	}
}

func (w *world) all() []corev1.Service {
	w.t.Helper()
	list, err := w.client.CoreV1().Services(w.load).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

func (w *world) get(name string) *corev1.Service {
	w.t.Helper()
	s, err := w.client.CoreV1().Services(w.load).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) patch(name, patch string) {
	w.t.Helper()
	if _, err := w.client.CoreV1().Services(w.load).Patch(w.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}
