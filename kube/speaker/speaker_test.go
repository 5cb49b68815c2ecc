package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/api/clientset"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/layer2"
)

func TestMain(m *testing.M) {
	klog.SetLogger(klog.Logger{})
	utilruntime.ErrorHandlers = nil // one of them counts the time across bubbles, and waits for years
	// On several processors the race detector falls over timers in bubbles now and then (https://go.dev/issue/78156).
	goruntime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// recorder is a Routes and, by claims, a Claims that counts.
type recorder struct {
	sets   int
	peers  []bgp.Peer
	routes []bgp.Route
	err    error
	claims recordedClaims
}

type recordedClaims struct {
	sets   int
	claims []layer2.Claim
}

func (r *recorder) Set(peers []bgp.Peer, routes []bgp.Route) error {
	r.sets++
	r.peers, r.routes = peers, routes
	return r.err
}
func (*recorder) Status() []bgp.PeerStatus { return nil }

func (c *recordedClaims) Set(claims []layer2.Claim) error {
	c.sets++
	c.claims = claims
	return nil
}
func (*recordedClaims) Status() layer2.Status   { return layer2.Status{} }
func (*recordedClaims) Configure([]string, int) {}

// cluster is client-go's fake in a synctest bubble. It does not filter watches by label or field, except those of
// Secrets, so that it holds only what a speaker asks for.
type cluster struct {
	t *testing.T
	*fake.Clientset
	stops map[*Speaker]func() // end one, and wait until it has
}

const both = `
address_pools:
- {name: lan, protocol: layer2, addresses: [10.0.0.0/24]}
- {name: routed, protocol: bgp, addresses: [10.1.0.0/24]}
peers: [{peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500}]
`

func inBubble(t *testing.T, f func(*testing.T, *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newCluster(t)) })
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t, fake.NewClientset(), map[*Speaker]func(){}}
	secrets := corev1.SchemeGroupVersion.WithResource("secrets")
	c.PrependReactor("list", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		all, err := c.Tracker().List(secrets, corev1.SchemeGroupVersion.WithKind("Secret"), "system")
		if err != nil {
			return true, nil, err
		}
		list := all.(*corev1.SecretList)
		list.Items = slices.DeleteFunc(list.Items, func(s corev1.Secret) bool {
			return !a.(clienttesting.ListAction).GetListRestrictions().Fields.Matches(fields.Set{"metadata.name": s.Name})
		})
		return true, list, nil
	})
	c.PrependWatchReactor("secrets", func(a clienttesting.Action) (bool, watch.Interface, error) {
		all, err := c.Tracker().Watch(secrets, "system")
		if err != nil {
			return true, nil, err
		}
		return true, watch.Filter(all, func(e watch.Event) (watch.Event, bool) {
			s, ok := e.Object.(*corev1.Secret)
			return e, ok && a.(clienttesting.WatchAction).GetWatchRestrictions().Fields.Matches(fields.Set{"metadata.name": s.Name})
		}), nil
	})
	return c
}

// must is for calls on the fake of which only the error counts.
func must[T any](c *cluster, f func(context.Context, T, metav1.CreateOptions) (T, error), o T) {
	c.t.Helper()
	if _, err := f(c.t.Context(), o, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// populate makes a node a with a speaker, and a Service with an endpoint there.
func (c *cluster) populate(addrs ...string) {
	must(c, c.CoreV1().Nodes().Create, node("a", "10.0.0.5"))
	must(c, c.CoreV1().Pods("system").Create, pod("a"))
	must(c, c.CoreV1().Services("prod").Create, service(addrs...))
	must(c, c.DiscoveryV1().EndpointSlices("prod").Create, slice("one", "web", "a"))
}

func (c *cluster) configure(text string) {
	c.secret("last-good", map[string]string{document.Key: text, document.GenerationKey: "7"})
}

// secret writes a Secret and lets the speaker react; nil data deletes it.
func (c *cluster) secret(name string, data map[string]string) {
	c.t.Helper()
	secrets := c.CoreV1().Secrets("system")
	if data == nil {
		if err := secrets.Delete(c.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			c.t.Fatal(err)
		}
	} else {
		o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: name}, Data: map[string][]byte{}}
		for key, text := range data {
			o.Data[key] = []byte(text)
		}
		if _, err := secrets.Update(c.t.Context(), o, metav1.UpdateOptions{}); err != nil {
			must(c, secrets.Create, o)
		}
	}
	pass()
}

// start runs a speaker on node a until the end of the test.
func (c *cluster) start(client kubernetes.Interface, routes Routes, claims Claims, change func(*Options)) *Speaker {
	o := Options{Client: clientset.Client(client), Node: "a", Namespace: "system", LastGood: "last-good", Routes: routes, Claims: claims}
	if change != nil {
		change(&o)
	}
	s := New(o)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			c.t.Errorf("Run = %v", err)
		}
	}()
	c.stops[s] = func() {
		stop()
		<-done
	}
	c.t.Cleanup(c.stops[s])
	pass()
	return s
}

func pass() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// gated is a client whose first list of Nodes waits at a gate.
type gated struct {
	*cluster
	gate chan struct{}
}

type gatedCore struct {
	corev1client.CoreV1Interface
	gate chan struct{}
}

type gatedNodes struct {
	corev1client.NodeInterface
	gate chan struct{}
}

func (g gated) CoreV1() corev1client.CoreV1Interface { return gatedCore{g.cluster.CoreV1(), g.gate} }
func (g gatedCore) Nodes() corev1client.NodeInterface {
	return gatedNodes{g.CoreV1Interface.Nodes(), g.gate}
}
func (g gatedNodes) List(ctx context.Context, o metav1.ListOptions) (*corev1.NodeList, error) {
	<-g.gate
	return g.NodeInterface.List(ctx, o)
}

func TestNothingBeforeTheWholeView(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(both)
		c.populate("10.0.0.1", "10.1.0.1")
		gate, r := make(chan struct{}), &recorder{}
		s := c.start(gated{c, gate}, r, &r.claims, nil)
		time.Sleep(time.Minute)
		if r.sets+r.claims.sets > 0 {
			t.Error("decided before the Nodes were read")
		}
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "not all been read") {
			t.Errorf("Ready = %v", err)
		}
		close(gate)
		pass()
		if r.sets != 1 || r.claims.sets != 1 || len(r.peers) != 1 || len(r.routes) != 1 || len(r.claims.claims) != 1 {
			t.Errorf("the first decision is %+v", r)
		}
		if err := s.Ready(); err != nil {
			t.Errorf("Ready = %v", err)
		}
	})
}

func TestNothingBeforeAConfiguration(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populate("10.0.0.1")
		r := &recorder{}
		s := c.start(c, r, &r.claims, nil)
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "there is no Secret system/last-good") {
			t.Errorf("Ready = %v", err)
		}
		c.configure("address_pools: nonsense")
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "address_pools") || r.sets+r.claims.sets > 0 {
			t.Errorf("with a bad document Ready = %v, and %d decisions", err, r.sets)
		}
		c.configure(both)
		if err := s.Ready(); err != nil || r.sets != 1 || len(r.claims.claims) != 1 {
			t.Errorf("Ready = %v, %+v", err, r)
		}
		for what, spoil := range map[string]func(){
			"a bad document": func() { c.configure("address_pools: nonsense") },
			"no document":    func() { c.secret("last-good", map[string]string{}) },
			"no Secret":      func() { c.secret("last-good", nil) },
		} {
			spoil()
			if got := s.Status().Config; got.Problem == "" || got.Generation != 7 || s.Ready() != nil || r.sets != 1 {
				t.Errorf("%s changes something: %+v, %d decisions", what, got, r.sets)
			}
			c.configure(both)
			if got := s.Status().Config; got != (Config{Generation: 7}) || r.sets != 1 {
				t.Errorf("after %s: %+v, %d decisions", what, got, r.sets)
			}
		}
	})
}

func TestBurstsCoalesce(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(both)
		c.populate("10.0.0.1")
		r := &recorder{}
		c.start(c, r, &r.claims, nil)
		for i := range 100 {
			s := service(fmt.Sprintf("10.0.0.%d", 100+i))
			s.Name = fmt.Sprint("web-", i)
			must(c, c.CoreV1().Services("prod").Create, s)
			must(c, c.DiscoveryV1().EndpointSlices("prod").Create, slice(s.Name, s.Name, "a"))
		}
		pass()
		// One before the burst, the few that do not wait, the one after which there was a wait, and one for all others.
		sets := r.sets
		if sets > 1+atOnce+2 || len(r.claims.claims) != 101 {
			t.Errorf("after a burst there were %d decisions, the last with %d claims; want at most %d with 101", sets, len(r.claims.claims), 1+atOnce+2)
		}
		time.Sleep(time.Hour)
		if r.sets != sets {
			t.Errorf("%d decisions although nothing changed", r.sets)
		}
	})
}

// An address and then its endpoints come one after the other: neither waits.
func TestFewChangesDoNotWait(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(both)
		c.populate("10.0.0.1")
		r := &recorder{}
		c.start(c, r, &r.claims, nil)
		pass()
		for round := range 2 {
			before, began := r.sets, time.Now()
			for i := range atOnce {
				s := service(fmt.Sprintf("10.0.0.%d", 100+10*round+i))
				s.Name = fmt.Sprintf("web-%d-%d", round, i)
				must(c, c.CoreV1().Services("prod").Create, s)
				synctest.Wait()
				if r.sets != before+1+i || time.Since(began) > 0 {
					t.Errorf("%d decisions about %d changes, after %s", r.sets-before, i+1, time.Since(began))
				}
			}
			time.Sleep(atOnce * restInterval)
		}
	})
}

func TestPreferComesFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(both)
		c.populate("10.0.0.1")
		r := &recorder{}
		var told []netip.Addr
		c.start(c, r, &r.claims, func(o *Options) {
			o.Prefer = func(own []netip.Addr) {
				if told = own; r.sets+r.claims.sets > 0 {
					t.Error("told after the first decision was carried out")
				}
			}
		})
		if want := []netip.Addr{netip.MustParseAddr("10.0.0.5")}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

func TestProblemIsShown(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(both)
		c.populate("10.0.0.1")
		r := &recorder{err: errors.New("peer 192.0.2.1: no")}
		s := c.start(c, r, &r.claims, nil)
		if got := s.Status().Problem; got != "peer 192.0.2.1: no" || len(r.claims.claims) != 1 {
			t.Errorf("Problem = %q, claims %v", got, r.claims.claims)
		}
	})
}

func TestBeforeRun(t *testing.T) {
	r := &recorder{}
	s := New(Options{Node: "a", Routes: r, Claims: &r.claims})
	if err := s.Ready(); err == nil || err.Error() != "the configuration has not been read yet" {
		t.Errorf("Ready = %v", err)
	}
	if got := s.Status(); got.Node != "a" || len(got.Decisions) > 0 {
		t.Errorf("Status = %+v", got)
	}
	if _, err := s.Metrics().Gather(); err != nil {
		t.Error(err)
	}
}

// TestAnnounces drives a real BGP speaker against a simulated router.
func TestAnnounces(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		router := netip.MustParseAddr("192.0.2.1")
		var memory bgp.Memory
		routes := bgp.NewSpeaker(&memory, bgp.Options{})
		defer routes.Close(false)
		var claims recordedClaims
		c.configure(both)
		c.populate("10.0.0.1", "10.1.0.1")
		s := c.start(c, routes, &claims, nil)
		if len(claims.claims) != 1 || claims.claims[0].Addr != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("claims %v, want 10.0.0.1", claims.claims)
		}
		if got, want := memory.Routes(router), []netip.Prefix{netip.MustParsePrefix("10.1.0.1/32")}; !slices.Equal(got, want) {
			t.Errorf("the router has %v, want %v", got, want)
		}
		status := s.Status()
		if len(status.Decisions) != 2 || status.Decisions[0].Reason != "" || status.Decisions[1].Reason != "" {
			t.Errorf("decisions %+v", status.Decisions)
		}
		if err := testutil.GatherAndCompare(s.Metrics(), strings.NewReader(`
# HELP network_lb_addresses_announced Addresses that this node announces.
# TYPE network_lb_addresses_announced gauge
network_lb_addresses_announced{protocol="bgp"} 1
network_lb_addresses_announced{protocol="layer2"} 1
# HELP network_lb_bgp_session_up 1 while the BGP session with the peer is Established.
# TYPE network_lb_bgp_session_up gauge
network_lb_bgp_session_up{peer="192.0.2.1"} 1
`), "network_lb_addresses_announced", "network_lb_bgp_session_up"); err != nil {
			t.Error(err)
		}
		memory.Send(router, 3, 0)
		time.Sleep(6 * time.Second) // counts are 5 s old at most
		memory.Lose(router, "hold timer expired", false)
		time.Sleep(5 * time.Second)
		if err := testutil.GatherAndCompare(s.Metrics(), strings.NewReader(`
# HELP network_lb_bgp_prefixes_received Prefixes that the peer advertises to us in the present session; they are used for nothing.
# TYPE network_lb_bgp_prefixes_received gauge
network_lb_bgp_prefixes_received{family="IPv4",peer="192.0.2.1"} 3
network_lb_bgp_prefixes_received{family="IPv6",peer="192.0.2.1"} 0
# HELP network_lb_bgp_prefixes_wanted Prefixes that the peer is to have.
# TYPE network_lb_bgp_prefixes_wanted gauge
network_lb_bgp_prefixes_wanted{family="IPv4",peer="192.0.2.1"} 1
network_lb_bgp_prefixes_wanted{family="IPv6",peer="192.0.2.1"} 0
# HELP network_lb_bgp_session_flaps_total How often an Established session was lost; a counter.
# TYPE network_lb_bgp_session_flaps_total counter
network_lb_bgp_session_flaps_total{peer="192.0.2.1"} 1
# HELP network_lb_bgp_session_info Always 1; the labels say the session's state, and why the last one was lost or does not come about.
# TYPE network_lb_bgp_session_info gauge
network_lb_bgp_session_info{peer="192.0.2.1",reason="hold timer expired",state="Established"} 1
`), "network_lb_bgp_prefixes_received", "network_lb_bgp_prefixes_wanted", "network_lb_bgp_session_flaps_total", "network_lb_bgp_session_info"); err != nil {
			t.Error(err)
		}
		if b := s.Status().BGP; len(b) != 1 || b[0].Lost != "hold timer expired" || b[0].LostAt.IsZero() || b[0].HoldTime != "30s" || b[0].BFD != nil {
			t.Errorf("BGP = %+v", b)
		}

		if err := c.CoreV1().Services("prod").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		pass()
		if len(claims.claims) > 0 || len(memory.Routes(router)) > 0 {
			t.Errorf("after its deletion the Service is announced: %v, %v", claims.claims, memory.Routes(router))
		}
	})
}
