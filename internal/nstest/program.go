package nstest

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Program runs in a namespace. A shell kills it when its own input ends, so that it goes with the test process in any
// case. (A parent death signal is no help: it comes when the thread that forked ends.)
type Program struct {
	// Out is what it has written to its output and its error output.
	Out *Buffer
	cmd *exec.Cmd
	in  io.Closer
}

// Start runs a program in a namespace until the test ends, or until it is stopped.
func Start(t testing.TB, namespace string, args ...string) *Program {
	t.Helper()
	p := &Program{Out: new(Buffer)}
	p.cmd = exec.Command("sh", append([]string{"-c", `"$@" </dev/null & cat >/dev/null; kill -9 $!; wait`, "sh",
		"ip", "netns", "exec", namespace}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.Out, p.Out
	in, err := p.cmd.StdinPipe()
	if err == nil {
		p.in, err = in, p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() && p.Out.String() != "" {
			t.Logf("%s said:\n%s", strings.Join(args, " "), p.Out)
		}
	})
	return p
}

// Promptly is a command that the kernel gives the processor as soon as it wants it, if root may ask that here. What counts
// in milliseconds does not wait then for the compilers and other tests of a busy machine.
func Promptly(command ...string) []string {
	if mayHurry() {
		command = append([]string{"chrt", "--rr", "1"}, command...)
	}
	return command
}

var mayHurry = sync.OnceValue(func() bool { return exec.Command("chrt", "--rr", "1", "true").Run() == nil })

// Stop kills the program, and waits until it is gone.
func (p *Program) Stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// Buffer is a bytes.Buffer that may be read while it grows.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Eventually polls until ok, for 40 s, and says how long it took; what ok has seen is shown when it fails.
func Eventually(t testing.TB, what string, ok func() (bool, any)) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		good, seen := ok()
		if good {
			return time.Since(start)
		}
		if time.Since(start) > 40*time.Second {
			t.Fatalf("waiting until %s: still %+v", what, seen)
		}
		<-tick.C
	}
}
