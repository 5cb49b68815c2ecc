package speaker

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/announce/members/memberstest"
	"github.com/kontena/network-lb/kube/api/clientset"
	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

const lanOnly = "address_pools: [{name: lan, protocol: layer2, addresses: [10.0.0.0/25]}]\n"

// first is an address for which node a comes first by hash, then b, then c.
var first = func() netip.Addr {
	for addr := netip.MustParseAddr("10.0.0.1"); ; addr = addr.Next() {
		if layer2.Owner(addr, []string{"a", "b", "c"}) == "a" && layer2.Owner(addr, []string{"b", "c"}) == "b" {
			return addr
		}
	}
}()

// site is nodes on one Ethernet whose speakers are members of each other, in a cluster with one Service.
type site struct {
	*cluster
	network memberstest.Network
	lan     layer2test.LAN
	client  *layer2test.Client
	nodes   map[string]*station
}

// station is a node.
type station struct {
	*Speaker
	name      string
	addr      netip.Addr
	link      layer2.Link
	transport *layer2test.Node
	responder *layer2.Responder
	clocks    memberstest.Clocks
	member    *members.Membership
	logs      *observer.ObservedLogs
}

// inSite runs a test with nodes that run speakers. The key is there.
func inSite(t *testing.T, names string, f func(*testing.T, *site)) {
	t.Helper()
	inBubble(t, func(t *testing.T, c *cluster) {
		t.Cleanup(func() { time.Sleep(5 * time.Second) }) // memberlist's goroutines end by themselves
		s := &site{cluster: c, nodes: map[string]*station{}}
		s.client = s.lan.Client(layer2.MAC{2, 0, 0, 0, 1, 1}, netip.MustParseAddr("10.0.0.254"))
		c.configure(lanOnly)
		s.key("key", 1)
		for _, name := range strings.Fields(names) {
			s.prepare(name)
			must(c, c.CoreV1().Nodes().Create, node(name, address(name).String()))
		}
		must(c, c.CoreV1().Services("prod").Create, service(first.String()))
		must(c, c.DiscoveryV1().EndpointSlices("prod").Create, slice("one", "web", "a"))
		f(t, s)
	})
}

func address(name string) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, 200 + name[0] - 'a'}) }

// key makes the keys of the membership these: "key" 1, "old" 2.
func (s *site) key(pairs ...any) {
	data := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i].(string)] = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(pairs[i+1].(int))}, 32)) + "\n"
	}
	s.secret("members", data)
}

func (s *site) prepare(name string) {
	n := &station{name: name, addr: address(name), transport: layer2test.NewNode()}
	n.link = layer2.Link{Index: 2, Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, name[0]}, Up: true, Carrier: true, Broadcast: true,
		Addrs: []netip.Prefix{netip.PrefixFrom(n.addr, 24)}}
	n.transport.Plug(n.link, &s.lan)
	s.nodes[name] = n
}

// run starts speakers, one after the other.
func (s *site) run(names string, change ...func(*Options)) {
	s.t.Helper()
	for _, name := range strings.Fields(names) {
		n := s.nodes[name]
		_ = s.CoreV1().Pods("system").Delete(s.t.Context(), "speaker-"+name, metav1.DeleteOptions{}) // that of the last run
		must(s.cluster, s.CoreV1().Pods("system").Create, pod(name))
		core, logs := observer.New(zap.InfoLevel)
		n.logs = logs
		n.responder = layer2.NewResponder(n.transport, layer2.Options{OnConflict: func(c layer2.Conflict) {
			if n.Speaker != nil {
				n.Conflict(c)
			}
		}})
		s.t.Cleanup(func() { _ = n.responder.Close() })
		n.Speaker = s.start(s.cluster, &recorder{}, n.responder, func(o *Options) {
			o.Node, o.Keys, o.Links, o.Neighbours, o.Logger = name, "members", n.transport.Links, n.responder, zap.New(core)
			o.Join = func(m members.Options) (*members.Membership, error) {
				m.Network, m.Clocks = &s.network, n.clocks.Read
				var err error
				n.member, err = members.Open(m)
				return n.member, err
			}
			for _, f := range change {
				f(o)
			}
		})
		time.Sleep(200 * time.Millisecond) // it has begun, even where there was nobody to ask
	}
}

// crash ends what a node's speaker does on the network, without a word.
func (n *station) crash() {
	if n.member != nil {
		n.member.Close(false)
	}
	_ = n.responder.Close()
}

// owners are the nodes that answer for the address.
func (s *site) owners() string {
	synctest.Wait()
	var out []string
	for _, name := range []string{"a", "b", "c"} {
		if n := s.nodes[name]; n != nil && n.responder != nil && len(n.transport.Listening(2)) > 0 && len(n.responder.Status().Claims) > 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

func (s *site) want(when, owners string) {
	s.t.Helper()
	if got := s.owners(); got != owners {
		s.t.Errorf("%s: %q answer, want %q", when, got, owners)
		for _, n := range s.nodes {
			if n.Speaker != nil {
				s.t.Logf("%s: %v, %+v", n.name, n.Ready(), n.Status().Decisions)
			}
		}
	}
}

// becomes waits until these answer, and says how long that took.
func (s *site) becomes(owners string) time.Duration {
	s.t.Helper()
	begin := time.Now()
	for s.owners() != owners {
		if time.Since(begin) > 20*time.Second {
			s.want("after 20 s", owners)
			s.t.FailNow()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}

func TestFailover(t *testing.T) {
	inSite(t, "a b c", func(t *testing.T, s *site) {
		s.run("a b c")
		s.want("at first", "a")
		if _, ok := s.client.Resolve(first); !ok {
			t.Fatal("nobody answers")
		}
		s.nodes["a"].crash()
		d := s.becomes("b")
		if mac, _ := s.client.Neighbor(first); d > 2500*time.Millisecond || mac != s.nodes["b"].link.MAC {
			t.Errorf("after %v the client has %v", d, mac)
		}
		t.Logf("taken over after %v", d)
		if n := s.nodes["b"].caution.vetoes.Load(); n > 0 {
			t.Errorf("%d vetoes by nobody", n)
		}
		s.prepare("a")
		s.run("a")
		time.Sleep(10 * time.Second)
		s.want("no failback", "b")
		s.annotate("one")
		s.becomes("a")
		s.nodes["b"].transport.Plug(s.nodes["b"].link, &s.lan)
		s.annotate("one")
		time.Sleep(20 * time.Second)
		s.want("moved once", "a")
	})
}

// annotate asks for another distribution.
func (s *site) annotate(value string) {
	s.t.Helper()
	services := s.CoreV1().Services("prod")
	o, err := services.Get(s.t.Context(), "web", metav1.GetOptions{})
	if err == nil {
		o.Annotations = map[string]string{objects.Prefix + "rebalance": value}
		_, err = services.Update(s.t.Context(), o, metav1.UpdateOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// While an address moves, it is never without an answer.
func TestRebalanceWithoutAGap(t *testing.T) {
	inSite(t, "a b c", func(t *testing.T, s *site) {
		s.run("b c")
		s.run("a")
		s.want("the incumbent", "b")
		s.annotate("again")
		for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
			if s.owners() == "" {
				t.Fatalf("nobody answers %v after it was asked for", time.Since(begin))
			}
		}
		s.want("moved", "a")
		if mac, ok := s.client.Resolve(first); !ok || mac != s.nodes["a"].link.MAC {
			t.Errorf("the client finds %v", mac)
		}
	})
}

func TestCableOut(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		s.want("at first", "a")
		link := s.nodes["a"].link
		link.Carrier = false
		s.nodes["a"].transport.Plug(link, &s.lan)
		if d := s.becomes("b"); d > time.Second {
			t.Errorf("it took %v", d)
		}
		if v := s.nodes["a"].Status().Decisions[0]; v.Reason != announce.NoInterface || v.Owner != "b" {
			t.Errorf("a says %+v", v)
		}
		time.Sleep(time.Second) // until all know
		link.Carrier = true
		s.nodes["a"].transport.Plug(link, &s.lan)
		time.Sleep(5 * time.Second)
		s.want("no failback", "b")
	})
}

// The cable carries the membership too: the others learn only afterwards that the node that is back has let go.
func TestWholeCableOut(t *testing.T) {
	inSite(t, "a b c", func(t *testing.T, s *site) {
		s.run("a b c")
		for range 5 {
			owner := s.owners()
			n, link := s.nodes[owner], s.nodes[owner].link
			link.Carrier = false
			n.transport.Plug(link, &s.lan)
			s.network.Carry(memberstest.Parted(address(owner)))
			for s.owners() == owner || s.owners() == "" {
				time.Sleep(10 * time.Millisecond)
			}
			next := s.owners()
			n.transport.Plug(n.link, &s.lan)
			s.network.Carry(nil)
			for range 5000 {
				time.Sleep(time.Millisecond)
				if got := s.owners(); got != next {
					t.Fatalf("%s was cut off, then %s had it, and now %q", owner, next, got)
				}
			}
			for _, m := range s.nodes[next].Status().Members {
				if m.Presence != members.Alive {
					t.Errorf("%+v", m)
				}
			}
		}
	})
}

// The switch carries nothing for a while after the cable is in again: that nobody answers proves nothing.
func TestSlowSwitch(t *testing.T) {
	inSite(t, "a b c", func(t *testing.T, s *site) {
		s.run("a b c")
		a := s.nodes["a"]
		link := a.link
		link.Carrier = false
		a.transport.Plug(link, &s.lan)
		s.network.Carry(memberstest.Parted(address("a")))
		s.becomes("b")
		for _, n := range []string{"b", "c"} {
			if m := s.nodes[n].Status().Members[0]; m.Presence != members.Lost {
				t.Fatalf("%s sees %+v", n, m)
			}
		}
		time.Sleep(time.Second) // a has lost them too
		var nowhere layer2test.LAN
		a.transport.Plug(a.link, &nowhere)
		time.AfterFunc(time.Second, func() {
			a.transport.Plug(a.link, &s.lan)
			s.network.Carry(nil)
		})
		for range 1000 {
			time.Sleep(5 * time.Millisecond)
			if got := s.owners(); got != "b" {
				t.Fatalf("%q answer", got)
			}
		}
	})
}

// A Pod that starts brings an interface that is a port of a virtual switch: what is to be taken is taken at once all the same.
func TestPodStartsMeanwhile(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		b := s.nodes["b"]
		port := layer2.Link{Index: 7, Name: "web-7f9c4d", MAC: layer2.MAC{2, 0, 0, 0, 7, 7}, Up: true, Carrier: true, Broadcast: true, Enslaved: true}
		var pods layer2test.LAN
		s.nodes["a"].crash()
		time.AfterFunc(500*time.Millisecond, func() { b.transport.Plug(port, &pods) })
		if d := s.becomes("b"); d > 2500*time.Millisecond {
			t.Errorf("taken over after %v", d)
		}
		if told := b.fellows.state(b.document.Version().Config).Interfaces; len(told) != 1 {
			t.Errorf("b tells the others of %+v", told)
		}
	})
}

// A speaker that ends is silent once another one answers, and waits for nobody who cannot.
func TestLeave(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		if _, ok := s.client.Resolve(first); !ok {
			t.Fatal("nobody answers at first")
		}
		ended := make(chan time.Duration, 1)
		go func() {
			begin := time.Now()
			s.stops[s.nodes["a"].Speaker]()
			ended <- time.Since(begin)
		}()
		for len(ended) == 0 {
			if s.owners() == "" {
				t.Fatal("nobody answers")
			}
			time.Sleep(time.Millisecond)
		}
		if d := <-ended; d > 500*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		s.want("when a has ended", "b")
		if mac, ok := s.client.Neighbor(first); !ok || mac != s.nodes["b"].link.MAC {
			t.Errorf("the client has %v", mac)
		}

		begin := time.Now()
		s.stops[s.nodes["b"].Speaker]()
		if d := time.Since(begin); d > 500*time.Millisecond {
			t.Errorf("the last one took %v", d)
		}
	})
}

// Nobody hears that it ends: it does not wait for that longer than a second.
func TestLeaveUnheard(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		s.network.Carry(memberstest.Parted(address("a")))
		begin := time.Now()
		s.stops[s.nodes["a"].Speaker]()
		if d := time.Since(begin); d < handingOver || d > handingOver+time.Second {
			t.Errorf("it took %v", d)
		}
		if n := s.nodes["a"].logs.FilterMessage("addresses were not taken over in time").Len(); n != 1 {
			t.Errorf("said %d times", n)
		}
	})
}

// A holder that was lost and still answers keeps the address, however often it is asked.
func TestVeto(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		s.network.Carry(memberstest.Parted(address("a")))
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			s.want("parted", "a")
		}
		b := s.nodes["b"]
		if n := b.caution.vetoes.Load(); n < 5 {
			t.Errorf("%d vetoes", n)
		}
		if v := b.Status().Layer2.Vetoes; len(v) != 1 || v[0].Address != first || v[0].Node != "a" || v[0].Times < 5 {
			t.Errorf("vetoes %+v", v)
		}
		if v := b.Status().Decisions[0]; v.Reason != announce.NotOwner || v.Owner != "a" {
			t.Errorf("b says %+v", v)
		}
		s.nodes["a"].crash()
		if d := s.becomes("b"); d > 2500*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

// Two halves of a network each have an owner; one of them is silent soon after it is whole again.
func TestSplitBrain(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		var other layer2test.LAN
		s.network.Carry(memberstest.Parted(address("b")))
		s.nodes["b"].transport.Plug(s.nodes["b"].link, &other)
		d := s.becomes("a b")
		t.Logf("both after %v", d)
		s.nodes["b"].transport.Plug(s.nodes["b"].link, &s.lan)
		s.network.Carry(nil)
		s.lan.Frames()
		d = s.becomes("a")
		t.Logf("one after %v", d)
		told := time.Now()
		time.Sleep(20 * time.Second)
		s.want("for good", "a")
		if d > time.Second || !slices.ContainsFunc(s.lan.Frames(), func(f layer2test.Sent) bool {
			return f.Source == s.nodes["a"].link.MAC && f.Sender.IP == first && f.Target.IP == first && f.At.Sub(told) < time.Second
		}) {
			t.Errorf("after %v a answers alone: it has to, and to say so to who heard b", d)
		}
	})
}

// The frames meet before the members do, or without them.
func TestSplitBrainWithoutMembership(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.announced(first.String() + " is announced on layer 2 by a")
		s.run("a b")
		var other layer2test.LAN
		s.network.Carry(memberstest.Parted(address("b")))
		s.nodes["b"].transport.Plug(s.nodes["b"].link, &other)
		s.becomes("a b")
		link := s.nodes["b"].link
		link.Epoch++ // so that it announces what it has
		s.nodes["b"].transport.Plug(link, &s.lan)
		if d := s.becomes("a"); d > time.Second {
			t.Errorf("it took %v", d)
		}
		time.Sleep(30 * time.Second)
		s.want("for good", "a")
	})
}

func TestSilence(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		port := netip.AddrPortFrom(address("a"), 17946)
		taken, err := s.network.ListenTCP(port)
		if err != nil {
			t.Fatal(err)
		}
		s.run("a b")
		if err := s.nodes["a"].Ready(); err == nil || !strings.Contains(err.Error(), "layer 2: listening on TCP port 17946") || !strings.Contains(err.Error(), members.ErrPortInUse.Error()) {
			t.Errorf("Ready = %v", err)
		}
		p := pod("a")
		p.Status.Conditions = nil
		if _, err := s.CoreV1().Pods("system").UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		s.becomes("b")
		_ = taken.Close()
		time.Sleep(5 * time.Second)
		s.want("it is back, and another one has it", "b")
		if err := s.nodes["a"].Ready(); err != nil {
			t.Errorf("Ready = %v", err)
		}

		s.nodes["b"].clocks.Stall(3 * time.Second)
		time.Sleep(100 * time.Millisecond)
		found := s.nodes["b"].logs.FilterMessageSnippet("stood still").Len()
		if d := s.becomes("a"); d > time.Second || found == 0 {
			t.Errorf("it took %v, and b says %v", d, s.nodes["b"].Ready())
		}
		time.Sleep(5 * time.Second)
		s.want("for good", "a")
	})
}

// A Node that is deleted or out of service counts at once, whatever its speaker says.
func TestNodeOutOfService(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		n := node("a", address("a").String())
		n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}}
		if _, err := s.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if d := s.becomes("b"); d > 300*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		pass() // all know
		n.Spec.Taints = nil
		if _, err := s.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			s.want("a is back", "b")
		}
		if err := s.CoreV1().Nodes().Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		pass()
		s.want("deleted", "b")
		if m := s.nodes["b"].Status().Members; len(m) != 2 || m[0].Presence != members.Gone || len(m[1].Holds) != 1 || m[1].Holds[0] != first {
			t.Errorf("members %+v", m)
		}
		time.Sleep(6 * time.Second) // counts are 5 s old at most
		if err := testutil.GatherAndCompare(s.nodes["b"].Metrics(), strings.NewReader(`
# HELP network_lb_members Speakers that this one knows of, itself included; there where a pool is for layer 2.
# TYPE network_lb_members gauge
network_lb_members{presence="Alive"} 1
network_lb_members{presence="Gone"} 1
network_lb_members{presence="Left"} 0
network_lb_members{presence="Lost"} 0
network_lb_members{presence="Missing"} 0
# HELP network_lb_members_lost_total Speakers that were lost, as this one saw it; a counter.
# TYPE network_lb_members_lost_total counter
network_lb_members_lost_total 2
# HELP network_lb_membership_ready 1 while this speaker knows the others well enough to answer on layer 2; there where a pool is for layer 2.
# TYPE network_lb_membership_ready gauge
network_lb_membership_ready 1
# HELP network_lb_takeovers_vetoed_total How often this node left a layer 2 address alone, since another speaker still answered for it; a counter.
# TYPE network_lb_takeovers_vetoed_total counter
network_lb_takeovers_vetoed_total 0
`), "network_lb_members", "network_lb_members_lost_total", "network_lb_membership_ready", "network_lb_takeovers_vetoed_total"); err != nil {
			t.Error(err)
		}
	})
}

// Another port or detection, and other keys, disturb nothing.
func TestChangesAreLive(t *testing.T) {
	inSite(t, "a b c", func(t *testing.T, s *site) {
		s.run("b c a") // so that b has it, and is not the first
		s.want("at first", "b")
		for what, change := range map[string]func(){
			"port":         func() { s.configure(lanOnly + "membership: {port: 7946}\n") },
			"detection":    func() { s.configure(lanOnly + "failure_detection: fast\n") },
			"one key more": func() { s.key("key", 1, "next", 2) },
			"another key":  func() { s.key("key", 2, "old", 1); s.key("key", 2) },
			"no key":       func() { s.secret("members", map[string]string{"key": "x"}); s.secret("members", nil) },
		} {
			change()
			for range 100 {
				time.Sleep(50 * time.Millisecond)
				s.want(what, "b")
			}
			for name, n := range s.nodes {
				for _, m := range n.Status().Members {
					if m.Presence != members.Alive || m.Problem != "" {
						t.Errorf("%s: %s sees %+v", what, name, m)
					}
				}
			}
		}
		s.configure(lanOnly + "membership: {enabled: false}\n")
		if d := s.becomes("a"); d > time.Second { // as the Nodes say
			t.Errorf("it took %v", d)
		}
		if len(s.nodes["a"].Status().Members) > 0 || s.nodes["a"].Ready() != nil {
			t.Errorf("without a membership: %+v, %v", s.nodes["a"].Status().Members, s.nodes["a"].Ready())
		}
	})
}

func TestKeysAreNeeded(t *testing.T) {
	inSite(t, "a", func(t *testing.T, s *site) {
		for _, tt := range []struct {
			data map[string]string
			want string
		}{
			{nil, "there is no Secret system/members; the chart makes it"},
			{map[string]string{}, `the Secret system/members: it has no "key" yet; the controller writes it`},
			{map[string]string{"key": "not base64"}, `the Secret system/members: "key" is not base64`},
			{map[string]string{"key": "AAAA"}, `the Secret system/members: "key" is a key of 3 bytes; want 16, 24 or 32`},
			{map[string]string{"key": "AAAAAAAAAAAAAAAAAAAAAA==", "old": ""}, `the Secret system/members: "old" is a key of 0 bytes; want 16, 24 or 32`},
		} {
			s.secret("members", tt.data)
			if s.nodes["a"].Speaker == nil {
				s.run("a")
			}
			time.Sleep(2 * time.Second)
			s.want("without a key", "")
			if err := s.nodes["a"].Ready(); err == nil || err.Error() != "layer 2: "+tt.want {
				t.Errorf("Ready = %v, want %s", err, tt.want)
			}
		}
		s.key("key", 1)
		s.becomes("a")
	})
}

// The mounted Secret and what the last run knew are enough to find the others.
func TestWithoutTheAPIServer(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		folder, keys := t.TempDir(), t.TempDir()
		text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
		if err := os.Mkdir(filepath.Join(keys, "members"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(keys, "members", "key"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(keys, "members", "..data"), 0o700); err != nil {
			t.Fatal(err)
		}
		state := func(o *Options) { o.State, o.Mounted = folder, keys }
		s.run("b")
		s.run("a", state)
		s.nodes["a"].crash()
		var kept memory
		f := newFellows(Options{State: folder}, zap.NewNop(), nil)
		if kept = f.kept; kept.Address != address("a") || len(kept.Members) != 1 || kept.Members[0] != (members.Peer{Node: "b", Addr: address("b")}) {
			t.Fatalf("kept %+v", kept)
		}
		time.Sleep(5 * time.Second)
		s.prepare("a")
		gate := make(chan struct{})
		defer close(gate)
		c := clientset.Client(gated{s.cluster, gate})
		s.secret("members", nil)
		s.run("a", state, func(o *Options) { o.Client = c })
		time.Sleep(time.Second)
		if m := s.nodes["b"].Status().Members; len(m) != 2 || m[0].Presence != members.Alive || !m[0].Starting {
			t.Errorf("b sees %+v", m)
		}
		if err := os.WriteFile(filepath.Join(folder, "members.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if f := newFellows(Options{State: folder}, zap.NewNop(), nil); f.kept.Address.IsValid() {
			t.Errorf("of a spoilt file: %+v", f.kept)
		}
	})
}

// Without a membership an address goes where the cluster says that somebody can answer, and it always goes somewhere.
func TestReadinessWithoutAMembership(t *testing.T) {
	inSite(t, "a b c", func(t *testing.T, s *site) {
		s.configure(lanOnly + "membership: {enabled: false}\n")
		s.run("a b c")
		s.want("at first", "a")
		ready := func(name string, status corev1.ConditionStatus) {
			n := node(name, address(name).String())
			n.Status.Conditions[0].Status = status
			if _, err := s.CoreV1().Nodes().UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			pass()
		}
		ready("a", corev1.ConditionUnknown)
		s.want("a is not heard of", "b")
		ready("a", corev1.ConditionTrue)
		s.want("a is back", "a")
		p := pod("a")
		p.Status.Conditions = nil
		if _, err := s.CoreV1().Pods("system").UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		pass()
		s.want("a's speaker is not ready", "b")
		ready("b", corev1.ConditionFalse)
		s.want("b is not ready", "c")
		ready("c", corev1.ConditionFalse)
		ready("a", corev1.ConditionFalse)
		s.want("nobody is ready, and two speakers are", "b")
		for _, n := range s.nodes {
			if err := n.Ready(); err != nil || len(n.Status().Members) > 0 {
				t.Errorf("%s: %v, members %+v", n.name, err, n.Status().Members)
			}
		}
	})
}

// A lost speaker whose address was taken over is sought, to be met as soon as the network is whole again.
func TestSeek(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		sought := func(by string, d time.Duration) (n int) {
			s.lan.Frames()
			time.Sleep(d)
			for _, f := range s.lan.Frames() {
				if f.Source == s.nodes[by].link.MAC && f.Kind == layer2.ARPRequest && f.Target.IP == address("a") {
					n++
				}
			}
			return n
		}
		var other layer2test.LAN
		s.network.Carry(memberstest.Parted(address("a")))
		s.nodes["a"].transport.Plug(s.nodes["a"].link, &other)
		s.becomes("a b") // b has taken it
		if n := sought("b", 9*time.Second); n < 27 || n > 31 {
			t.Errorf("asked for %d times in 9 s", n)
		}
		s.nodes["a"].transport.Plug(s.nodes["a"].link, &s.lan)
		s.network.Carry(nil)
		s.becomes("a")
		time.Sleep(time.Second)
		if n := sought("b", 9*time.Second); n > 0 {
			t.Errorf("asked for %d times although it is there", n)
		}
		s.nodes["b"].crash()
		time.Sleep(5 * time.Second)
		if n := sought("a", 9*time.Second); n > 0 {
			t.Errorf("asked for %d times although it had nothing", n)
		}
	})
}
