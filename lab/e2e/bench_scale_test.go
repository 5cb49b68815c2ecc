package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
	"github.com/kontena/network-lb/lab/process"
)

// many is how many Services there are, with two endpoints each.
const many = 5000

// cooledDown is when nothing is left of the Services that were deleted: a pool's cooldown, and a report that it is over.
const cooledDown = 70 * time.Second

const scaleValues = `
address_pools: [{name: many, protocol: bgp, addresses: [10.64.0.0/19]}]
peers: [{peer_address: 10.88.0.21, peer_asn: 64501, my_asn: 64500, graceful_restart: {enabled: false}}]
`

// BenchmarkScale measures speakers among 5,000 Services with 10,000 endpoints: their start, one Service more, what they
// need, and how often reports are written.
func BenchmarkScale(b *testing.B) {
	s := &scale{bench: bench{cluster(b, lab.Dual)}}
	b.Cleanup(func() { tidy(b, s.Cluster) })
	s.install(b, scaleValues, "")
	s.connect(b)
	b.Cleanup(func() { s.remove(b) })
	reports := s.watchReports(b)
	before, began := reports.count(), time.Now()
	for i := range many {
		s.creating.Go(func() error { return s.create(b.Context(), fmt.Sprint("many-", i)) })
	}
	s.do(b, s.creating.Wait())
	created := time.Since(began)
	s.routes(b, many)
	took := time.Since(began)
	fmt.Printf("%d Services created in %.1f s, all routes in FRR %.1f s after the first: %d reports written, %.2f a second\n",
		many, created.Seconds(), took.Seconds(), reports.count()-before, float64(reports.count()-before)/took.Seconds())

	s.rest(b)
	b.Run("start", s.start)
	b.Run("idle", func(b *testing.B) { s.idle(b, reports) })
	s.proxies(b, "STOP")
	b.Run("one", func(b *testing.B) { s.one(b, "kube-proxy stands still") })
	s.proxies(b, "CONT")
	s.rest(b)
	b.Run("one", func(b *testing.B) { s.one(b, "kube-proxy's turn is on the same processors") })
}

// scale is a cluster with many Services.
type scale struct {
	bench
	client   kubernetes.Interface
	reports  dynamic.Interface
	creating errgroup.Group
	vty      *lab.VTY
}

func (s *scale) connect(b *testing.B) {
	config, err := s.RESTConfig()
	s.do(b, err)
	config.QPS, config.Burst = 2000, 2000
	s.client, err = kubernetes.NewForConfig(config)
	s.do(b, err)
	s.reports, err = dynamic.NewForConfig(config)
	s.do(b, err)
	s.creating.SetLimit(16)
	s.vty, err = s.VTY(lab.FRR1, "bgpd")
	s.do(b, err)
	b.Cleanup(func() { _ = s.vty.Close() })
}

// written are the reports of speakers and of pools that were written.
type written struct {
	mu   sync.Mutex
	last map[string]map[string]any // their statuses
	what []string                  // of each one written, what was changed
}

func (w *written) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.what)
}

// since are the reports after the first n.
func (w *written) since(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.what[n:]
}

func (w *written) note(report *unstructured.Unstructured) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := report.GetKind() + " " + report.GetName()
	status, _ := report.Object["status"].(map[string]any)
	said := name
	for _, field := range slices.Sorted(maps.Keys(status)) {
		if before, now := w.last[name][field], status[field]; field != "written" && !reflect.DeepEqual(before, now) {
			said += fmt.Sprintf(", %s: %v, was %v", field, now, before)
		}
	}
	w.last[name] = status
	w.what = append(w.what, said)
}

func (s *scale) watchReports(b *testing.B) *written {
	w := &written{last: map[string]map[string]any{}}
	for _, resource := range []string{"speakers", "addresspools"} {
		events, err := s.reports.Resource(schema.GroupVersionResource{Group: "network-lb.kontena.io", Version: "v1alpha1", Resource: resource}).
			Watch(b.Context(), metav1.ListOptions{})
		s.do(b, err)
		b.Cleanup(events.Stop)
		go func() {
			for e := range events.ResultChan() {
				if report, ok := e.Object.(*unstructured.Unstructured); ok {
					w.note(report)
				}
			}
		}()
	}
	return w
}

// create creates a Service, and the endpoints that nobody else makes: one on each of two nodes.
func (s *scale) create(ctx context.Context, name string) error {
	_, err := s.client.CoreV1().Services(metav1.NamespaceDefault).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}},
			AllocateLoadBalancerNodePorts: new(false), // there are not so many
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Port: new(int32(8080))}},
	}
	for i, n := range lab.Nodes()[:2] {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.244.%d.250", i+1)}, NodeName: &n.Name})
	}
	_, err = s.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Create(ctx, slice, metav1.CreateOptions{})
	return err
}

// remove removes all that create has created, and faster than kubectl would.
func (s *scale) remove(b *testing.B) {
	ctx := context.Background()
	all, err := s.client.CoreV1().Services(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	s.do(b, err)
	for _, o := range all.Items {
		if o.Spec.Type == corev1.ServiceTypeLoadBalancer {
			s.creating.Go(func() error {
				return s.client.CoreV1().Services(o.Namespace).Delete(ctx, o.Name, metav1.DeleteOptions{})
			})
		}
	}
	s.do(b, s.creating.Wait())
	s.do(b, s.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "!=kubernetes"}))
}

// routes waits until FRR has that many routes from each node, and returns when it saw that.
func (s *scale) routes(b *testing.B, want int) time.Time {
	b.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		text, err := s.vty.Ask("show bgp ipv4 unicast summary json")
		s.do(b, err)
		var summary struct {
			Peers map[string]struct {
				State  string
				PfxRcd int
			}
		}
		s.do(b, json.Unmarshal([]byte(text), &summary))
		full := 0
		for _, p := range summary.Peers {
			if p.State == "Established" && p.PfxRcd == want {
				full++
			}
		}
		if full == len(lab.Nodes()) {
			return time.Now()
		}
		if time.Now().After(deadline) {
			b.Fatalf("not %d routes from each node within five minutes: %s", want, text)
		}
	}
}

// proxies has the kube-proxies stop or go on: for each change they list thousands of rules, with all processors there are.
func (s *scale) proxies(b *testing.B, signal string) {
	for _, h := range lab.Nodes() {
		_, err := signalProgram(b.Context(), s.Cluster, h.Name, "-f [k]ube-proxy.--bind", signal) // not its own shell
		s.do(b, err)
	}
}

// rest waits until the kube-proxies have worked off what has changed: they take all processors for that, for minutes.
func (s *scale) rest(b *testing.B) {
	b.Helper()
	began, last := time.Now(), time.Now()
	for ; time.Since(last) < 10*time.Second; time.Sleep(200 * time.Millisecond) {
		if exec.CommandContext(b.Context(), "pgrep", "--exact", "nft").Run() == nil {
			last = time.Now()
		}
		if time.Since(began) > 10*time.Minute {
			b.Fatal("kube-proxy has been at work for ten minutes")
		}
	}
	fmt.Printf("kube-proxy at rest after %.1f s\n", last.Sub(began).Seconds())
}

// one measures one Service more.
func (s *scale) one(b *testing.B, while string) {
	var status, route []time.Duration
	services := s.client.CoreV1().Services(metav1.NamespaceDefault)
	for i := range rounds {
		name := fmt.Sprint("one-", i)
		events, err := services.Watch(b.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
		s.do(b, err)
		began := time.Now()
		s.do(b, s.create(b.Context(), name))
		var addr netip.Addr
		for e := range events.ResultChan() {
			if o, ok := e.Object.(*corev1.Service); ok && len(o.Status.LoadBalancer.Ingress) > 0 {
				addr = netip.MustParseAddr(o.Status.LoadBalancer.Ingress[0].IP)
				break
			}
		}
		events.Stop()
		status = append(status, time.Since(began))
		delivered(b.Context(), b, true, addr, s.has)
		route = append(route, time.Since(began))
		s.do(b, services.Delete(b.Context(), name, metav1.DeleteOptions{}))
		s.do(b, s.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Delete(b.Context(), name, metav1.DeleteOptions{}))
		s.routes(b, many)
	}
	fmt.Println(while)
	show(b, "created -> EXTERNAL-IP in the status", "Services", status)
	show(b, "created -> route in FRR", "Services", route)
}

func (s *scale) has(addr netip.Addr) bool {
	out, err := s.vty.Ask("show bgp ipv4 unicast " + addr.String() + "/32 json")
	return err == nil && strings.Contains(out, `"paths"`)
}

// start measures all three speakers from the start of the last one's process.
func (s *scale) start(b *testing.B) {
	var times []time.Duration
	for range runs {
		s.kubectl(b, "delete", "pod", "--namespace", addon.Namespace, "--selector", "app.kubernetes.io/component=speaker", "--wait",
			"--grace-period=1")
		done := s.routes(b, many)
		var last time.Time
		for _, pid := range s.speakers(b) {
			began, err := process.Started(pid)
			s.do(b, err)
			if began.After(last) {
				last = began
			}
		}
		times = append(times, done.Sub(last))
	}
	show(b, "start -> all routes of all three in FRR", "times", times)
}

// speakers are their processes.
func (s *scale) speakers(b *testing.B) (pids []int) {
	b.Helper()
	for _, h := range lab.Nodes() {
		text, err := signal(b.Context(), s.Cluster, h.Name, "0")
		s.do(b, err)
		pid, err := strconv.Atoi(strings.TrimSpace(text))
		s.do(b, err)
		pids = append(pids, pid)
	}
	return pids
}

// idle measures what speakers need while nothing changes.
func (s *scale) idle(b *testing.B, reports *written) {
	time.Sleep(cooledDown) // for the reports of what has just been
	const quiet = 30 * time.Second
	pids, before := s.speakers(b), reports.count()
	spent := make([]time.Duration, len(pids))
	var err error
	for i, pid := range pids {
		spent[i], err = process.CPU(pid)
		s.do(b, err)
	}
	time.Sleep(quiet)
	for i, pid := range pids {
		used, err := process.CPU(pid)
		s.do(b, err)
		resident, err := process.Memory(pid, "VmRSS")
		s.do(b, err)
		own, err := process.Memory(pid, "RssAnon") // without the program's file
		s.do(b, err)
		most, err := process.Memory(pid, "VmHWM")
		s.do(b, err)
		fmt.Printf("%-32s %s: %d ms of CPU in %s, %d MiB resident, %d of them its own, %d MiB at most\n", "idle", lab.Nodes()[i].Name,
			(used - spent[i]).Milliseconds(), quiet, resident, own, most)
	}
	fmt.Printf("%-32s %d reports written in %s\n", "idle", reports.count()-before, quiet)
	for _, what := range reports.since(before) {
		b.Log(what)
	}
}
