package bfd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
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

// router is a BFD daemon of somebody else, with the four sessions of lab.
type router interface {
	// sees tells how the session with a neighbour is.
	sees(t *testing.T, neighbour string) view
	// set gives all sessions other parameters.
	set(t *testing.T, p Parameters)
	// signal is for its BFD daemon.
	signal(t *testing.T, s syscall.Signal)
}

// view is a session as the router has it.
type view struct {
	Up       bool
	Interval time.Duration // at which it sends
	Timeout  time.Duration // its detection time
	Falls    int           // from Up
	Closed   bool          // the neighbour is administratively down
}

// eventually waits for the world, for half a minute.
func eventually(t *testing.T, what string, is func() (bool, any)) {
	t.Helper()
	start := time.Now()
	for {
		ok, seen := is()
		if ok {
			return
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("after %v still not so: %s: %+v", time.Since(start), what, seen)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// daemon runs a program in a namespace until the test ends. A shell kills it when its own input ends, so that it
// goes with the test process in any case.
func daemon(t *testing.T, namespace string, args ...string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `"$@" </dev/null & cat >/dev/null; kill -9 $!; wait`, "sh", "ip", "netns", "exec", namespace}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		if t.Failed() && out.Len() > 0 {
			t.Logf("%s said:\n%s", args[0], &out)
		}
	})
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	nstest.Require(t)
	for _, p := range programs {
		if _, err := os.Stat(p); err != nil {
			t.Skipf("needs %s (packages frr and bird2)", p)
		}
	}
}

// workDir makes a directory that a daemon may write to after it has dropped its privileges.
func workDir(t *testing.T, owner string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nlb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	u, err := user.Lookup(owner)
	if err != nil {
		t.Skipf("needs the user %s of the routers' packages: %v", owner, err)
	}
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

func signalPIDFile(t *testing.T, file string, s syscall.Signal) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// frr is zebra and bfdd.
type frr struct {
	dir     string
	passive bool
}

const frrDir = "/usr/lib/frr/"

func startFRR(t *testing.T, namespace string, passive bool) router {
	t.Helper()
	needs(t, frrDir+"zebra", frrDir+"bfdd")
	f := &frr{workDir(t, "frr"), passive}
	for _, name := range []string{"zebra", "bfdd"} {
		if err := os.WriteFile(f.file(name+".conf"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		args := []string{frrDir + name, "-f", f.file(name + ".conf"), "-z", f.file("zserv.api"), "--vty_socket", f.dir,
			"-i", f.file(name + ".pid"), "-P", "0", "--log", "file:" + f.file(name+".log")}
		if name == "bfdd" {
			args = append(args, "--bfdctl", f.file("bfdd.sock"))
		}
		daemon(t, namespace, args...)
		eventually(t, name+" answers", func() (bool, any) { _, err := f.ask(name, "show version"); return err == nil, err })
	}
	// A session on an interface that zebra has not told bfdd of yet stays deaf when it is passive: make it anew.
	eventually(t, "bfdd knows the interfaces", func() (bool, any) {
		f.set(t, Parameters{})
		log, err := os.ReadFile(f.file("bfdd.log"))
		if err != nil || !bytes.Contains(log, []byte("doesn't exist")) {
			return err == nil, err
		}
		if out, err := f.ask("bfdd", "configure terminal", "no bfd", "end"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.Truncate(f.file("bfdd.log"), 0); err != nil {
			t.Fatal(err)
		}
		return false, string(log)
	})
	return f
}

func (f *frr) file(name string) string { return filepath.Join(f.dir, name) }

// frrPeers are FRR's names for the four sessions.
var frrPeers = []string{
	"peer 10.0.1.1 local-address 10.0.1.2 interface eth0", "peer 2001:db8:1::1 local-address 2001:db8:1::2 interface eth0",
	"peer 10.0.2.1 multihop local-address 10.0.3.2", "peer 2001:db8:2::1 multihop local-address 2001:db8:3::2",
}

func (f *frr) set(t *testing.T, p Parameters) {
	t.Helper()
	p = p.withDefaults()
	commands := []string{"configure terminal", "bfd"}
	for _, peer := range frrPeers {
		commands = append(commands, peer, fmt.Sprintf("receive-interval %d", p.Receive.Milliseconds()),
			fmt.Sprintf("transmit-interval %d", p.Transmit.Milliseconds()), fmt.Sprintf("detect-multiplier %d", p.Multiplier))
		if f.passive {
			commands = append(commands, "passive-mode")
		}
		if strings.Contains(peer, "multihop") {
			commands = append(commands, "minimum-ttl 254")
		}
		commands = append(commands, "no shutdown", "exit")
	}
	if out, err := f.ask("bfdd", append(commands, "end")...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// ask gives a daemon commands as vtysh does: each ends with a NUL, and its answer with three NULs and a code.
func (f *frr) ask(name string, commands ...string) ([]byte, error) {
	conn, err := net.Dial("unix", f.file(name+".vty"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
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

func (f *frr) sees(t *testing.T, neighbour string) view {
	t.Helper()
	type peer struct {
		Peer, Status     string
		RemoteDiagnostic string `json:"remote-diagnostic"`
		Transmit         int    `json:"transmit-interval"`
		Receive          int    `json:"receive-interval"`
		RemoteTransmit   int    `json:"remote-transmit-interval"`
		RemoteReceive    int    `json:"remote-receive-interval"`
		RemoteMultiplier int    `json:"remote-detect-multiplier"`
		SessionDown      int    `json:"session-down"`
	}
	var peers, counters []peer
	for command, into := range map[string]*[]peer{"show bfd peers json": &peers, "show bfd peers counters json": &counters} {
		out, err := f.ask("bfdd", command)
		if err == nil {
			err = json.Unmarshal(out, into)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	var v view
	for _, p := range append(peers, counters...) {
		if p.Peer != neighbour {
			continue
		}
		v.Falls += p.SessionDown
		if p.Status != "" {
			ms := time.Millisecond
			v.Up, v.Closed = p.Status == "up", p.RemoteDiagnostic == "administratively down"
			v.Interval = ms * time.Duration(max(p.Transmit, p.RemoteReceive))
			v.Timeout = ms * time.Duration(p.RemoteMultiplier*max(p.Receive, p.RemoteTransmit))
		}
	}
	return v
}

func (f *frr) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	signalPIDFile(t, f.file("bfdd.pid"), s)
}

// bird is BIRD with nothing but its BFD.
type bird struct {
	dir     string
	passive bool
}

func startBIRD(t *testing.T, namespace string, passive bool) router {
	t.Helper()
	needs(t, "/usr/sbin/bird", "/usr/sbin/birdc")
	b := &bird{workDir(t, "bird"), passive}
	b.write(t, Parameters{})
	daemon(t, namespace, "/usr/sbin/bird", "-f", "-c", b.file("bird.conf"), "-s", b.file("ctl"), "-P", b.file("pid"))
	eventually(t, "bird answers", func() (bool, any) {
		out, err := exec.Command("/usr/sbin/birdc", "-s", b.file("ctl"), "show", "status").CombinedOutput()
		return err == nil, string(out)
	})
	return b
}

func (b *bird) file(name string) string { return filepath.Join(b.dir, name) }

func (b *bird) write(t *testing.T, p Parameters) {
	t.Helper()
	p = p.withDefaults()
	timers := fmt.Sprintf("min rx interval %d ms; min tx interval %d ms; multiplier %d;", p.Receive.Milliseconds(), p.Transmit.Milliseconds(), p.Multiplier)
	if b.passive {
		timers += " passive yes;"
	}
	config := fmt.Sprintf(`log %q all;
router id 10.0.1.2;
protocol device {}
protocol bfd {
  debug all;
  interface "*" { %s };
  multihop { %s };
  neighbor 10.0.1.1 dev "eth0" local 10.0.1.2;
  neighbor 2001:db8:1::1 dev "eth0" local 2001:db8:1::2;
  neighbor 10.0.2.1 local 10.0.3.2 multihop yes;
  neighbor 2001:db8:2::1 local 2001:db8:3::2 multihop yes;
}
`, b.file("log"), timers, timers)
	if err := os.WriteFile(b.file("bird.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *bird) set(t *testing.T, p Parameters) {
	t.Helper()
	b.write(t, p)
	nstest.Run(t, "/usr/sbin/birdc", "-s", b.file("ctl"), "configure")
}

func (b *bird) sees(t *testing.T, neighbour string) view {
	t.Helper()
	var v view
	for _, line := range strings.Split(nstest.Run(t, "/usr/sbin/birdc", "-s", b.file("ctl"), "show", "bfd", "sessions"), "\n") {
		if words := strings.Fields(line); len(words) >= 6 && words[0] == neighbour { // address, interface, state, since, interval, timeout
			v.Up = words[2] == "Up"
			seconds := func(s string) time.Duration { d, _ := time.ParseDuration(s + "s"); return d }
			v.Interval, v.Timeout = seconds(words[len(words)-2]), seconds(words[len(words)-1])
		}
	}
	log, err := os.ReadFile(b.file("log"))
	if err != nil {
		t.Fatal(err)
	}
	v.Falls = strings.Count(string(log), "Session to "+neighbour+" changed state from Up to ")
	v.Closed = strings.Contains(string(log), "CTL received from "+neighbour+" [AdminDown")
	return v
}

func (b *bird) signal(t *testing.T, s syscall.Signal) { t.Helper(); signalPIDFile(t, b.file("pid"), s) }
