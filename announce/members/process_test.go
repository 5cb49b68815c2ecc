//go:build linux

package members_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/kontena/network-lb/announce/members"
)

// A speaker is a process of its own, in a network namespace of its own, so that it can be killed, stopped and cut off:
// the test binary runs itself there. It is told what to do by lines of JSON, and says with lines of JSON what it sees.

const speakerEnv = "NETWORK_LB_TEST_MEMBER"

// setting is a speaker's options.
type setting struct {
	Node      string
	Addr      netip.Addr
	Keys      [][]byte
	Detection members.Detection
	Guarded   bool
}

// order is one line to a speaker. What is nil stays as it is.
type order struct {
	Peers []members.Peer
	State *members.State
	Keys  [][]byte
	Leave bool
}

// sight is what a speaker sees at one time.
type sight struct {
	At       time.Time
	Silent   string
	Lapses   uint64
	Members  map[string]seen
	Counters members.Counters
	CPU      time.Duration // since the start
	finding                // of its guard
}

type seen struct {
	Presence string
	Problem  string
	Known    bool
	Held     int
	First    netip.Addr
}

func TestMain(m *testing.M) {
	if text := os.Getenv(speakerEnv); text != "" {
		if err := speak(text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "speaker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// On several processors the race detector falls over timers in bubbles now and then (https://go.dev/issue/78156).
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// speak is the speaker's process. It ends with its input.
func speak(text string, in io.Reader, out io.Writer) error {
	var its setting
	level := zapcore.InfoLevel
	if os.Getenv("DEBUG") != "" {
		level = zapcore.DebugLevel
	}
	log := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.Lock(os.Stderr), level))
	if err := json.Unmarshal([]byte(text), &its); err != nil {
		return err
	}
	m, err := members.Open(members.Options{Node: its.Node, Addr: its.Addr, Keys: its.Keys, Detection: its.Detection, Logger: log})
	if err != nil {
		return err
	}
	var findings chan finding
	if its.Guarded {
		if findings, err = guardOf(m, its.Addr); err != nil {
			return err
		}
	}
	orders := make(chan order)
	go func() {
		defer close(orders)
		for lines := json.NewDecoder(in); ; {
			var one order
			if lines.Decode(&one) != nil {
				return
			}
			orders <- one
		}
	}()
	var found finding
	for {
		v, changed := m.View()
		s := look(v, m.Counters())
		s.finding, found = found, finding{}
		if err := json.NewEncoder(out).Encode(s); err != nil {
			return err
		}
		select {
		case found = <-findings:
		case <-changed:
		case <-time.After(time.Second): // for the counters
		case one, ok := <-orders:
			if !ok || one.Leave {
				m.Close(one.Leave)
				return nil
			}
			if err := one.carryOut(m); err != nil {
				return err
			}
		}
	}
}

func (o order) carryOut(m *members.Membership) error {
	if o.Peers != nil {
		m.SetPeers(o.Peers)
	}
	if o.State != nil {
		m.Set(*o.State)
	}
	if o.Keys != nil {
		return m.SetKeys(o.Keys)
	}
	return nil
}

func look(v members.View, c members.Counters) sight {
	s := sight{At: time.Now(), Lapses: v.Lapses, Members: map[string]seen{}, Counters: c}
	if v.Silent != nil {
		s.Silent = v.Silent.Error()
	}
	for _, m := range v.Members {
		one := seen{Presence: m.Presence.String(), Problem: m.Problem, Known: m.Known, Held: len(m.State.Held)}
		if one.Held > 0 {
			one.First = m.State.Held[0]
		}
		s.Members[m.Node] = one
	}
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		s.CPU = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return s
}

// process is a running speaker.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr *buffer
	ended  chan struct{}

	mu     sync.Mutex
	sights []sight
}

// startProcess runs a speaker inside a namespace.
func startProcess(t testing.TB, namespace string, its setting) *process {
	t.Helper()
	text, err := json.Marshal(its)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command("ip", "netns", "exec", namespace, os.Args[0]), stderr: new(buffer), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), speakerEnv+"="+string(text))
	p.cmd.Stderr = p.stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := json.NewDecoder(bufio.NewReader(out)); ; {
			var s sight
			if lines.Decode(&s) != nil {
				return
			}
			p.mu.Lock()
			p.sights = append(p.sights, s)
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		p.kill()
		log := p.stderr.String()
		if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
			t.Errorf("the speaker is broken:\n%s", log)
		} else if t.Failed() {
			t.Logf("the speaker's log in %s:\n%s\nand the last that it saw: %+v", namespace, log, p.last())
		}
	})
	return p
}

func (p *process) tell(o order) {
	p.t.Helper()
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		p.t.Fatalf("telling the speaker: %v\n%s", err, p.stderr)
	}
}

// last is what it saw last.
func (p *process) last() sight {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sights) == 0 {
		return sight{}
	}
	return p.sights[len(p.sights)-1]
}

// count is how often it has looked.
func (p *process) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sights)
}

// first is the first sight since then of which something is so.
func (p *process) first(since time.Time, is func(sight) bool) (sight, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sights {
		if s.At.After(since) && is(s) {
			return s, true
		}
	}
	return sight{}, false
}

// signal reaches the process itself: ip has become it.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.cmd.Wait()
}

// buffer is a bytes.Buffer that may be read while it grows.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
