package speaker

import (
	"errors"
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

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/announce/members/memberstest"
	"github.com/kontena/network-lb/kube/api/clientset"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

// rolling is a site whose speakers can be restarted: each node has a kernel that answers for its own address, and a folder
// that outlives its speaker. A client asks for the first address all the time.
type rolling struct {
	*site
	kernels map[string]*layer2test.Client
	folders map[string]string
	why     error // of an end that is not a restart

	stop  chan struct{}
	heard []heard
}

// heard is an answer to the client.
type heard struct {
	at  time.Time
	mac layer2.MAC
}

func inRolling(t *testing.T, names string, f func(*testing.T, *rolling)) {
	t.Helper()
	inSite(t, names, func(t *testing.T, s *site) {
		r := &rolling{site: s, kernels: map[string]*layer2test.Client{}, folders: map[string]string{}, stop: make(chan struct{})}
		for name, n := range s.nodes {
			r.kernels[name], r.folders[name] = s.lan.Client(n.link.MAC, n.addr), t.TempDir()
			r.kernels[name].Hold(n.addr)
		}
		r.begin(names)
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.ask()
		}()
		f(t, r)
		close(r.stop)
		<-done
	})
}

// ask asks who has the address as somebody who has never heard of it, each 10 ms.
func (r *rolling) ask() {
	asker := r.lan.Client(layer2.MAC{2, 0, 0, 0, 1, 2}, netip.MustParseAddr("10.0.0.253"))
	for {
		select {
		case <-r.stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		if mac, ok := asker.Resolve(first); ok {
			r.heard = append(r.heard, heard{time.Now(), mac})
		}
	}
}

// begin starts speakers, also again.
func (r *rolling) begin(names string, change ...func(*Options)) {
	r.t.Helper()
	for _, name := range strings.Fields(names) {
		if n := r.nodes[name]; n.responder != nil {
			r.prepare(name)
		}
		r.run(name, append([]func(*Options){func(o *Options) {
			o.State, o.BootID, o.Restarting = r.folders[name], "boot", func() error { return r.why }
		}}, change...)...)
	}
}

// end ends speakers as SIGTERM does, all at once, and their processes.
func (r *rolling) end(names string) {
	done := make(chan struct{})
	all := strings.Fields(names)
	for _, name := range all {
		go func() {
			r.stops[r.nodes[name].Speaker]()
			_ = r.nodes[name].responder.Close()
			done <- struct{}{}
		}()
	}
	for range all {
		<-done
	}
}

// served fails if since a time the client was without an answer for longer than 50 ms, or was told anything but the MACs
// of these nodes, one after the other; "": of any.
func (r *rolling) served(since time.Time, names string) {
	r.t.Helper()
	synctest.Wait()
	last, told := since, []string{}
	for _, h := range r.heard {
		if h.at.Before(since) {
			continue
		}
		if h.at.Sub(last) > 50*time.Millisecond {
			r.t.Errorf("no answer for %v from %v on", h.at.Sub(last), last.Sub(since))
		}
		name := string(h.mac[5:])
		if n := len(told); n == 0 || told[n-1] != name {
			told = append(told, name)
		}
		last = h.at
	}
	if got := strings.Join(told, " "); names != "" && got != names || time.Since(last) > 50*time.Millisecond {
		r.t.Errorf("told %q, the last %v ago, want %q", got, time.Since(last), names)
	}
}

// frames are how many announcements of the address a node has sent since the last call, by node.
func (r *rolling) announcements() map[string]int {
	out := map[string]int{}
	for _, f := range r.lan.Frames() {
		if f.Sender.IP == first && f.Target.IP == first {
			out[string(f.Source[5:])]++
		}
	}
	return out
}

func (r *rolling) mac(name string) layer2.MAC { return r.nodes[name].link.MAC }

// Each speaker in turn is replaced: nothing moves, and nobody notices.
func TestRollingUpdate(t *testing.T) {
	inRolling(t, "a b c", func(t *testing.T, r *rolling) {
		begin := time.Now()
		if mac, ok := r.client.Resolve(first); !ok || mac != r.mac("a") {
			t.Fatalf("the client has %v", mac)
		}
		for _, name := range []string{"c", "a", "b"} {
			time.Sleep(10 * time.Second)
			r.announcements()
			gone := time.Now()
			r.end(name)
			if d := time.Since(gone); d > 500*time.Millisecond {
				t.Errorf("%s took %v to end", name, d)
			}
			time.Sleep(3 * time.Second)
			if name == "a" {
				r.away(t)
			}
			r.begin(name)
			time.Sleep(10 * time.Second)
			if n := r.announcements(); n["b"]+n["c"] > 0 {
				t.Errorf("while %s restarted: %v", name, n)
			}
			r.want(name+" is back", "a")
			if _, err := os.Stat(filepath.Join(r.folders[name], "restart.json")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("what %s left is still there: %v", name, err)
			}
		}
		r.served(begin, "a")
		if mac, ok := r.client.Neighbor(first); !ok || mac != r.mac("a") {
			t.Errorf("the client has %v", mac)
		}
		for name, n := range r.nodes {
			for _, line := range n.logs.FilterLevelExact(zap.WarnLevel).All() {
				if !strings.Contains(line.Message, "does not take part") { // as yet
					t.Errorf("%s says %v", name, line)
				}
			}
		}
	})
}

// away looks at what the others say of a restarting speaker.
func (r *rolling) away(t *testing.T) {
	for _, name := range []string{"b", "c"} {
		s := r.nodes[name].Status()
		if v := s.Decisions[0]; v.Reason != "NotOwner" || v.Owner != "a" || v.StandIn != "b" {
			t.Errorf("%s says %+v", name, v)
		}
		if m := s.Members[0]; m.Presence != members.Left || m.RestartsUntil.IsZero() || !slices.Equal(m.Holds, []netip.Addr{first}) || !m.Draining {
			t.Errorf("%s sees %+v", name, m)
		}
		if m := s.Members[1]; len(m.Holds) > 0 || !slices.Equal(m.StandsIn, []netip.Addr{first}) {
			t.Errorf("%s sees %+v", name, m)
		}
	}
	if err := testutil.GatherAndCompare(r.nodes["b"].Metrics(), strings.NewReader(`
# HELP network_lb_layer2_stood_in Addresses that this node answers for in the place of nodes whose speakers restart.
# TYPE network_lb_layer2_stood_in gauge
network_lb_layer2_stood_in 1
`), "network_lb_layer2_stood_in"); err != nil {
		t.Error(err)
	}
}

// The node dies while its speaker restarts: who stands in finds out, and takes over.
func TestNodeDiesWhileItsSpeakerRestarts(t *testing.T) {
	inRolling(t, "a b c", func(t *testing.T, r *rolling) {
		if _, ok := r.client.Resolve(first); !ok {
			t.Fatal("nobody answers")
		}
		r.end("a")
		time.Sleep(3 * time.Second)
		dead := time.Now()
		r.kernels["a"].Drop(address("a"))
		for mac := r.mac("a"); mac == r.mac("a"); mac, _ = r.client.Neighbor(first) {
			time.Sleep(10 * time.Millisecond)
			if time.Since(dead) > 5*time.Second {
				t.Fatal("the client still has the MAC of the dead node")
			}
		}
		if d := time.Since(dead); d < 2*checkEvery || d > 5*checkEvery {
			t.Errorf("it took %v", d)
		}
		time.Sleep(2 * time.Second) // all know, and the client waits for no answer any more
		r.want("taken over", "b")
		if mac, _ := r.client.Neighbor(first); mac != r.mac("b") {
			t.Errorf("the client has %v", mac)
		}
		if v := r.nodes["c"].Status().Decisions[0]; v.Owner != "b" || v.StandIn != "" {
			t.Errorf("c says %+v", v)
		}
		r.kernels["a"].Hold(address("a"))
		back := time.Now()
		r.begin("a")
		time.Sleep(10 * time.Second)
		r.want("a is back", "b")
		r.served(back, "b")
		if m := r.nodes["c"].Status().Members[0]; len(m.Holds) > 0 || !m.RestartsUntil.IsZero() {
			t.Errorf("c sees %+v", m)
		}
	})
}

// A single answer that is missing proves nothing.
func TestLostQuestions(t *testing.T) {
	inRolling(t, "a b", func(t *testing.T, r *rolling) {
		begin := time.Now()
		r.end("a")
		for range 20 {
			r.kernels["a"].Drop(address("a"))
			time.Sleep(checkEvery * 3 / 2)
			r.kernels["a"].Hold(address("a"))
			time.Sleep(checkEvery * 2)
		}
		r.served(begin, "a")
		r.begin("a")
		time.Sleep(time.Second)
		r.want("a is back", "a")
	})
}

// The next speaker does not come in time, or cannot read the cluster: another node takes over, without a gap, and keeps it.
func TestNotBackInTime(t *testing.T) {
	inRolling(t, "a b c", func(t *testing.T, r *rolling) {
		r.configure(lanOnly + "restart_grace: 10s\n")
		begin := time.Now()
		r.end("a")
		time.Sleep(5 * time.Second)
		gate := make(chan struct{})
		r.begin("a", func(o *Options) { o.Client = clientset.Client(gated{r.cluster, gate}) })
		r.served(begin, "a")
		if m := r.nodes["c"].Status().Members[0]; m.Presence != members.Alive || !m.Starting || m.RestartsUntil.IsZero() || m.Draining || !slices.Equal(m.Holds, []netip.Addr{first}) {
			t.Errorf("c sees %+v", m)
		}
		time.Sleep(7 * time.Second)
		r.want("its time is over", "b")
		close(gate)
		time.Sleep(5 * time.Second)
		r.want("it has read the cluster", "b")
		r.served(begin, "a b")
	})
}

// Who stands in restarts too; and two that restart at once.
func TestTwoRestart(t *testing.T) {
	inRolling(t, "a b c", func(t *testing.T, r *rolling) {
		begin := time.Now()
		r.end("a")
		time.Sleep(time.Second)
		r.end("b")
		time.Sleep(time.Second)
		r.want("a and b are away", "c")
		r.begin("b")
		time.Sleep(time.Second)
		r.begin("a")
		time.Sleep(10 * time.Second)
		r.want("both are back", "a")
		r.end("a b")
		time.Sleep(2 * time.Second)
		r.want("a and b are away again", "c")
		r.begin("a b")
		time.Sleep(10 * time.Second)
		r.want("both are back again", "a")
		r.served(begin, "a")
	})
}

// Who stands in ends for good, and later its next one stands still: another one does.
func TestStandInEnds(t *testing.T) {
	inRolling(t, "a b c", func(t *testing.T, r *rolling) {
		begin := time.Now()
		r.end("a")
		time.Sleep(time.Second)
		r.want("b stands in", "b")
		r.why = errors.New("it is uninstalled")
		r.end("b")
		r.want("c stands in", "c")
		r.why = nil
		r.begin("a")
		time.Sleep(5 * time.Second)
		r.want("a is back", "a")
		r.served(begin, "a")
		r.begin("b")
		time.Sleep(5 * time.Second)
		r.end("a")
		r.want("b stands in again", "b")
		r.nodes["b"].clocks.Stall(3 * time.Second)
		time.Sleep(2 * time.Second)
		begin = time.Now()
		r.begin("a")
		time.Sleep(5 * time.Second)
		r.want("a is back again", "a")
		r.served(begin, "a")
	})
}

// A speaker that comes back where it cannot be heard does not lose its address to who stands in.
func TestPartedWhileItRestarts(t *testing.T) {
	inRolling(t, "a b", func(t *testing.T, r *rolling) {
		begin := time.Now()
		r.end("a")
		r.network.Carry(memberstest.Parted(address("a")))
		time.Sleep(time.Second)
		r.begin("a")
		time.Sleep(40 * time.Second)
		r.served(begin, "a")
		if v := r.nodes["b"].Status().Decisions[0]; v.Reason != "NotOwner" || v.Owner != "a" {
			t.Errorf("b says %+v", v)
		}
		r.network.Carry(nil)
		time.Sleep(20 * time.Second)
		r.want("it is heard", "a")
		r.served(begin, "a")
	})
}

// Where another speaker is lost, one that is back asks before it answers; who stands in goes on until then.
func TestRestartWhileAnotherIsLost(t *testing.T) {
	inRolling(t, "a b c", func(t *testing.T, r *rolling) {
		r.nodes["c"].crash()
		time.Sleep(5 * time.Second)
		begin := time.Now()
		for range 3 {
			r.end("a")
			time.Sleep(2 * time.Second)
			r.begin("a")
			time.Sleep(5 * time.Second)
			r.want("a is back", "a")
		}
		r.served(begin, "a")
	})
}

// Where it is not known which boot this is, a speaker takes nothing back, and another node takes over.
func TestRestartOnAnUnknownBoot(t *testing.T) {
	inRolling(t, "a b", func(t *testing.T, r *rolling) {
		begin := time.Now()
		r.end("a")
		time.Sleep(time.Second)
		unknown := func(o *Options) { o.BootID = "" }
		r.begin("a", unknown)
		time.Sleep(5 * time.Second)
		r.want("it is back", "b")
		r.end("b")
		r.begin("b", unknown)
		time.Sleep(5 * time.Second)
		r.end("b") // which the next one could not follow up: a hand-over
		r.want("ended", "a")
		r.served(begin, "")
	})
}

// What is no restart is handed over, and the next speaker on the node claims nothing back.
func TestEndsForGood(t *testing.T) {
	inRolling(t, "a b", func(t *testing.T, r *rolling) {
		begin := time.Now()
		r.why = errors.New("it is uninstalled")
		r.end("a")
		r.want("ended", "b")
		if n := r.nodes["a"].logs.FilterMessage("layer 2 addresses are handed over").Len(); n != 1 {
			t.Errorf("said %d times", n)
		}
		r.begin("a")
		time.Sleep(5 * time.Second)
		r.want("another one is there", "b")
		r.served(begin, "")
	})
}

// A speaker that restarts while the API server is away has its address back when it acts on what the last one kept.
func TestRestartWithoutTheAPIServer(t *testing.T) {
	inAwaySite(t, func(t *testing.T, s *site, keeps func(*Options), away func(string)) {
		restarts := func(o *Options) { o.Restarting = func() error { return nil } }
		kernel := s.lan.Client(s.nodes["a"].link.MAC, address("a"))
		kernel.Hold(address("a"))
		s.run("a b", keeps, restarts)
		s.want("at first", "a")
		after(2 * keepEvery)
		s.stops[s.nodes["a"].Speaker]()
		_ = s.nodes["a"].responder.Close()
		s.want("b stands in", "b")
		after(2 * time.Second)
		away("a")
		for begin := time.Now(); s.nodes["a"].Status().Stale == nil || s.owners() != "a"; after(50 * time.Millisecond) {
			if mac, ok := s.client.Resolve(first); !ok || mac != s.nodes["a"].link.MAC {
				t.Fatalf("%v has it, %v", mac, ok)
			}
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("%q answer, and a says %v", s.owners(), s.nodes["a"].logs.All())
			}
		}
		after(time.Minute)
		s.want("a has it", "a")
	})
}

// Alone there is nobody to stand in, and nobody to wait for.
func TestRestartAlone(t *testing.T) {
	inRolling(t, "a", func(t *testing.T, r *rolling) {
		gone := time.Now()
		r.end("a")
		if d := time.Since(gone); d > 500*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		r.begin("a")
		r.want("it is back", "a")
	})
}

// What the last speaker left counts on the same boot, for an hour, whatever the clock says.
func TestInherit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")}
		leave := func(folder, boot string) {
			f := newFellows(Options{State: folder, BootID: boot}, zap.NewNop(), func() {})
			f.held = addrs
			if err := f.bequeath(30 * time.Second); err != nil {
				t.Fatal(err)
			}
		}
		for _, tt := range []struct {
			after time.Duration
			boot  string
			want  time.Duration // 0: nothing is left
		}{
			{0, "one", 30 * time.Second},
			{10 * time.Second, "one", 20 * time.Second},
			{time.Minute, "one", leastReturn},
			{-time.Hour, "one", 30 * time.Second},
			{2 * time.Hour, "one", 0},
			{0, "two", 0},
			{0, "", 0},
		} {
			folder := t.TempDir()
			leave(folder, "one")
			if tt.after < 0 {
				text, err := os.ReadFile(filepath.Join(folder, "restart.json"))
				later := strings.Replace(string(text), "2000-", "2001-", 1)
				if err != nil || os.WriteFile(filepath.Join(folder, "restart.json"), []byte(later), 0o600) != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(max(0, tt.after))
			f := newFellows(Options{State: folder, BootID: tt.boot}, zap.NewNop(), func() {})
			if f.restarts() != tt.want || tt.want > 0 && !slices.Equal(f.claimed(), []netip.Addr{addrs[1], addrs[0]}) {
				t.Errorf("%v later on boot %s: %v of %v", tt.after, tt.boot, f.restarts(), f.claimed())
			}
			time.Sleep(tt.want)
			if f.restarts() != 0 || len(f.claimed()) > 0 {
				t.Errorf("and after %v: %v of %v", tt.want, f.restarts(), f.claimed())
			}
		}
		spoilt := t.TempDir()
		if err := os.WriteFile(filepath.Join(spoilt, "restart.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if f := newFellows(Options{State: spoilt, BootID: "one"}, zap.NewNop(), func() {}); len(f.claimed()) > 0 {
			t.Errorf("of a spoilt file: %v", f.claimed())
		}
	})
}
