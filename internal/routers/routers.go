// Package routers gives tests routers of somebody else, FRR and BIRD, in network namespaces, and asks them what they
// see.
package routers

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kontena/network-lb/internal/nstest"
)

// Where Debian's packages have the programs.
const (
	frrDir  = "/usr/lib/frr/"
	birdBin = "/usr/sbin/bird"
	birdCtl = "/usr/sbin/birdc"
)

// Maker of a router.
type Maker string

// The makers that there are.
const (
	FRRouting Maker = "FRR"
	BIRDd     Maker = "BIRD"
)

// Makers are all of them.
var Makers = []Maker{FRRouting, BIRDd}

// Route is one as a router has it from one neighbour.
type Route struct{ Path, NextHop string }

// BFD is a session as a router's BFD has it.
type BFD struct {
	Up       bool
	Interval time.Duration // at which it sends
	Timeout  time.Duration // its detection time
	Falls    int           // from Up
	Closed   bool          // the neighbour is administratively down
}

// Require skips the test where it can have no routers: it needs root and their packages.
func Require(t testing.TB) {
	t.Helper()
	nstest.Require(t)
	Needs(t, frrDir+"zebra", frrDir+"bgpd", frrDir+"bfdd", birdBin, birdCtl)
}

// Needs skips the test where a program is missing.
func Needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s (packages frr and bird2)", p)
		}
	}
}

// Dir makes a directory that a program may write to after it has dropped its privileges. It is gone after the test.
func Dir(t testing.TB, owner string) string {
	t.Helper()
	u, err := user.Lookup(owner)
	if err != nil {
		t.Skipf("needs the user %s: %v", owner, err)
	}
	dir, err := os.MkdirTemp("", "nlb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// folder is where a router has its files.
type folder struct {
	t   testing.TB
	dir string
}

// File is the path of one of the router's files.
func (f folder) File(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(f.File(name), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// signal is for the process whose PID is in a file.
func (f folder) signal(pidFile string, s syscall.Signal) {
	f.t.Helper()
	text, err := os.ReadFile(f.File(pidFile))
	if err != nil {
		f.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, s)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}
