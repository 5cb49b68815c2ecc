package gobgp_test

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
	"testing"

	"github.com/kontena/network-lb/internal/nstest"
)

// wire joins two namespaces by a veth pair, and gives each end its addresses. The second one has it as eth0.
func wire(t testing.TB, a, aIf string, aAddrs []string, b string, bAddrs []string) {
	const bIf = "eth0"
	t.Helper()
	nstest.Run(t, "ip", "-n", a, "link", "add", aIf, "type", "veth", "peer", "name", bIf, "netns", b)
	for _, end := range []struct {
		ns, dev string
		addrs   []string
	}{{a, aIf, aAddrs}, {b, bIf, bAddrs}} {
		for _, addr := range end.addrs {
			args := []string{"-n", end.ns, "addr", "add", addr, "dev", end.dev}
			if strings.Contains(addr, ":") {
				args = append(args, "nodad")
			}
			nstest.Run(t, "ip", args...)
		}
		nstest.Run(t, "ip", "-n", end.ns, "link", "set", end.dev, "up")
	}
}

// daemon is a program that runs in a namespace. A shell kills it when its own input ends, so that it goes with
// the test process in any case. (A parent death signal is no help: it comes when the thread that forked ends.)
type daemon struct {
	cmd *exec.Cmd
	in  io.Closer
	out *buffer
}

// startDaemon runs a program in a namespace until the test ends, or until it is stopped.
func startDaemon(t testing.TB, namespace string, args ...string) *daemon {
	t.Helper()
	d := &daemon{out: new(buffer)}
	d.cmd = exec.Command("sh", append([]string{"-c", `"$@" </dev/null & cat >/dev/null; kill -9 $!; wait`, "sh",
		"ip", "netns", "exec", namespace}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	in, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.in = in
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.stop()
		if t.Failed() && d.out.String() != "" {
			t.Logf("%s said:\n%s", args[0], d.out)
		}
	})
	return d
}

// stop kills the program, and waits until it is gone.
func (d *daemon) stop() {
	_ = d.in.Close()
	_ = d.cmd.Wait()
}

// workDir makes a directory that a daemon may write to after it has dropped its privileges.
func workDir(t testing.TB, owner string) string {
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

func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := os.Stat(p); err != nil {
			t.Skipf("needs %s (packages frr and bird2)", p)
		}
	}
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// frr is an FRR router: zebra and bgpd.
type frr struct {
	t    testing.TB
	ns   string
	dir  string
	port int // 0 is 179
	bgpd *daemon
}

const frrDir = "/usr/lib/frr/"

func startFRR(t testing.TB, namespace, config string, port int) *frr {
	t.Helper()
	f := &frr{t: t, ns: namespace, dir: workDir(t, "frr"), port: port}
	write(t, f.file("zebra.conf"), "")
	write(t, f.file("bgpd.conf"), config)
	startDaemon(t, namespace, append([]string{frrDir + "zebra"}, f.options("zebra")...)...)
	eventually(t, "zebra runs", func() (bool, any) { _, err := os.Stat(f.file("zserv.api")); return err == nil, err })
	f.startBGP()
	return f
}

func (f *frr) file(name string) string { return filepath.Join(f.dir, name) }

func (f *frr) options(name string) []string {
	return []string{"-f", f.file(name + ".conf"), "-z", f.file("zserv.api"), "--vty_socket", f.dir,
		"-i", f.file(name + ".pid"), "-P", "0", "--log", "file:" + f.file(name+".log")}
}

func (f *frr) startBGP() {
	f.t.Helper()
	args := append([]string{frrDir + "bgpd"}, f.options("bgpd")...)
	if f.port != 0 {
		args = append(args, "-p", strconv.Itoa(f.port))
	}
	f.bgpd = startDaemon(f.t, f.ns, args...)
	eventually(f.t, "bgpd answers", func() (bool, any) { _, err := f.ask("show version"); return err == nil, err })
}

// ask gives bgpd a command as vtysh does: the command and a NUL; the answer ends with three NULs and a code.
func (f *frr) ask(commands ...string) ([]byte, error) {
	conn, err := net.Dial("unix", f.file("bgpd.vty"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	var out []byte
	for _, c := range append([]string{"enable"}, commands...) {
		if _, err := conn.Write(append([]byte(c), 0)); err != nil {
			return nil, err
		}
		out = nil
		buf := make([]byte, 65536)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c, err)
			}
			out = append(out, buf[:n]...)
			if l := len(out); l >= 4 && bytes.Equal(out[l-4:l-1], []byte{0, 0, 0}) {
				if out[l-1] != 0 {
					return nil, fmt.Errorf("%s: code %d: %s", c, out[l-1], out[:l-4])
				}
				out = out[:l-4]
				break
			}
		}
	}
	return out, nil
}

func (f *frr) json(into any, command string) {
	f.t.Helper()
	out, err := f.ask(command)
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		f.t.Fatalf("asking FRR to %s: %v\n%s", command, err, out)
	}
}

// heard is a route as a router has it from one neighbour.
type heard struct{ Path, NextHop string }

// routes are those from one neighbour, of one family ("ipv4" or "ipv6").
func (f *frr) routes(family, peer string) map[string]heard {
	f.t.Helper()
	var table struct {
		Routes map[string][]struct {
			PeerID   string `json:"peerId"`
			Path     string
			Valid    bool
			Nexthops []struct {
				IP   string
				Used bool
			}
		}
	}
	f.json(&table, "show bgp "+family+" unicast json")
	all := map[string]heard{}
	for prefix, paths := range table.Routes {
		for _, p := range paths {
			if p.PeerID != peer || !p.Valid {
				continue
			}
			for _, nh := range p.Nexthops {
				if nh.Used {
					all[prefix] = heard{p.Path, nh.IP}
				}
			}
		}
	}
	return all
}

// frrPeer is what FRR says of a neighbour.
type frrPeer struct {
	BgpState               string
	ConnectionsEstablished int
	MessageStats           struct{ UpdatesRecv int }
	LastNotificationReason string
	RemoteAs               uint32
	NbrInternalLink        bool
	RemoteRouterID         string

	BgpTimerHoldTimeMsecs, BgpTimerKeepAliveIntervalMsecs int

	GracefulRestartInfo struct {
		RemoteGrMode string
		Timers       struct{ ReceivedRestartTimer int }
	}
}

func (f *frr) peer(address string) frrPeer {
	f.t.Helper()
	var all map[string]frrPeer
	f.json(&all, "show bgp neighbors "+address+" json")
	return all[address]
}

// bird is a BIRD router.
type bird struct {
	t   testing.TB
	dir string
}

func startBIRD(t testing.TB, namespace, config string) *bird {
	t.Helper()
	b := &bird{t: t, dir: workDir(t, "bird")}
	write(t, filepath.Join(b.dir, "bird.conf"), config)
	startDaemon(t, namespace, "/usr/sbin/bird", "-f", "-c", filepath.Join(b.dir, "bird.conf"),
		"-s", filepath.Join(b.dir, "ctl"), "-P", filepath.Join(b.dir, "pid"))
	eventually(t, "bird answers", func() (bool, any) {
		out, err := exec.Command("/usr/sbin/birdc", "-s", filepath.Join(b.dir, "ctl"), "show", "status").CombinedOutput()
		return err == nil, string(out)
	})
	return b
}

func (b *bird) ask(command ...string) string {
	b.t.Helper()
	return nstest.Run(b.t, "/usr/sbin/birdc", append([]string{"-s", filepath.Join(b.dir, "ctl")}, command...)...)
}

// routes are those of one protocol, by prefix.
func (b *bird) routes(protocol string) map[string]heard {
	b.t.Helper()
	all := map[string]heard{}
	var prefix string
	var h heard
	mine := false
	for _, line := range strings.Split(b.ask("show", "route", "all"), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "Table"):
		case strings.Contains(line, " unicast ["):
			if !strings.HasPrefix(line, " ") {
				prefix = words[0]
			}
			mine = strings.Contains(line, "["+protocol+" ")
			h = heard{}
		case mine && words[0] == "BGP.as_path:":
			h.Path = strings.Join(words[1:], " ")
			all[prefix] = h
		case mine && words[0] == "BGP.next_hop:":
			if h.NextHop = words[1]; h.NextHop == "::" && len(words) > 2 {
				h.NextHop = words[2] // there is no global one beside the link-local one
			}
			all[prefix] = h
		}
	}
	return all
}

func (b *bird) reconfigure(config string) {
	b.t.Helper()
	write(b.t, filepath.Join(b.dir, "bird.conf"), config)
	b.ask("configure")
}
