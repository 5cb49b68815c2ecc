package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " 7 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 12 0 4711 99 100"
	for _, test := range []struct {
		name, line string
		want       stat
	}{
		{"plain", "42 (etcd) S" + rest, stat{parent: 7, start: 4711}},
		{"spaces and parentheses in the name", "42 (a) b (c) R" + rest, stat{parent: 7, start: 4711}},
		{"ended, not yet reaped", "42 (etcd) Z" + rest, stat{zombie: true, parent: 7, start: 4711}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseStat(test.line)
			if err != nil || got != test.want {
				t.Errorf("parseStat(%q) = %+v, %v, want %+v", test.line, got, err, test.want)
			}
		})
	}
	for _, line := range []string{"", "42 (etcd", "42 (etcd) S 1 2 3", "42 (etcd) S x" + rest} {
		if got, err := parseStat(line); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", line, got)
		}
	}
}

func start(t *testing.T) (Group, Record) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("needs the program sleep")
	}
	dir := t.TempDir()
	g := Group{Records: filepath.Join(dir, "records"), Logs: filepath.Join(dir, "logs")}
	if err := g.Start(Command{Name: "sleeper", Path: sleep, Args: []string{"600"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop("sleeper", syscall.SIGKILL, time.Minute); err != nil {
			t.Error(err)
		}
	})
	r, err := g.Find("sleeper")
	if err != nil {
		t.Fatal(err)
	}
	return g, r
}

func TestStartAndStop(t *testing.T) {
	g, r := start(t)
	if !r.Running() {
		t.Fatal("started, but does not run")
	}
	if session, err := exec.Command("ps", "-o", "sid=", "-p", strconv.Itoa(r.PID)).Output(); err == nil {
		if strings.TrimSpace(string(session)) != strconv.Itoa(r.PID) {
			t.Errorf("session %s, want one of its own", session)
		}
	}
	if all, err := g.All(); err != nil || len(all) != 1 || all[0].PID != r.PID {
		t.Errorf("All() = %v, %v, want the sleeper", all, err)
	}
	if err := g.Stop("sleeper", syscall.SIGTERM, time.Minute); err != nil {
		t.Fatal(err)
	}
	if r.Running() {
		t.Error("stopped, but runs")
	}
	if all, err := g.All(); err != nil || len(all) != 0 {
		t.Errorf("All() = %v, %v, want none", all, err)
	}
	if err := g.Stop("sleeper", syscall.SIGTERM, 0); err != nil {
		t.Errorf("stopping once more: %v", err)
	}
}

// A record whose PID belongs to somebody else by now must not stop that one.
func TestStrangersAreLeftAlone(t *testing.T) {
	_, r := start(t)
	for name, stranger := range map[string]Record{
		"another start time":   {Name: "x", PID: r.PID, Start: r.Start + 1, Argv: r.Argv},
		"another command line": {Name: "x", PID: r.PID, Start: r.Start, Argv: []string{"sleep", "601"}},
	} {
		if stranger.Running() {
			t.Errorf("%s: runs", name)
		}
		if err := stranger.Signal(syscall.SIGKILL); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !r.Running() {
		t.Error("was stopped by a record that is not its own")
	}
}

func TestAncestors(t *testing.T) {
	line := Ancestors(os.Getpid())
	if len(line) < 2 || line[0] != os.Getpid() || line[1] != os.Getppid() {
		t.Errorf("Ancestors(%d) = %v, want it and its parent %d first", os.Getpid(), line, os.Getppid())
	}
}

func TestUsage(t *testing.T) {
	before := time.Now()
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = sleeper.Process.Kill(), sleeper.Wait() })
	began, err := Started(sleeper.Process.Pid)
	if err != nil || began.Before(before.Add(-time.Second)) || began.After(time.Now().Add(time.Second)) {
		t.Errorf("it began at %v, not %v (%v)", began, before, err)
	}
	if mib, err := Memory(os.Getpid(), "VmRSS"); err != nil || mib < 1 {
		t.Errorf("this process has %d MiB (%v)", mib, err)
	}
	if _, err := Memory(os.Getpid(), "VmNothing"); err == nil {
		t.Error("there is a VmNothing")
	}
	first, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for now := first; now == first; {
		if now, err = CPU(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
}
