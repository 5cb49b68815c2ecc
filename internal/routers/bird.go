package routers

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kontena/network-lb/internal/nstest"
)

// BIRD is a BIRD router.
type BIRD struct{ folder }

// StartBIRD runs BIRD in a namespace until the test ends. What it logs is in its file "log".
func StartBIRD(t testing.TB, namespace, config string) *BIRD {
	t.Helper()
	Require(t)
	b := &BIRD{folder{t, Dir(t, "bird")}}
	b.configure(config)
	nstest.Start(t, namespace, nstest.Promptly(birdBin, "-f", "-c", b.File("bird.conf"), "-s", b.File("ctl"), "-P", b.File("pid"))...)
	nstest.Eventually(t, "bird answers", func() (bool, any) {
		out, err := exec.Command(birdCtl, "-s", b.File("ctl"), "show", "status").CombinedOutput()
		return err == nil, string(out)
	})
	return b
}

func (b *BIRD) configure(config string) {
	b.t.Helper()
	b.write("bird.conf", fmt.Sprintf("log %q all;\n%s", b.File("log"), config))
}

// Reconfigure gives it another configuration.
func (b *BIRD) Reconfigure(config string) {
	b.t.Helper()
	b.configure(config)
	if out := b.Ask("configure"); !strings.Contains(out, "Reconfigured") && !strings.Contains(out, "Reconfiguration in progress") {
		b.t.Fatalf("configuring BIRD: %s", out)
	}
}

// Ask gives it a command.
func (b *BIRD) Ask(command ...string) string {
	b.t.Helper()
	return nstest.Run(b.t, birdCtl, append([]string{"-s", b.File("ctl")}, command...)...)
}

// Signal sends it a signal.
func (b *BIRD) Signal(s syscall.Signal) {
	b.t.Helper()
	b.signal("pid", s)
}

// Log is what it has logged so far.
func (b *BIRD) Log() string {
	b.t.Helper()
	log, err := os.ReadFile(b.File("log"))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(log)
}

// Routes are those of one protocol, by prefix.
func (b *BIRD) Routes(protocol string) map[string]Route {
	b.t.Helper()
	all := map[string]Route{}
	var prefix string
	var r Route
	mine := false
	for line := range strings.Lines(b.Ask("show", "route", "all")) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "Table"):
		case strings.Contains(line, " unicast ["):
			if !strings.HasPrefix(line, " ") {
				prefix = words[0]
			}
			mine = strings.Contains(line, "["+protocol+" ")
			r = Route{}
		case mine && words[0] == "BGP.as_path:":
			r.Path = strings.Join(words[1:], " ")
			all[prefix] = r
		case mine && words[0] == "BGP.next_hop:":
			if r.NextHop = words[1]; r.NextHop == "::" && len(words) > 2 {
				r.NextHop = words[2] // there is no global one beside the link-local one
			}
			all[prefix] = r
		}
	}
	return all
}

// Imported is how many routes a protocol has, of both families together, by BIRD's own count. It asks as birdc does, but
// without a process each time, so that it may be asked often.
func (b *BIRD) Imported(protocol string) (n int) {
	b.t.Helper()
	conn, err := net.Dial("unix", b.File("ctl"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "show protocols all %s\n", protocol); err != nil {
		b.t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "0000") {
		if words := strings.Fields(lines.Text()); len(words) > 2 && words[0] == "Routes:" {
			routes, err := strconv.Atoi(words[1])
			if err != nil {
				b.t.Fatalf("BIRD says %q", lines.Text())
			}
			n += routes
		}
	}
	if err := lines.Err(); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// BFD is its view of the session with a neighbour. Falls and Closed are known only of a "protocol bfd" with "debug
// all".
func (b *BIRD) BFD(neighbour string) BFD {
	b.t.Helper()
	var v BFD
	for line := range strings.Lines(b.Ask("show", "bfd", "sessions")) {
		if words := strings.Fields(line); len(words) >= 6 && words[0] == neighbour { // address, interface, state, since, interval, timeout
			v.Up = words[2] == "Up"
			seconds := func(s string) time.Duration { d, _ := time.ParseDuration(s + "s"); return d }
			v.Interval, v.Timeout = seconds(words[len(words)-2]), seconds(words[len(words)-1])
		}
	}
	log := b.Log()
	v.Falls = strings.Count(log, "Session to "+neighbour+" changed state from Up to ")
	v.Closed = strings.Contains(log, "CTL received from "+neighbour+" [AdminDown")
	return v
}
