package speaker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

const drainable = `
address_pools: [{name: routed, protocol: bgp, addresses: [10.1.0.0/24]}]
peers: [{peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500}]
drain: {on_taints: [example.com/leaving]}
`

// populateTwo makes nodes a and b with speakers and a slot, and a Service that both announce by BGP.
func (c *cluster) populateTwo() {
	c.configure(drainable)
	c.populate("10.1.0.1")
	must(c, c.CoreV1().Nodes().Create, node("b", "10.0.0.6"))
	must(c, c.CoreV1().Pods("system").Create, pod("b"))
	must(c, c.CoordinationV1().Leases("system").Create, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "drain-0", ResourceVersion: "1"}})
}

// change changes a node.
func (c *cluster) change(name string, f func(*corev1.Node)) {
	c.t.Helper()
	n, err := c.CoreV1().Nodes().Get(c.t.Context(), name, metav1.GetOptions{})
	if err == nil {
		f(n)
		_, err = c.CoreV1().Nodes().Update(c.t.Context(), n, metav1.UpdateOptions{})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	pass()
}

// drain writes the annotation.
func (c *cluster) drain(name, value string) {
	c.t.Helper()
	c.change(name, func(n *corev1.Node) { n.Annotations = map[string]string{objects.Prefix + "drain": value} })
}

// holder is who has the slot.
func (c *cluster) holder() string {
	c.t.Helper()
	l, err := c.CoordinationV1().Leases("system").Get(c.t.Context(), "drain-0", metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return holderOf(l)
}

// hold has a node take the slot for some seconds.
func (c *cluster) hold(name string, seconds int32) {
	c.t.Helper()
	_, err := c.CoordinationV1().Leases("system").Update(c.t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "drain-0", ResourceVersion: "2"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds}}, metav1.UpdateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
}

func slotted(o *Options) { o.DrainSlots = "drain" }

// doing is what a speaker says of its drain and of its routes: "Draining, leaving".
func doing(s *Speaker, r *recorder) string {
	routes, out := "announcing", "none"
	switch { // before the status is asked for: so it is told from what a timer brings next
	case len(r.routes) == 0:
		routes = "nothing"
	case slices.Contains(r.routes[0].Communities, bgp.GracefulShutdown):
		routes = "leaving"
	}
	if d := s.Status().Drain; d != nil {
		out = string(d.State)
	}
	return out + ", " + routes
}

func (c *cluster) want(when string, s *Speaker, r *recorder, want string) {
	c.t.Helper()
	synctest.Wait()
	if got := doing(s, r); got != want {
		c.t.Errorf("%s: %s, want %s: %+v", when, got, want, s.Status().Drain)
	}
}

func TestDrain(t *testing.T) {
	for name, on := range map[string]func(*corev1.Node, bool){
		"annotation": func(n *corev1.Node, on bool) {
			n.Annotations = map[string]string{objects.Prefix + "drain": map[bool]string{true: "by tom", false: "false"}[on]}
		},
		"taint": func(n *corev1.Node, on bool) {
			n.Spec.Taints = []corev1.Taint{{Key: "other"}}
			if on {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "example.com/leaving"})
			}
		},
	} {
		inBubble(t, func(t *testing.T, c *cluster) {
			c.populateTwo()
			r := &recorder{}
			s := c.start(c, r, &r.claims, slotted)
			c.want("at first", s, r, "none, announcing")
			c.change("a", func(n *corev1.Node) { n.Spec.Unschedulable = true })
			c.want("cordoned", s, r, "none, announcing")
			c.change("a", func(n *corev1.Node) { on(n, true) })
			c.want("by "+name, s, r, "Draining, leaving")
			if c.holder() != "a" {
				t.Errorf("%q has the slot", c.holder())
			}
			time.Sleep(28 * time.Second)
			c.want("before the period has passed", s, r, "Draining, leaving")
			time.Sleep(2 * time.Second)
			c.want("afterwards", s, r, "Drained, nothing")
			if v := s.Status().Decisions[0]; v.Reason != announce.NodeDraining {
				t.Errorf("the verdict is %+v", v)
			}
			if c.holder() != "" {
				t.Errorf("%q has the slot still", c.holder())
			}
			time.Sleep(time.Hour)
			c.want("later", s, r, "Drained, nothing")
			c.change("a", func(n *corev1.Node) { on(n, false) })
			c.want("back", s, r, "none, announcing")
			c.change("a", func(n *corev1.Node) { on(n, true) })
			c.change("a", func(n *corev1.Node) { on(n, false) })
			c.want("called off", s, r, "none, announcing")
			if c.holder() != "" {
				t.Errorf("%q has the slot of a drain that was called off", c.holder())
			}
		})
	}
}

func TestDrainWaitsForASlot(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		c.hold("b", 600)
		r := &recorder{}
		s := c.start(c, r, &r.claims, slotted)
		c.drain("a", "true")
		time.Sleep(time.Minute)
		c.want("while b drains", s, r, "Waiting, announcing")
		if d := s.Status().Drain; d.Reason != "b is being drained" {
			t.Errorf("it says %+v", d)
		}
		c.hold("", 1)
		time.Sleep(slotInterval)
		c.want("then", s, r, "Draining, leaving")
	})
}

func TestSlotOfADeadNode(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		c.hold("b", 100)
		r := &recorder{}
		s := c.start(c, r, &r.claims, slotted)
		c.drain("a", "true")
		time.Sleep(97 * time.Second)
		c.want("before it has expired", s, r, "Waiting, announcing")
		time.Sleep(5 * time.Second)
		c.want("afterwards", s, r, "Draining, leaving")
		if c.holder() != "a" {
			t.Errorf("%q has the slot", c.holder())
		}
	})
}

// While the API server is away no drain begins, and one that has begun goes on.
func TestDrainWithoutAnAPIServer(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		var away atomic.Bool
		away.Store(true)
		c.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("connection refused")
		})
		r := &recorder{}
		s := c.start(c, r, &r.claims, slotted)
		c.drain("a", "true")
		time.Sleep(time.Hour)
		c.want("away", s, r, "Waiting, announcing")
		if d := s.Status().Drain; !strings.Contains(d.Reason, "no slot could be taken: ") || !strings.Contains(d.Reason, "connection refused") {
			t.Errorf("it says %+v", d)
		}
		away.Store(false)
		time.Sleep(slotInterval)
		away.Store(true)
		c.want("it was there", s, r, "Draining, leaving")
		time.Sleep(time.Minute)
		c.want("away again", s, r, "Drained, nothing")
		away.Store(false)
		time.Sleep(slotInterval)
		if away.Store(true); !returned(s) {
			t.Error("the slot was not given back")
		}
	})
}

// returned reports whether a speaker knows that it has no slot.
func returned(s *Speaker) bool {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	return !s.drain.has
}

// The last announcer goes on until the timeout.
func TestDrainOfTheLastAnnouncer(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		r := &recorder{}
		s := c.start(c, r, &r.claims, slotted)
		c.drain("b", "true")
		c.drain("a", "true")
		time.Sleep(2 * time.Minute)
		c.want("b drains too", s, r, "Draining, leaving")
		if d := s.Status().Drain; !strings.HasPrefix(d.Reason, "no other node announces 10.1.0.1, which this one gives up at 20") {
			t.Errorf("it says %+v", d)
		}
		c.drain("b", "")
		c.want("b is back", s, r, "Drained, nothing")
		c.drain("b", "true")
		c.want("b drains again", s, r, "Draining, leaving")
		time.Sleep(3 * time.Minute)
		c.want("after the timeout", s, r, "Drained, nothing")
	})
}

// Nor does it leave its addresses to a node that no router hears.
func TestDrainBesideANodeWithoutSessions(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		dynamic := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(
			runtime.NewScheme(), map[schema.GroupVersionResource]string{reports.Speakers: "SpeakerList"})
		b := &unstructured.Unstructured{}
		b.SetGroupVersionKind(reports.Speakers.GroupVersion().WithKind("Speaker"))
		b.SetName("b")
		report := func(sessions string) {
			if err := unstructured.SetNestedField(b.Object, sessions, "status", "bgp", "sessions"); err != nil {
				t.Fatal(err)
			}
		}
		report("0/1")
		if _, err := dynamic.Resource(reports.Speakers).Create(t.Context(), b, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		r := &recorder{}
		s := c.start(c, r, &r.claims, func(o *Options) { o.DrainSlots, o.Reports = "drain", dynamic })
		c.drain("a", "true")
		time.Sleep(2 * time.Minute)
		c.want("b has no session", s, r, "Draining, leaving")
		report("1/1")
		if _, err := dynamic.Resource(reports.Speakers).Update(t.Context(), b, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * sessionlessInterval)
		c.want("it has one", s, r, "Drained, nothing")
	})
}

func TestDrainOutlivesTheSpeaker(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		folder := t.TempDir()
		with := func(o *Options) { o.DrainSlots, o.State = "drain", folder }
		r := &recorder{}
		s := c.start(c, r, &r.claims, with)
		again := func() {
			c.stops[s]()
			r = &recorder{}
			s = c.start(c, r, &r.claims, with)
		}
		c.hold("b", 600)
		c.drain("a", "true")
		again()
		c.want("while it waits", s, r, "Waiting, announcing")
		c.hold("", 0)
		time.Sleep(slotInterval)
		began := s.Status().Drain.Since
		again()
		c.want("while it drains", s, r, "Draining, leaving")
		if d := s.Status().Drain; !d.Since.Equal(began) {
			t.Errorf("it began at %v, and now %+v", began, d)
		}
		time.Sleep(30 * time.Second)
		c.want("then", s, r, "Drained, nothing")
		again()
		c.want("drained", s, r, "Drained, nothing")
		c.drain("a", "")
		c.want("back", s, r, "none, announcing")
		c.drain("a", "true")
		c.drain("a", "")
		if _, err := os.Stat(filepath.Join(folder, "drain.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it is remembered: %v", err)
		}
	})
}

// Where nothing is known of the last run, as after a boot, nothing is begun that others announce.
func TestDrainFromTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		c.hold("b", 600)
		c.drain("a", "true")
		r := &recorder{}
		s := c.start(c, r, &r.claims, slotted)
		c.want("from the start", s, r, "Drained, nothing")
		if err := c.CoreV1().Pods("system").Delete(t.Context(), "speaker-b", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		pass()
		c.want("b has no speaker", s, r, "Draining, leaving")
	})
}

// One that is drained while its speaker is away has announced something: that drain begins as any other does.
func TestDrainFromTheStartOfALaterSpeaker(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		c.hold("b", 600)
		c.drain("a", "true")
		r := &recorder{}
		s := c.start(c, r, &r.claims, func(o *Options) { o.DrainSlots, o.SameBoot = "drain", true })
		c.want("while b drains", s, r, "Waiting, announcing")
		c.hold("", 1)
		time.Sleep(slotInterval)
		c.want("then", s, r, "Draining, leaving")
	})
}

// A speaker that ends for good drains its node in the time that it has, slot or not.
func TestDrainAtTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		left       time.Duration
		prepare    func(*cluster)
		least      time.Duration // how long it takes
		most       time.Duration
		announcing bool // in the end: another one follows
	}{
		"as long as the period":    {time.Minute, nil, 30 * time.Second, 33 * time.Second, false},
		"as long as there is":      {20 * time.Second, nil, 14 * time.Second, 16 * time.Second, false},
		"no time":                  {3 * time.Second, nil, 0, 100 * time.Millisecond, false},
		"no slot":                  {time.Minute, func(c *cluster) { c.hold("b", 600) }, 35 * time.Second, 36 * time.Second, false},
		"a restart":                {0, nil, 0, 0, true},
		"nobody else":              {time.Minute, func(c *cluster) { c.drain("b", "true") }, 0, 100 * time.Millisecond, true},
		"nothing left":             {time.Minute, func(c *cluster) { c.drain("a", "true"); time.Sleep(time.Minute) }, 0, 0, false},
		"in the middle of a drain": {time.Minute, func(c *cluster) { c.drain("a", "true"); time.Sleep(19 * time.Second) }, 9 * time.Second, 11 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c *cluster) {
				c.populateTwo()
				r := &recorder{}
				s := c.start(c, r, &r.claims, func(o *Options) {
					o.DrainSlots = "drain"
					o.Ending = func() time.Duration { return tt.left }
				})
				if tt.prepare != nil {
					tt.prepare(c)
				}
				begin := time.Now()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					c.stops[s]()
				}()
				if tt.least > 10*time.Second {
					time.Sleep(tt.least - time.Second)
					c.want("a second before the end", s, r, "Draining, leaving")
				}
				<-ended
				if d := time.Since(begin); d < tt.least || d > tt.most {
					t.Errorf("it took %s, want %s to %s", d, tt.least, tt.most)
				}
				if got := len(r.routes) > 0; got != tt.announcing {
					t.Errorf("in the end it announces %v", r.routes)
				}
				if h := c.holder(); h == "a" {
					t.Error("the slot is not given back")
				}
			})
		})
	}
}

// On layer 2 the next owner answers before the one that drains is silent, and there is no way back by itself.
func TestDrainOnLayer2(t *testing.T) {
	inSite(t, "a b c", func(t *testing.T, s *site) {
		s.run("a b c")
		s.want("at first", "a")
		s.client.Resolve(first)
		annotate := func(value string) {
			n, err := s.CoreV1().Nodes().Get(t.Context(), "a", metav1.GetOptions{})
			if err == nil {
				n.Annotations = map[string]string{objects.Prefix + "drain": value}
				_, err = s.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		annotate("true")
		for begin := time.Now(); time.Since(begin) < 2*time.Second; time.Sleep(time.Millisecond) {
			if s.owners() == "" {
				t.Fatalf("nobody answers %v after it was asked for", time.Since(begin))
			}
		}
		s.want("drained", "b")
		if mac, ok := s.client.Neighbor(first); !ok || mac != s.nodes["b"].link.MAC {
			t.Errorf("the client has %v", mac)
		}
		a := s.nodes["a"]
		if v := a.Status(); v.Drain == nil || v.Drain.State != reports.Drained || v.Decisions[0].Reason != announce.NodeDraining || v.Decisions[0].Owner != "b" {
			t.Errorf("a says %+v, %+v", v.Drain, v.Decisions)
		}
		if n := len(newTally("a", *a.last, nil, nil).notAnnounced.Reasons); n > 0 {
			t.Errorf("%d reasons are reported for what is another node's", n)
		}
		annotate("")
		time.Sleep(10 * time.Second)
		s.want("no failback", "b")
		s.nodes["b"].crash()
		s.becomes("a")
	})
}

// The only one that can answer does so until the timeout.
func TestDrainOfTheLastOwner(t *testing.T) {
	inSite(t, "a", func(t *testing.T, s *site) {
		s.run("a")
		s.drain("a", "true")
		time.Sleep(4 * time.Minute)
		s.want("in time", "a")
		if d := s.nodes["a"].Status().Drain; d.State != reports.Draining || !strings.HasPrefix(d.Reason, "no other node announces "+first.String()) {
			t.Errorf("it says %+v", d)
		}
		time.Sleep(time.Minute)
		s.want("after the timeout", "")
		s.drain("a", "false")
		s.want("back", "a")
	})
}

func TestSome(t *testing.T) {
	var addrs []netip.Addr
	for a := netip.MustParseAddr("10.0.0.1"); len(addrs) < 5; a = a.Next() {
		addrs = append(addrs, a)
	}
	if got := some(addrs); got != "10.0.0.1, 10.0.0.2, 10.0.0.3, 2 more" {
		t.Error(got)
	}
}

// Of two slots each node has one, and the third waits.
func TestTwoSlots(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		for _, name := range []string{"drain-0", "drain-1"} {
			must(c, c.CoordinationV1().Leases("system").Create, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
		of := func(node string) *slots {
			return &slots{leases: c.CoordinationV1().Leases("system"), name: "drain", node: node}
		}
		take := func(node string, want bool) []string {
			t.Helper()
			taken, holders, err := of(node).take(context.Background(), 2, time.Minute)
			if taken != want || err != nil {
				t.Errorf("%s: %t, %v, %v", node, taken, holders, err)
			}
			return holders
		}
		take("a", true)
		take("b", true)
		take("a", true)
		if holders := take("c", false); !slices.Equal(slices.Sorted(slices.Values(holders)), []string{"a", "b"}) {
			t.Errorf("c waits for %v", holders)
		}
		if err := of("a").release(t.Context(), 2); err != nil {
			t.Error(err)
		}
		take("c", true)
		take("a", false)
		if taken, _, err := of("d").take(t.Context(), 3, time.Minute); taken || err == nil {
			t.Errorf("a slot that is not there: %t, %v", taken, err)
		}
		c.PrependReactor("get", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
			name := a.(clienttesting.GetAction).GetName()
			return name == "drain-1", nil, apierrors.NewForbidden(coordinationv1.Resource("leases"), name, errors.New("not in the Role"))
		})
		if err := errors.Join(of("b").release(t.Context(), 2), of("c").release(t.Context(), 2)); err != nil {
			t.Errorf("one slot fewer: %v", err)
		}
	})
}

// What changes while a speaker ends is kept for the next one too.
func TestKeptUntilTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populateTwo()
		state := t.TempDir()
		r := &recorder{}
		s := c.start(c, r, &r.claims, func(o *Options) {
			o.State, o.BootID, o.DrainSlots = state, "first", "drain"
			o.Ending = func() time.Duration { return time.Minute }
		})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.stops[s]()
		}()
		pass()
		if err := c.CoreV1().Services("prod").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		<-ended
		if k, err := readKept(filepath.Join(state, "cluster.json.gz")); err != nil || len(k.services) > 0 {
			t.Errorf("kept is %+v (%v)", k, err)
		}
	})
}
