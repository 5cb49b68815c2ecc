package speaker

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/announce"
)

// dataPath is a node's, which works or does not.
type dataPath struct {
	mu    sync.Mutex
	works map[string]bool // by target
	asked []string
}

func (d *dataPath) dial(_ context.Context, network, target string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, network+" "+target)
	if !d.works[target] {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	_ = there.Close()
	return here, nil
}

// set makes the data path to some targets work, and to others not.
func (d *dataPath) set(targets ...string) {
	d.mu.Lock()
	d.works, d.asked = map[string]bool{}, nil
	for _, t := range targets {
		d.works[t] = true
	}
	d.mu.Unlock()
	pass()
}

// tries are what was asked since set.
func (d *dataPath) tries() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked)
}

const api4, api6 = "10.96.0.1:443", "[fd00:10:96::1]:443"

// apiService makes the Service of the API server.
func (c *cluster) apiService(ips ...string) {
	must(c, c.CoreV1().Services("default").Create, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"},
		Spec:       corev1.ServiceSpec{ClusterIPs: ips, Ports: []corev1.ServicePort{{Port: 443}}},
	})
	pass()
}

// beside makes a node b whose speaker is there.
func (c *cluster) beside() {
	must(c, c.CoreV1().Nodes().Create, node("b", "10.0.0.6"))
	must(c, c.CoreV1().Pods("system").Create, pod("b"))
	pass()
}

const routed = `
address_pools: [{name: routed, protocol: bgp, addresses: [10.1.0.0/24]}]
peers: [{peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500}]
`

// gated runs a speaker on node a with a data path, beside node b, where Services have an endpoint.
func gatedSpeaker(c *cluster, d *dataPath, change func(*Options)) (*Speaker, *recorder) {
	r := &recorder{}
	return c.start(c, r, &r.claims, func(o *Options) {
		o.Dial, o.BootID = d.dial, "one"
		if change != nil {
			change(o)
		}
	}), r
}

// wantReason compares what the speaker says of all addresses; empty: they are announced.
func wantReason(t *testing.T, when string, s *Speaker, r *recorder, reason announce.Reason) {
	t.Helper()
	if len(r.routes) > 0 != (reason == "") {
		t.Errorf("%s: %d routes", when, len(r.routes))
	}
	for _, v := range s.Status().Decisions { // after the routes, so that these were read before the next turn
		if v.Reason != reason {
			t.Errorf("%s: %s: %q, want %q", when, v.Addr, v.Reason, reason)
		}
	}
}

func TestNothingNewBeforeTheNodeForwards(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(routed)
		c.populate("10.1.0.1")
		c.beside()
		c.apiService("10.96.0.1", "fd00:10:96::1")
		var d dataPath
		folder := t.TempDir()
		s, r := gatedSpeaker(c, &d, func(o *Options) { o.State = folder })
		wantReason(t, "at first", s, r, announce.DataPathNotReady)
		if len(r.peers) != 1 {
			t.Errorf("%d sessions: they wait for nothing", len(r.peers))
		}
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "data path: no connection to 10.96.0.1:443 has come about since the node booted") {
			t.Errorf("Ready = %v", err)
		}
		d.mu.Lock()
		if !slices.Contains(d.asked, "tcp "+api4) || !slices.Contains(d.asked, "tcp "+api6) || len(d.asked) > 12 {
			t.Errorf("asked %q", d.asked)
		}
		d.mu.Unlock()
		if got := s.Status().DataPath; got.Ready || len(got.Targets) != 2 || got.Problem != "connection refused" || got.Since.IsZero() {
			t.Errorf("status %+v", got)
		}
		time.Sleep(gateTime)
		if err := s.Ready(); err != nil {
			t.Errorf("after %s Ready = %v", gateTime, err)
		}
		wantReason(t, "at last", s, r, announce.DataPathNotReady)
		d.set(api6)
		wantReason(t, "it forwards", s, r, "")
		if got := s.Status().DataPath; !got.Ready || got.Problem != "" {
			t.Errorf("status %+v", got)
		}
		d.set()
		time.Sleep(time.Hour)
		wantReason(t, "it forwarded once", s, r, "")
		if n := d.tries(); n > 0 {
			t.Errorf("%d more tries", n)
		}

		c.stops[s]()
		s, r = gatedSpeaker(c, &d, func(o *Options) { o.State = folder })
		wantReason(t, "another process on the same boot", s, r, "")
		if n := d.tries(); n > 0 || s.Ready() != nil {
			t.Errorf("%d tries on the same boot, Ready = %v", n, s.Ready())
		}
		c.stops[s]()
		s, r = gatedSpeaker(c, &d, func(o *Options) { o.State, o.BootID = folder, "two" })
		wantReason(t, "after a boot", s, r, announce.DataPathNotReady)
	})
}

// TestWhatWasAnnouncedStays: a node that is alone announces although it does not forward, and goes on when another comes.
func TestWhatWasAnnouncedStays(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(routed)
		c.populate("10.1.0.1")
		c.apiService("10.96.0.1")
		var d dataPath
		folder := t.TempDir()
		s, r := gatedSpeaker(c, &d, func(o *Options) { o.State = folder })
		wantReason(t, "alone", s, r, "")
		c.beside()
		wantReason(t, "beside another", s, r, "")
		fresh := service("10.1.0.2")
		fresh.Name = "fresh"
		must(c, c.CoreV1().Services("prod").Create, fresh)
		must(c, c.DiscoveryV1().EndpointSlices("prod").Create, slice("two", "fresh", "a"))
		pass()
		if len(r.routes) != 1 {
			t.Errorf("routes %v, want only the one that was announced before", r.routes)
		}
		c.stops[s]()
		_, r = gatedSpeaker(c, &d, func(o *Options) { o.State = folder })
		if len(r.routes) != 1 || r.routes[0].Prefix.String() != "10.1.0.1/32" {
			t.Errorf("another process announces %v, want what the last one did", r.routes)
		}
		d.set(api4)
		if len(r.routes) != 2 {
			t.Errorf("when the node forwards: %v", r.routes)
		}
	})
}

// TestBackFromNetworkUnavailable: a node whose network was set up anew is asked again.
func TestBackFromNetworkUnavailable(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(routed)
		c.populate("10.1.0.1")
		c.beside()
		c.apiService("10.96.0.1")
		var d dataPath
		d.set(api4)
		folder := t.TempDir()
		s, r := gatedSpeaker(c, &d, func(o *Options) { o.State = folder })
		wantReason(t, "at first", s, r, "")
		unavailable := func(status corev1.ConditionStatus) {
			n := node("a", "10.0.0.5")
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: status})
			if _, err := c.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			pass()
		}
		d.set()
		unavailable(corev1.ConditionTrue)
		wantReason(t, "unavailable", s, r, announce.NodeNetworkUnavailable)
		if n := d.tries(); n > 0 {
			t.Errorf("%d tries without a network", n)
		}
		unavailable(corev1.ConditionFalse)
		wantReason(t, "available", s, r, announce.DataPathNotReady)
		c.stops[s]()
		s, r = gatedSpeaker(c, &d, func(o *Options) { o.State, o.SameBoot = folder, true })
		wantReason(t, "another process", s, r, announce.DataPathNotReady)
		d.set(api4)
		wantReason(t, "it forwards", s, r, "")
	})
}

func TestNobodyToAsk(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(routed)
		c.populate("10.1.0.1")
		c.beside()
		var d dataPath
		s, r := gatedSpeaker(c, &d, nil)
		wantReason(t, "no Service of the API server", s, r, "")
		if err := s.Ready(); err != nil {
			t.Error(err)
		}
		c.apiService("None")
		wantReason(t, "one without an address", s, r, "")
	})
}

// TestGateKnowsSpeakersWithoutOne: what a version without a gate announced on this boot goes on, unless it is not known
// which boot this is.
func TestGateKnowsSpeakersWithoutOne(t *testing.T) {
	for boot, proven := range map[string]bool{"one": true, "": false} {
		o := Options{State: t.TempDir(), BootID: boot, SameBoot: true, Dial: new(dataPath).dial}
		if g := newGate(o, func() {}, New(Options{}).log); g.note.Proven != proven {
			t.Errorf("boot %q: proven is %v", boot, g.note.Proven)
		}
		if err := os.WriteFile(filepath.Join(o.State, "data-path.json"), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		if g := newGate(o, func() {}, New(Options{}).log); g.note.Proven {
			t.Errorf("boot %q: proven by nonsense", boot)
		}
	}
}

// TestMembersTellThatTheyDoNotForward: the one that comes first by hash has not been seen to forward, and so another one
// takes the address; it has none either while it is the only one of three.
func TestMembersTellThatTheyDoNotForward(t *testing.T) {
	inSite(t, "a b c", func(t *testing.T, s *site) {
		s.apiService("10.96.0.1")
		var broken, sound dataPath
		sound.set(api4)
		s.run("b c", func(o *Options) { o.Dial, o.BootID = sound.dial, "one" })
		if err := s.CoreV1().Services("prod").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		s.run("a", func(o *Options) { o.Dial, o.BootID = broken.dial, "one" })
		must(s.cluster, s.CoreV1().Services("prod").Create, service(first.String()))
		time.Sleep(5 * time.Second)
		if got := s.owners(); got != "b" {
			t.Errorf("%q have the address, want b", got)
		}
		if d := s.nodes["a"].Status().Decisions; len(d) != 1 || d[0].Reason != announce.NotOwner || d[0].Owner != "b" {
			t.Errorf("a says %+v", d)
		}
		told := slices.ContainsFunc(s.nodes["b"].Status().Members, func(m Member) bool { return m.Node == "a" && m.Unproven })
		if !told {
			t.Errorf("b knows %+v", s.nodes["b"].Status().Members)
		}
		s.nodes["b"].crash()
		time.Sleep(10 * time.Second)
		if got := s.owners(); got != "c" {
			t.Errorf("b is gone: %q have the address, want c", got)
		}
		s.nodes["c"].crash()
		time.Sleep(10 * time.Second)
		if got := s.owners(); got != "a" {
			t.Errorf("nobody else is there: %q have the address, want a", got)
		}
	})
}
