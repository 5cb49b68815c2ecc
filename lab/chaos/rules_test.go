package chaos

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const few = `- {name: main, protocol: layer2, addresses: [10.77.0.0-10.77.1.243]}
- {name: team, protocol: layer2, addresses: [10.78.0.1], auto_assign: false, namespace_selectors: [{match_labels: {team: a}}]}
`

// Rules that depend on what the API server itself does to a Service.
func TestE2ERules(t *testing.T) {
	w := newWorld(t, few)
	c := w.start("a")
	defer func() { kill(c) }()
	m := w.meter()

	// 1,000 Services in a pool of 500: the first 500 of the queue are served, and what becomes free goes to the next.
	w.create(0, 1000)
	w.until("all know where they are", func() bool { return m.written() >= 1000 })
	if has, waits := w.count(); has != 500 || waits != 500 {
		t.Errorf("%d have an address and %d wait", has, waits)
	}
	for i := range 1000 {
		if name := fmt.Sprint("web-", i); i%5 == 0 && !m.at(name).IsZero() {
			w.remove(name)
		}
	}
	w.until("what was freed is in use again", func() bool { has, _ := w.count(); return has == 500 })

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
		w.patch("team", `{"metadata":{"annotations":{"network-lb.kontena.io/address-pool":"team"}}}`)
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

// count returns how many Services have an address, and how many are told to wait.
func (w *world) count() (has, waits int) {
	w.t.Helper()
	list, err := w.client.CoreV1().Services(w.load).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		switch condition(&list.Items[i]) {
		case "Allocated":
			has++
		case "PoolExhausted":
			waits++
		}
	}
	return has, waits
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
