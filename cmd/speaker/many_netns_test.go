package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
	"github.com/kontena/network-lb/kube/objects"
)

// manyServices is how many Services there are, each with two endpoints.
const manyServices = 5000

// BenchmarkNetnsManyServices runs the speaker itself among 5,000 Services with 10,000 endpoints, which a stand-in of an API
// server has, beside BIRD: how long it takes to start, what it needs then, and how long one Service more takes to BIRD.
func BenchmarkNetnsManyServices(b *testing.B) {
	routers.Require(b)
	node, router := nstest.New(b, "mn"), nstest.New(b, "mr")
	nstest.Wire(b, node, "eth0", []string{"10.0.1.1/24"}, router, "eth0", []string{"10.0.1.2/24"})
	bird := routers.StartBIRD(b, router, `router id 10.0.1.2;
protocol device {}
protocol bgp node { local 10.0.1.2 as 64501; neighbor 10.0.1.1 as 64500; ipv4 { import all; export none; }; }
`)
	api := serveAPI(b, node)
	for i := range manyServices {
		api.add("services", largeService(i))
		api.add("endpointslices", largeSlice(i))
	}
	run := speakerProgram(b, node, api.address)
	began := time.Now()
	pid := run()
	imported := func(n int) {
		nstest.Eventually(b, fmt.Sprintf("BIRD has %d routes", n), func() (bool, any) {
			got := bird.Imported("node")
			return got == n, got
		})
	}
	imported(manyServices)
	started, cost := time.Since(began), processor(b, pid)
	atStart := memory(b, pid, "VmRSS")
	var one []time.Duration
	for i := range 20 {
		api.add("endpointslices", largeSlice(manyServices+i))
		now := time.Now()
		api.add("services", largeService(manyServices+i))
		imported(manyServices + 1 + i)
		one = append(one, time.Since(now))
	}
	before := processor(b, pid)
	time.Sleep(10 * time.Second)
	var sum time.Duration
	for _, d := range one {
		sum += d
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(started.Seconds(), "start-s")
	b.ReportMetric(cost.Seconds(), "start-cpu-s")
	b.ReportMetric(atStart, "start-RSS-MiB")
	b.ReportMetric(memory(b, pid, "VmRSS"), "RSS-MiB")
	b.ReportMetric(memory(b, pid, "RssAnon"), "RSS-of-its-own-MiB")
	b.ReportMetric(memory(b, pid, "VmHWM"), "most-RSS-MiB")
	b.ReportMetric(float64(sum.Milliseconds())/float64(len(one)), "one-more-ms")
	b.ReportMetric(float64((processor(b, pid)-before).Milliseconds())/10, "idle-cpu-ms/s")
}

func largeService(i int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: fmt.Sprintf("service-%05d", i), Labels: map[string]string{
			"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": fmt.Sprint("web-", i), "app.kubernetes.io/managed-by": "Helm"}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
		Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)}}},
			Conditions: []metav1.Condition{{Type: objects.ConditionAllocated, Status: metav1.ConditionTrue, Reason: "Allocated",
				Message: "it has an address of the pool routed"}},
		},
	}
}

func largeSlice(i int) *discoveryv1.EndpointSlice {
	name := fmt.Sprintf("service-%05d", i)
	o := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "prod", Name: name + "-x7k2p", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for n := range 2 {
		o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{NodeName: new(fmt.Sprint("b", n)), Addresses: []string{fmt.Sprintf("10.244.%d.%d", i/250, n+1)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "prod", Name: fmt.Sprint(name, "-", n)}})
	}
	return o
}

// standIn answers the lists and watches of a speaker, in JSON.
type standIn struct {
	address string

	mu       sync.Mutex
	version  int
	objects  map[string][]metav1.Object
	watchers map[string][]chan metav1.Object
}

// serveAPI listens in a namespace. There is one Node, a, without Pods.
func serveAPI(b *testing.B, namespace string) *standIn {
	s := &standIn{objects: map[string][]metav1.Object{}, watchers: map[string][]chan metav1.Object{}}
	var listener net.Listener
	nstest.Do(b, namespace, func() {
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			b.Fatal(err)
		}
	})
	s.address = listener.Addr().String()
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	s.add("nodes", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "uid"}, Status: corev1.NodeStatus{
		Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.1.1"}},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}})
	return s
}

func (s *standIn) add(resource string, o metav1.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[resource] = append(s.objects[resource], o)
	for _, w := range s.watchers[resource] {
		w <- o
	}
}

var empties = map[string]metav1.Object{
	"services": &corev1.Service{}, "endpointslices": &discoveryv1.EndpointSlice{}, "nodes": &corev1.Node{}, "pods": &corev1.Pod{},
}

var versions = map[string]string{"services": "v1 Service", "endpointslices": "discovery.k8s.io/v1 EndpointSlice", "nodes": "v1 Node", "pods": "v1 Pod"}

// ServeHTTP streams what there is, a bookmark, and what comes.
func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resource := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if empties[resource] == nil || r.URL.Query().Get("watch") == "" {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	all, news := s.objects[resource], make(chan metav1.Object, 100)
	s.watchers[resource] = append(s.watchers[resource], news)
	version := strconv.Itoa(s.version)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	send := func(kind string, o metav1.Object) {
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		group, name, _ := strings.Cut(versions[resource], " ")
		fmt.Fprintf(w, `{"type":%q,"object":{"apiVersion":%q,"kind":%q,%s}`+"\n", kind, group, name, text[1:])
	}
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, o := range all {
			send("ADDED", o)
		}
		mark := empties[resource]
		mark.SetResourceVersion(version)
		mark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		send("BOOKMARK", mark)
	}
	for {
		w.(http.Flusher).Flush()
		select {
		case o := <-news:
			send("ADDED", o)
		case <-r.Context().Done():
			return
		}
	}
}

// speakerProgram builds the speaker, and returns what runs it in a namespace.
func speakerProgram(b *testing.B, namespace, api string) func() (pid int) {
	dir := b.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	if out, err := exec.Command("go", "build", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", filepath.Join(dir, "speaker"), ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	kubeconfig := file("kubeconfig", `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "http://`+api+`"}}], users: [{name: u, user: {}}]}`)
	config := file("config", `address_pools: [{name: routed, protocol: bgp, addresses: [10.1.0.0/16]}]
peers: [{peer_address: 10.0.1.2, peer_asn: 64501, my_asn: 64500}]
`)
	cmd := exec.Command("ip", "netns", "exec", namespace, filepath.Join(dir, "speaker"), "--node-name=a", "--kubeconfig="+kubeconfig,
		"--config="+config, "--log-level=warn", "--state="+b.TempDir())
	log := new(nstest.Buffer)
	cmd.Stdout, cmd.Stderr = log, log
	b.Cleanup(func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if b.Failed() {
			b.Log(log)
		}
	})
	return func() int {
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		return cmd.Process.Pid
	}
}

// memory is a field of a process's status, in MiB.
func memory(b *testing.B, pid int, field string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), field+":")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}

// processor is how long a process has had one, to 10 ms (proc_pid_stat(5)).
func processor(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text)[strings.LastIndex(string(text), ")")+1:])
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
