package routers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/kontena/network-lb/internal/nstest"
)

// Daemon of FRR: bgpd or bfdd.
type Daemon struct {
	Name   string
	Config string
	Args   []string // more than what every daemon is given
}

// FRR is a router: zebra and other daemons.
type FRR struct {
	folder
	namespace string
	daemons   map[string]Daemon
	running   map[string]*nstest.Program
}

// StartFRR runs zebra and the given daemons, in their order, in a namespace, until the test ends.
func StartFRR(t testing.TB, namespace string, daemons ...Daemon) *FRR {
	t.Helper()
	Require(t)
	f := &FRR{folder: folder{t, Dir(t, "frr")}, namespace: namespace, daemons: map[string]Daemon{}, running: map[string]*nstest.Program{}}
	for _, d := range append([]Daemon{{Name: "zebra"}}, daemons...) {
		if d.Name == "bfdd" {
			d.Args = append(d.Args, "--bfdctl", f.File("bfdd.sock"))
		}
		f.daemons[d.Name] = d
		f.write(d.Name+".conf", d.Config)
		f.Start(d.Name)
	}
	return f
}

// Start runs a daemon again that was stopped.
func (f *FRR) Start(name string) {
	f.t.Helper()
	args := []string{frrDir + name, "-f", f.File(name + ".conf"), "-z", f.File("zserv.api"), "--vty_socket", f.dir,
		"-i", f.File(name + ".pid"), "-P", "0", "--log", "file:" + f.File(name+".log")}
	f.running[name] = nstest.Start(f.t, f.namespace, nstest.Promptly(append(args, f.daemons[name].Args...)...)...)
	nstest.Eventually(f.t, name+" answers", func() (bool, any) { _, err := f.Ask(name, "show version"); return err == nil, err })
}

// Stop kills a daemon.
func (f *FRR) Stop(name string) { f.running[name].Stop() }

// Signal sends a daemon a signal.
func (f *FRR) Signal(name string, s syscall.Signal) {
	f.t.Helper()
	f.signal(name+".pid", s)
}

// Ask gives a daemon commands as vtysh does: each ends with a NUL, and its answer with three NULs and a code. The last
// one's answer is returned.
func (f *FRR) Ask(name string, commands ...string) ([]byte, error) {
	conn, err := net.Dial("unix", f.File(name+".vty"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var out []byte
	for _, c := range append([]string{"enable"}, commands...) {
		if _, err := io.WriteString(conn, c+"\x00"); err != nil {
			return nil, err
		}
		out = nil
		buf := make([]byte, 65536)
		for len(out) < 4 || !bytes.Equal(out[len(out)-4:len(out)-1], []byte{0, 0, 0}) {
			n, err := conn.Read(buf)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c, err)
			}
			out = append(out, buf[:n]...)
		}
		code := out[len(out)-1]
		if out = out[:len(out)-4]; code != 0 {
			return nil, fmt.Errorf("%s: code %d: %s", c, code, out)
		}
	}
	return out, nil
}

// Configure has a daemon changed, by commands from the top of the configuration.
func (f *FRR) Configure(name string, commands ...string) {
	f.t.Helper()
	if out, err := f.Ask(name, append(append([]string{"configure terminal"}, commands...), "end")...); err != nil {
		f.t.Fatalf("configuring %s: %v: %s", name, err, out)
	}
}

// JSON is a daemon's answer to one command.
func (f *FRR) JSON(name string, into any, command string) {
	f.t.Helper()
	out, err := f.Ask(name, command)
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		f.t.Fatalf("asking FRR's %s to %s: %v\n%s", name, command, err, out)
	}
}
