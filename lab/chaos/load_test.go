package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/process"
)

// many is how many Services the measurements are made with, rounds how often the short ones are repeated.
const (
	many   = 5000
	rounds = 20
)

const manyPools = "- {name: $WORLD-main, protocol: layer2, addresses: [10.64.0.0-10.64.39.15]}\n" // 10,000

// BenchmarkLoad measures the controller with many Services: a burst, a creation right after a deletion, a restart, a
// change of leaders, and memory.
func BenchmarkLoad(b *testing.B) {
	w := newWorld(b, manyPools)
	m := w.meter()
	c := w.start("a")
	w.until("it leads", func() bool { return w.leader() == "a" })

	cpu := cpuOf(b, c)
	began := time.Now()
	w.create(0, many)
	created := time.Now()
	m.until(many)
	fmt.Printf("burst of %d: created in %.1f s, the last status %.2f s after the last creation, %d statuses written, %.1f s of CPU\n",
		many, created.Sub(began).Seconds(), m.last().Sub(created).Seconds(), m.written(), cpuOf(b, c)-cpu)
	events := 0
	w.until("every Service has its Event", func() bool { events = w.events(); return events >= many })
	fmt.Printf("burst of %d: %d Events, %.1f s of CPU with them\n", many, events, cpuOf(b, c)-cpu)

	var waits []time.Duration
	for i := range rounds {
		w.remove(fmt.Sprint("web-", i))
		waits = append(waits, w.served(m, fmt.Sprint("next-", i)))
	}
	show("creation after a deletion", waits)

	kill(c)
	waits = nil
	before := m.written()
	for i := range rounds {
		began := time.Now()
		c = w.start("a")
		name := fmt.Sprint("restarted-", i)
		w.served(m, name)
		waits = append(waits, m.at(name).Sub(began))
		kill(c)
	}
	show("process started -> first new Service", waits)
	fmt.Printf("%d restarts with %d Services: %d needless writes\n", rounds, many, m.written()-before-rounds)

	running := []*lab.Cmd{w.start("a"), w.start("b")}
	w.served(m, "one-leads") // the Lease alone does not tell: it names the one that was killed, until it has run out
	waits = nil
	for i := range rounds {
		at := map[string]int{"a": 0, "b": 1}[w.leader()]
		stopped := time.Now()
		_ = running[at].Process.Signal(syscall.SIGTERM) // it ends in any case
		name := fmt.Sprint("handed-over-", i)
		w.served(m, name)
		waits = append(waits, m.at(name).Sub(stopped))
		_ = running[at].Wait()
		running[at] = w.start([]string{"a", "b"}[at])
		w.until("another leads", func() bool { l := w.leader(); return l != "" && l != []string{"a", "b"}[at] })
	}
	show("leader stopped -> first new Service", waits)

	w.create(many, 2*many-4*rounds-1)
	w.until("all are served", func() bool { return m.written() >= 2*many-rounds })
	for _, r := range running {
		fmt.Printf("memory with %d Services: %d MiB resident, %d MiB at most\n", 2*many, memory(b, r, "VmRSS"), memory(b, r, "VmHWM"))
		kill(r)
	}
}

// create creates the Services from web-FROM to web-TO, twenty at a time.
func (w *world) create(from, to int) {
	w.t.Helper()
	names := make(chan string)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for name := range names {
				if err := w.add(name); err != nil {
					w.t.Error(err)
				}
			}
		})
	}
	for i := from; i < to; i++ {
		names <- fmt.Sprint("web-", i)
	}
	close(names)
	all.Wait()
}

func (w *world) add(name string) error {
	allocate := false
	_, err := w.client.CoreV1().Services(w.load).Create(context.Background(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{unproxied: "none"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: w.class(), AllocateLoadBalancerNodePorts: &allocate,
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	return err
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := w.client.CoreV1().Services(w.load).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// served creates a Service and returns how long it waited for its address.
func (w *world) served(m *meter, name string) time.Duration {
	w.t.Helper()
	began := time.Now()
	if err := w.add(name); err != nil {
		w.t.Fatal(err)
	}
	w.until(name+" has an address", func() bool { return !m.at(name).IsZero() })
	return m.at(name).Sub(began)
}

// events counts the Events about Services that have their address.
func (w *world) events() int {
	list, err := w.client.CoreV1().Events(w.load).List(context.Background(), metav1.ListOptions{FieldSelector: "reason=Allocated"})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(list.Items)
}

// meter notes when each Service got its address, and how many statuses were written.
type meter struct {
	w *world

	mu     sync.Mutex
	when   map[string]time.Time
	status map[types.UID]string
	writes int
	latest time.Time
}

func (w *world) meter() *meter {
	m := &meter{w: w, when: map[string]time.Time{}, status: map[types.UID]string{}}
	w.watch(w.t.Context(), m.take)
	return m
}

func (m *meter) take(gone bool, s *corev1.Service) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := fmt.Sprint(s.Status)
	if gone || m.status[s.UID] == now || condition(s) == "" {
		return
	}
	m.status[s.UID] = now
	m.writes++
	m.latest = time.Now()
	if len(addresses(s)) > 0 && m.when[s.Name].IsZero() {
		m.when[s.Name] = m.latest
	}
}

func (m *meter) written() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

func (m *meter) last() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest
}

func (m *meter) at(name string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.when[name]
}

func (m *meter) until(services int) {
	m.w.until(fmt.Sprint(services, " Services have an address"), func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.when) >= services
	})
}

// cpuOf returns the processor time that a process has used, in seconds.
func cpuOf(t testing.TB, c *lab.Cmd) float64 {
	t.Helper()
	used, err := process.CPU(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return used.Seconds()
}

// memory returns one of a process's sizes, in MiB.
func memory(t testing.TB, c *lab.Cmd, field string) int {
	t.Helper()
	mib, err := process.Memory(c.Process.Pid, field)
	if err != nil {
		t.Fatal(err)
	}
	return mib
}

// show prints the least, the median and the greatest.
func show(what string, times []time.Duration) {
	slices.Sort(times)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
	fmt.Printf("%-40s min %7s   median %7s   max %7s ms   (%d times, %d Services)\n",
		what, ms(times[0]), ms(times[len(times)/2]), ms(times[len(times)-1]), len(times), many)
}
