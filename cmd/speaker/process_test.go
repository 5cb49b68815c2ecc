package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/bfd"
	"github.com/kontena/network-lb/bgp/gobgp"
	"github.com/kontena/network-lb/bgp/neigh"
	"github.com/kontena/network-lb/internal/nstest"
)

// A session that survives its process wants a process: the test binary runs itself in a namespace as what the speaker
// is without Kubernetes, which is told what to do by lines of JSON.
const (
	speakerEnv, folderEnv = "NETWORK_LB_TEST_SPEAKER", "NETWORK_LB_TEST_STATE"
	fresh, restarting     = "fresh", "restarting" // values of speakerEnv
)

// order is one line to the speaker; it answers each with a report.
type order struct {
	Do     string // set, status, close
	Peers  []bgp.Peer
	Routes []bgp.Route
	Keep   bool
}

type report struct {
	Error string
	BGP   []bgp.PeerStatus
	BFD   map[string]bfd.Status // by the peer's name; a session is there for as long as the process
}

// speak is the speaker's process. It ends with its input.
func speak(after bool, folder string, in io.Reader, out io.Writer) error {
	log := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.Lock(os.Stderr), zapcore.InfoLevel))
	var resolver neigh.Resolver
	engine := gobgp.New(gobgp.Options{NodeName: "node1", Local: resolver.Local, Restarting: after, Logger: log})
	go func() { _ = resolver.Watch(context.Background(), engine.AddressesChanged) }()
	all := &observed{Liveness: newLiveness(folder, log), sessions: map[string]*bfd.Session{}}
	speaker := bgp.NewSpeaker(engine, bgp.Options{Liveness: all, Logger: log})
	lines := json.NewDecoder(in)
	for {
		var o order
		if err := lines.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var r report
		switch o.Do {
		case "set":
			if err := speaker.Set(o.Peers, o.Routes); err != nil {
				r.Error = err.Error()
			}
		case "status":
			r.BGP, r.BFD = speaker.Status(), all.status()
		case "close":
			speaker.Close(o.Keep)
		}
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	}
}

// observed is the speaker's liveness, which shows its sessions.
type observed struct {
	bgp.Liveness
	mu       sync.Mutex
	sessions map[string]*bfd.Session
}

func (o *observed) Watch(t bgp.Target, changed func(bgp.LivenessStatus)) (bgp.Watch, error) {
	w, err := o.Liveness.Watch(t, changed)
	if err == nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.sessions[t.Peer.Name] = w.(*watch).session
	}
	return w, err
}

func (o *observed) status() map[string]bfd.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]bfd.Status{}
	for name, s := range o.sessions {
		all[name] = s.Status()
	}
	return all
}

// running is a speaker's process.
type running struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log *nstest.Buffer
}

// startSpeaker runs a speaker in a namespace, with a folder that outlives it.
func startSpeaker(t testing.TB, namespace, folder, mode string) *running {
	t.Helper()
	supp, err := filepath.Abs("../../bgp/gobgp/testdata/race.supp")
	if err != nil {
		t.Fatal(err)
	}
	p := &running{t: t, cmd: exec.Command("ip", append([]string{"netns", "exec", namespace}, nstest.Promptly(os.Args[0])...)...), log: new(nstest.Buffer)}
	p.cmd.Env = append(os.Environ(), speakerEnv+"="+mode, folderEnv+"="+folder, "GORACE=suppressions="+supp)
	p.cmd.Stderr = p.log
	p.in, err = p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if log := p.log.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
			t.Errorf("the speaker is broken:\n%s", log)
		} else if t.Failed() {
			t.Logf("the speaker's log:\n%s", log)
		}
	})
	return p
}

func (p *running) tell(o order) report {
	p.t.Helper()
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		p.t.Fatalf("telling the speaker to %s: %v\n%s", o.Do, err, p.log)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("hearing from the speaker after %s: %v\n%s", o.Do, err, p.log)
	}
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		p.t.Fatal(err)
	}
	return r
}

// kill ends the process as SIGKILL does: no word to anybody.
func (p *running) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// leave ends the process for a planned restart.
func (p *running) leave() {
	p.t.Helper()
	p.tell(order{Do: "close", Keep: true})
	_ = p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the speaker ended: %v\n%s", err, p.log)
	}
}

// signal stops the process, or has it go on.
func (p *running) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}
