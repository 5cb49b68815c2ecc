// Package nstest gives tests network namespaces of their own: a test that needs a network makes one, and
// what it made goes away with it.
package nstest

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Require skips the test where it may not make network namespaces: it needs root and CAP_SYS_ADMIN. It skips it
// under -short too.
func Require(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("makes network namespaces; not with -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make network namespaces")
	}
}

// New makes a named network namespace with its loopback up and deletes it when the test ends. The name is
// made unique with the test process's PID.
func New(t testing.TB, name string) string {
	t.Helper()
	Require(t)
	full := "nlbt-" + name + "-" + strconv.Itoa(os.Getpid())
	Run(t, "ip", "netns", "add", full)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", full).Run() })
	Run(t, "ip", "-n", full, "link", "set", "lo", "up")
	return full
}

// Do runs f on a thread that is inside the namespace. Sockets that f opens stay in it; goroutines that f
// starts do not run in it.
func Do(t testing.TB, name string, f func()) {
	t.Helper()
	if err := onThread(func() error {
		ns, err := netns.GetFromName(name)
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			return err
		}
		f()
		return nil
	}); err != nil {
		t.Fatalf("entering namespace %s: %v", name, err)
	}
}

// onThread runs f on a thread that is never unlocked, so that it dies with its goroutine and no other goroutine
// finds itself elsewhere. The process's main thread cannot die: where f would get that one, it is kept busy
// while another goroutine takes another thread.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		defer close(done) // also when f ends the test by t.Fatal
		if err := f(); err != nil {
			done <- err
		}
	}()
	return <-done
}

// Run executes a command and fails the test with its output when it fails.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
