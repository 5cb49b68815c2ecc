package speaker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/api/clientset"
	"github.com/kontena/network-lb/layer2"
)

// line is a way to the cluster that can be cut.
type line struct {
	*fake.Clientset
	cut  atomic.Bool
	thin atomic.Bool                           // Services are not listed
	node atomic.Pointer[apierrors.StatusError] // what is answered all the same to who asks for the Node; nil: nothing
}

func (c *cluster) line() *line {
	l := &line{Clientset: &fake.Clientset{}}
	gone := errors.New("connect: connection refused")
	l.AddReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if l.cut.Load() {
			if err := l.node.Load(); err != nil && a.Matches("get", "nodes") {
				return true, nil, err
			}
			return true, nil, gone
		}
		if l.thin.Load() && a.Matches("list", "services") {
			return true, nil, gone
		}
		o, err := c.Invokes(a, nil)
		return true, o, err
	})
	l.AddWatchReactor("*", func(a clienttesting.Action) (bool, watch.Interface, error) {
		if l.cut.Load() {
			return true, nil, gone
		}
		w, err := c.InvokesWatch(a)
		return true, w, err
	})
	return l
}

// lives is what becomes of a node's speakers, one after the other.
type lives struct {
	*cluster
	*line
	told
	claims recordedClaims
	state  string
	boot   string
	logs   *observer.ObservedLogs
}

// told notes all the routes there ever were.
type told struct {
	recorder
	seen []string
}

func (r *told) Set(peers []bgp.Peer, routes []bgp.Route) error {
	r.seen = append(r.seen, fmt.Sprint(len(peers), routes))
	return r.recorder.Set(peers, routes)
}

// inLives runs a test with a speaker that has run, and has ended.
func inLives(t *testing.T, f func(*testing.T, *lives)) {
	t.Helper()
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(routedOnly)
		c.populate("10.1.0.1")
		c.secret("tor", map[string]string{"one": "correct horse"})
		l := &lives{cluster: c, line: c.line(), state: t.TempDir(), boot: "first"}
		l.mount("tor", "one", "correct horse")
		s := l.begin()
		if len(l.routes) != 1 || s.Status().Stale != nil || s.Remark() != "" {
			t.Fatalf("with the API server: %+v", l.routes)
		}
		c.stops[s]()
		pass() // its watches end
		l.seen, l.sets = nil, 0
		f(t, l)
	})
}

const routedOnly = `
address_pools:
- {name: routed, protocol: bgp, addresses: [10.1.0.0/24]}
peers:
- {peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500, password_secret: {name: tor, key: one}}
`

func (l *lives) begin(change ...func(*Options)) *Speaker {
	core, logs := observer.New(zap.InfoLevel)
	l.logs = logs
	return l.start(l.line, &l.told, &l.claims, func(o *Options) {
		o.State, o.BootID, o.Logger = l.state, l.boot, zap.New(core)
		o.Mounted = filepath.Join(l.state, "secrets")
		for _, f := range change {
			f(o)
		}
	})
}

func (l *lives) file() string { return filepath.Join(l.state, "cluster.json.gz") }

// after lets time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// said reports whether a line of the log has all of this.
func (l *lives) said(words ...string) bool {
	return slices.ContainsFunc(l.logs.All(), func(e observer.LoggedEntry) bool {
		text := fmt.Sprint(e.Message, e.ContextMap())
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	})
}

func TestAway(t *testing.T) {
	inLives(t, func(t *testing.T, l *lives) {
		l.cut.Store(true)
		s := l.begin()
		after(unheard - 2*time.Second)
		if l.sets > 0 {
			t.Error("acted on what was kept although the API server may only be slow")
		}
		if err := s.Ready(); err == nil {
			t.Error("ready before the first decision")
		}
		after(2 * time.Second)
		if len(l.seen) == 0 || len(l.routes) != 1 || l.peers[0].Password != "correct horse" {
			t.Fatalf("told %v, and has %+v", l.seen, l.logs.All())
		}
		if status := s.Status(); status.Stale == nil || status.Config.Generation != 7 || s.Ready() != nil ||
			s.Remark() != "the API server does not answer: acting on what was known at "+status.Stale.Written.UTC().Format(time.RFC3339) {
			t.Errorf("%+v, %v, %q", status, s.Ready(), s.Remark())
		}
		if !l.said("does not answer; acting on", "services:1") {
			t.Errorf("said %v", l.logs.All())
		}
		stale := func(want float64) {
			t.Helper()
			if err := testutil.GatherAndCompare(s.Metrics(), strings.NewReader(fmt.Sprintf(`
# HELP network_lb_view_stale 1 while the speaker acts on what the last process on its node has kept, since the API server has not answered from its start on.
# TYPE network_lb_view_stale gauge
network_lb_view_stale %v
`, want)), "network_lb_view_stale"); err != nil {
				t.Error(err)
			}
		}
		stale(1)
		after(2 * time.Hour) // it goes on
		l.cut.Store(false)
		after(time.Minute)
		if s.Status().Stale != nil || s.Remark() != "" {
			t.Error("it does not act on the cluster")
		}
		stale(0)
		if seen := dedupe(l.seen); len(seen) != 1 || len(l.routes) != 1 {
			t.Errorf("something moved: %q", seen)
		}
		l.stops[s]()

		// What a process that has not read the cluster acts on is not kept anew by it.
		l.cut.Store(true)
		s = l.begin()
		after(61 * time.Minute)
		l.stops[s]()
		s = l.begin()
		after(time.Minute)
		if !l.said("of no use", "1h") || s.Status().Stale != nil {
			t.Errorf("said %v", l.logs.All())
		}
	})
}

// mount mounts a Secret.
func (l *lives) mount(name, key, value string) {
	folder := filepath.Join(l.state, "secrets", name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, key), []byte(value), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func TestKeptIsOfNoUse(t *testing.T) {
	rewrite := func(change func(k *kept)) func(l *lives) {
		return func(l *lives) {
			k, err := readKept(l.file())
			if err != nil {
				l.t.Fatal(err)
			}
			change(k)
			f, err := os.Create(l.file())
			if err != nil {
				l.t.Fatal(err)
			}
			if err := errors.Join(k.encode(f), f.Close(), os.Chtimes(l.file(), time.Now(), time.Now())); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name, want string
		change     func(l *lives)
	}{
		{"boot", "the node has booted since", func(l *lives) { l.boot = "second" }},
		{"no boot", "the node has booted since", func(l *lives) { l.boot = "" }},
		{"age", "it is 1h0m", func(*lives) { after(time.Hour) }},
		{"the clock was put back", "it is -1h", func(l *lives) {
			later := time.Now().Add(time.Hour + time.Minute)
			if err := os.Chtimes(l.file(), later, later); err != nil {
				l.t.Fatal(err)
			}
		}},
		{"node", "it is of the node b", rewrite(func(k *kept) { k.Node = "b" })},
		{"version", "it is of another version: format 2, not 1", rewrite(func(k *kept) { k.Format = 2 })},
		{"too few Services", "EOF", rewrite(func(k *kept) { k.keptHead.Services++ })},
		{"too many Services", "after the last Service", rewrite(func(k *kept) { k.keptHead.Services = 0 })},
		{"a document that is not valid", "address_pools", rewrite(func(k *kept) { k.Document = "address_pools: nonsense" })},
		{"no document", "there is no Secret system/last-good", rewrite(func(k *kept) { k.Document = "" })},
		{"an older document", "number 6, and number 7 was in force", func(l *lives) {
			rewrite(func(k *kept) { k.Document = "" })(l)
			l.mount("last-good", "config.yaml", routedOnly)
			l.mount("last-good", "generation", "6")
		}},
		{"cut off", "EOF", func(l *lives) {
			if err := os.Truncate(l.file(), 100); err != nil {
				l.t.Fatal(err)
			}
		}},
		{"not ours", "gzip", func(l *lives) {
			if err := os.WriteFile(l.file(), []byte("something else"), 0o600); err != nil {
				l.t.Fatal(err)
			}
		}},
		{"nothing", "the last run has kept nothing", func(l *lives) { _ = os.Remove(l.file()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inLives(t, func(t *testing.T, l *lives) {
				l.cut.Store(true)
				tt.change(l)
				s := l.begin()
				after(time.Minute)
				if l.sets > 0 || s.Status().Stale != nil || !l.said("nothing is announced before it does", tt.want) {
					t.Errorf("%d decisions; said %v", l.sets, l.logs.All())
				}
				l.cut.Store(false)
				after(time.Minute)
				if len(l.routes) != 1 || s.Ready() != nil {
					t.Errorf("with the API server: %v, %+v", s.Ready(), l.routes)
				}
			})
		})
	}
}

// A document that has a password in it is not kept: the mounted Secret has it.
func TestKeptHasNoPassword(t *testing.T) {
	inLives(t, func(t *testing.T, l *lives) {
		text := strings.ReplaceAll(routedOnly, "password_secret: {name: tor, key: one}", "password: battery-staple")
		l.configure(text)
		l.stops[l.begin()]()
		l.seen, l.sets = nil, 0
		if k, err := readKept(l.file()); err != nil || k.Document != "" || k.Generation != 7 {
			t.Errorf("kept %+v (%v)", k, err)
		}
		if info, err := os.Stat(l.file()); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v (%v)", info, err)
		}
		l.mount("last-good", "config.yaml", text)
		l.mount("last-good", "generation", "8")
		l.cut.Store(true)
		s := l.begin()
		after(unheard)
		if got := s.Status(); got.Config.Generation != 8 || got.Stale == nil || len(l.peers) != 1 || l.peers[0].Password != "battery-staple" {
			t.Errorf("%+v, peers %d", got, len(l.peers))
		}
	})
}

// An API server that answers is there, whatever it says, and however long reading takes.
func TestSlowIsNotAway(t *testing.T) {
	for name, answer := range map[string]*apierrors.StatusError{
		"refused":   apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "a", errors.New("not you")),
		"not found": apierrors.NewNotFound(schema.GroupResource{Resource: "nodes"}, "a"),
	} {
		t.Run(name, func(t *testing.T) {
			inLives(t, func(t *testing.T, l *lives) {
				l.cut.Store(true)
				l.node.Store(answer)
				s := l.begin()
				after(time.Minute)
				if l.sets > 0 || s.Status().Stale != nil {
					t.Error("acted on what was kept")
				}
				l.node.Store(apierrors.NewServiceUnavailable("etcd is away"))
				after(2 * unheard)
				if s.Status().Stale == nil {
					t.Error("one that cannot say anything counts as there")
				}
			})
		})
	}
	inLives(t, func(t *testing.T, l *lives) {
		gate := make(chan struct{})
		s := l.begin(func(o *Options) { o.Client = clientset.Client(gated{l.cluster, gate}) })
		after(time.Minute)
		if l.sets > 0 || s.Status().Stale != nil {
			t.Error("acted on what was kept")
		}
		close(gate)
		pass()
	})
}

// One that is ended before it acts on what was kept does not begin to.
func TestEndedWhileAway(t *testing.T) {
	inLives(t, func(t *testing.T, l *lives) {
		l.cut.Store(true)
		l.stops[l.begin()]()
		after(time.Minute)
		if l.sets > 0 || l.said("does not answer") {
			t.Errorf("%d decisions; said %v", l.sets, l.logs.All())
		}
	})
}

// The Node may be another one of the same name.
func TestAnotherNode(t *testing.T) {
	inLives(t, func(t *testing.T, l *lives) {
		n := node("a", "10.0.0.5")
		n.UID = "another"
		if err := l.cluster.Tracker().Update(nodes, n, ""); err != nil {
			t.Fatal(err)
		}
		l.thin.Store(true)
		l.begin()
		after(time.Second) // it is asked for once
		l.cut.Store(true)
		after(time.Minute)
		if l.sets > 0 || !l.said("the Node is another one of the same name") {
			t.Errorf("%d decisions; said %v", l.sets, l.logs.All())
		}
	})
}

// While it acts on what was kept, the Node turns out to be another one: nothing more is done before everything is read.
func TestAnotherNodeLater(t *testing.T) {
	inLives(t, func(t *testing.T, l *lives) {
		l.cut.Store(true)
		s := l.begin()
		after(unheard)
		n := node("a", "10.0.0.5")
		n.UID = "another"
		if err := l.cluster.Tracker().Update(nodes, n, ""); err != nil {
			t.Fatal(err)
		}
		l.thin.Store(true)
		l.cut.Store(false)
		after(time.Minute)
		before := l.sets
		l.configure(routedOnly + "- {peer_address: 192.0.2.9, peer_asn: 64501, my_asn: 64500}\n")
		if l.sets != before || len(l.peers) != 1 || s.Status().Stale == nil {
			t.Errorf("%d decisions more, %d peers", l.sets-before, len(l.peers))
		}
		l.thin.Store(false)
		after(time.Minute)
		if s.Status().Stale != nil || len(l.peers) != 2 || len(l.routes) != 1 {
			t.Errorf("from the cluster: %d peers, %v", len(l.peers), l.routes)
		}
	})
}

// When the API server is back, nodes that it has not heard of meanwhile are not Ready for a moment, and no endpoint is. A
// Service that loses its endpoints so goes on as for a speaker that was there.
func TestAwayAndNoEndpointsForAMoment(t *testing.T) {
	inLives(t, func(t *testing.T, l *lives) {
		l.cut.Store(true)
		s := l.begin()
		after(unheard)
		endpoints := l.cluster.DiscoveryV1().EndpointSlices("prod")
		if err := endpoints.Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		l.cut.Store(false)
		for s.Status().Stale != nil {
			after(100 * time.Millisecond)
		}
		after(5 * time.Second)
		must(l.cluster, endpoints.Create, slice("one", "web", "a"))
		after(time.Minute)
		if seen := dedupe(l.seen); len(seen) != 1 || len(l.routes) != 1 {
			t.Errorf("something moved: %q", seen)
		}
		if err := endpoints.Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if len(l.routes) > 0 {
			t.Errorf("without endpoints it has %v", l.routes)
		}
	})
}

// A speaker that is restarted has the address that the others have answered for in its place.
func TestAwayAndStoodInFor(t *testing.T) {
	inRolling(t, "a b c", func(t *testing.T, r *rolling) {
		keys := filepath.Join(t.TempDir(), "secrets")
		mountKey(t, r.site, keys)
		cut := r.line()
		cut.cut.Store(true)
		t.Cleanup(func() { cut.cut.Store(false) })
		after(2 * keepEvery)
		begin := time.Now()
		for range 2 {
			r.end("a")
			after(time.Second)
			r.begin("a", func(o *Options) { o.Client, o.Mounted = clientset.Client(cut), keys })
			after(10 * time.Second)
			r.want("a is back", "a")
			if s := r.nodes["a"].Status(); s.Stale == nil || len(s.Decisions) != 1 || s.Decisions[0].Owner != "a" {
				t.Errorf("a says %+v, and said %v", s, r.nodes["a"].logs.All())
			}
		}
		r.served(begin, "a")
	})
}

// mountKey mounts the membership's keys.
func mountKey(t *testing.T, s *site, folder string) {
	folder = filepath.Join(folder, "members")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	secret, err := s.Tracker().Get(secrets, "system", "members")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "key"), keyOf(secret), 0o600); err != nil {
		t.Fatal(err)
	}
}

func dedupe(all []string) []string { return slices.Compact(slices.Clone(all)) }

// inAwaySite runs a test with speakers a and b on layer 2 that keep what they know. away starts one that has crashed
// anew, without the API server.
func inAwaySite(t *testing.T, f func(t *testing.T, s *site, keeps func(*Options), away func(name string))) {
	t.Helper()
	inSite(t, "a b", func(t *testing.T, s *site) {
		folder := t.TempDir()
		mountKey(t, s, filepath.Join(folder, "secrets"))
		keeps := func(o *Options) {
			o.State, o.BootID, o.Mounted = filepath.Join(folder, o.Node), "boot", filepath.Join(folder, "secrets")
			_ = os.Mkdir(o.State, 0o700)
		}
		cut := s.line()
		cut.cut.Store(true)
		f(t, s, keeps, func(name string) {
			s.prepare(name)
			s.run(name, keeps, func(o *Options) { o.Client = clientset.Client(cut) })
			t.Cleanup(func() { cut.cut.Store(false) })
		})
	})
}

func TestAwayOnLayer2(t *testing.T) {
	for name, document := range map[string]string{"members": lanOnly, "no membership": lanOnly + "membership: {enabled: false}\n"} {
		t.Run(name, func(t *testing.T) {
			inAwaySite(t, func(t *testing.T, s *site, keeps func(*Options), away func(string)) {
				s.configure(document)
				s.run("a", keeps)
				s.becomes("a")
				after(2 * keepEvery)
				s.nodes["a"].crash()
				after(time.Second)
				other := s.lan.Client(layer2.MAC{2, 0, 0, 0, 1, 9})
				other.Hold(first)
				away("a")
				after(10 * time.Second)
				if s.want("somebody answers", ""); s.nodes["a"].Status().Stale == nil {
					t.Fatalf("said %v", s.nodes["a"].logs.All())
				}
				other.Drop(first)
				s.becomes("a")
			})
		})
	}
}

// Who took the address meanwhile has it, and when that one is lost it is taken over, all without the API server.
func TestAwayAmongMembers(t *testing.T) {
	inAwaySite(t, func(t *testing.T, s *site, keeps func(*Options), away func(string)) {
		s.run("a b", keeps)
		s.want("at first", "a")
		s.nodes["a"].crash()
		s.becomes("b")
		away("a")
		after(10 * time.Second)
		s.want("b has it", "b")
		if s.nodes["a"].Status().Stale == nil {
			t.Fatalf("said %v", s.nodes["a"].logs.All())
		}
		s.nodes["b"].crash()
		if d := s.becomes("a"); d > 3*time.Second {
			t.Errorf("it took %v", d)
		}
		away("b")
		after(10 * time.Second)
		s.want("a has it", "a")
	})
}

// A node that was lost before is not waited for, although the cluster was last known to think well of it.
func TestAwayWithoutTheFirst(t *testing.T) {
	inAwaySite(t, func(t *testing.T, s *site, keeps func(*Options), away func(string)) {
		s.run("b a", keeps)
		s.want("at first", "b")
		s.nodes["a"].crash()
		s.nodes["b"].crash()
		away("b")
		s.becomes("b")
	})
}
