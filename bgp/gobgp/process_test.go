package gobgp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/gobgp"
	"github.com/kontena/network-lb/bgp/neigh"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// GoBGP opens its sockets on goroutines of its own, so a whole process has to be inside a network namespace:
// the test binary runs itself there as a speaker, which is told what to do by lines of JSON.

const speakerEnv = "NETWORK_LB_TEST_SPEAKER"

// command is one line to the speaker; it answers each with an answer.
type command struct {
	Do     string // set, status, close, dead, memory
	Peers  []bgp.Peer
	Routes []bgp.Route
	Many   [2]int // so many routes more, IPv4 and IPv6: many() makes them
	Keep   bool
	// Passwords of the peers, in their order: a bgp.Peer's hides itself in JSON.
	Passwords []string
}

type answer struct {
	Error      string
	Status     []bgp.PeerStatus
	Heap       uint64 // bytes in use
	Goroutines int
}

func TestMain(m *testing.M) {
	if mode := os.Getenv(speakerEnv); mode != "" {
		if err := speak(mode == "restarting", os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "speaker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// speak is the speaker's process. It ends with its input.
func speak(restarting bool, in io.Reader, out io.Writer) error {
	debug.SetGCPercent(50) // as in the speaker
	level := zapcore.InfoLevel
	if os.Getenv("DEBUG") != "" {
		level = zapcore.DebugLevel
	}
	log := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
		zapcore.Lock(os.Stderr), level))
	var own neigh.Resolver
	var watched triggers
	engine := gobgp.New(gobgp.Options{NodeName: "node1", Local: own.Local, Restarting: restarting, Logger: log})
	go func() { _ = own.Watch(context.Background(), engine.AddressesChanged) }()
	speaker := bgp.NewSpeaker(engine, bgp.Options{Logger: log, Liveness: &watched})
	lines := json.NewDecoder(in)
	for {
		var c command
		if err := lines.Decode(&c); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var a answer
		switch c.Do {
		case "set":
			for i, p := range c.Passwords {
				c.Peers[i].Password = bgp.Password(p)
			}
			if err := speaker.Set(c.Peers, append(c.Routes, many(c.Many)...)); err != nil {
				a.Error = err.Error()
			}
		case "status":
			a.Status = speaker.Status()
		case "close":
			speaker.Close(c.Keep)
		case "memory":
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			a.Heap, a.Goroutines = m.HeapAlloc, runtime.NumGoroutine()
		case "dead":
			watched.pull()
		}
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	}
}

// triggers is a bgp.Liveness that takes all peers for dead when it is told to.
type triggers struct {
	mu  sync.Mutex
	all map[*trigger]bool
}

type trigger struct {
	in      *triggers
	changed func(bgp.LivenessStatus)
}

func (t *triggers) Watch(_ bgp.Target, changed func(bgp.LivenessStatus)) (bgp.Watch, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &trigger{t, changed}
	if t.all == nil {
		t.all = map[*trigger]bool{}
	}
	t.all[w] = true
	changed(bgp.LivenessStatus{State: bgp.LivenessUp, Since: time.Now()})
	return w, nil
}

func (t *triggers) pull() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w := range t.all {
		w.changed(bgp.LivenessStatus{State: bgp.LivenessDown, Reason: "control detection time expired", Dead: true})
	}
}

func (w *trigger) Set(bgp.BFD) {}
func (w *trigger) Suspend()    {}
func (w *trigger) Close() {
	w.in.mu.Lock()
	defer w.in.mu.Unlock()
	delete(w.in.all, w)
}

// process is a running speaker.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *nstest.Buffer
}

// startSpeaker runs a speaker inside a namespace.
func startSpeaker(t testing.TB, namespace string, restarting bool) *process {
	t.Helper()
	return startSpeakerBy(t, namespace, restarting, os.Args[0])
}

// startSpeakerBy runs a speaker inside a namespace by a command, which may give up privileges first.
func startSpeakerBy(t testing.TB, namespace string, restarting bool, command ...string) *process {
	t.Helper()
	supp, err := filepath.Abs("testdata/race.supp")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command("ip", append([]string{"netns", "exec", namespace}, command...)...), stderr: new(nstest.Buffer)}
	mode := "fresh"
	if restarting {
		mode = "restarting"
	}
	p.cmd.Env = append(os.Environ(), speakerEnv+"="+mode, "GORACE=suppressions="+supp)
	p.cmd.Stderr = p.stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		log := p.stderr.String()
		if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
			t.Errorf("the speaker is broken:\n%s", log)
		} else if t.Failed() {
			t.Logf("the speaker's log:\n%s", log)
		}
	})
	return p
}

func (p *process) tell(c command) answer {
	p.t.Helper()
	if err := json.NewEncoder(p.in).Encode(c); err != nil {
		p.t.Fatalf("telling the speaker to %s: %v\n%s", c.Do, err, p.stderr)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("hearing from the speaker after %s: %v\n%s", c.Do, err, p.stderr)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *process) set(peers []bgp.Peer, routes ...bgp.Route) {
	p.t.Helper()
	passwords := make([]string, len(peers))
	for i := range peers {
		passwords[i] = string(peers[i].Password)
	}
	if a := p.tell(command{Do: "set", Peers: peers, Routes: routes, Passwords: passwords}); a.Error != "" {
		p.t.Fatal(a.Error)
	}
}

// status of one peer.
func (p *process) status(name string) bgp.PeerStatus {
	p.t.Helper()
	for _, s := range p.tell(command{Do: "status"}).Status {
		if s.Peer.Name == name {
			return s
		}
	}
	p.t.Fatalf("the speaker has no peer %s", name)
	return bgp.PeerStatus{}
}

func (p *process) up(names ...string) {
	p.t.Helper()
	for _, name := range names {
		nstest.Eventually(p.t, name+" is Established", func() (bool, any) {
			s := p.status(name)
			return s.State == bgp.Established, s
		})
	}
}

// kill ends the process as SIGKILL does: no word to anybody.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// leave ends the process by its own exit.
func (p *process) leave() {
	p.t.Helper()
	_ = p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the speaker ended: %v\n%s", err, p.stderr)
	}
}

func route(prefix string, peers ...string) bgp.Route {
	return bgp.Route{Prefix: netip.MustParsePrefix(prefix), Peers: peers}
}

// heard is a route as a router has it.
func heard(path, nextHop string) routers.Route { return routers.Route{Path: path, NextHop: nextHop} }

func contains(s, part string) bool { return strings.Contains(s, part) }
