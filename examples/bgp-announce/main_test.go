package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

// The program begins and ends a session with a router that is simulated.
func Example() {
	var network bgp.Memory
	router := netip.MustParseAddr("10.0.0.1")
	ctx, interrupt := context.WithCancel(context.Background())
	r, w := io.Pipe()
	go func() {
		_ = run(ctx, &network, []string{"10.0.0.1", "64501", "64500", "10.20.0.5"}, w)
		_ = w.Close()
	}()
	var name, state, sent string
	for state != "Established" || sent != "1" {
		var line string
		line, _ = readLine(r)
		_, _ = fmt.Sscan(line, &name, &state, &sent)
	}
	fmt.Println(name, state, network.Routes(router))
	go func() { _, _ = io.Copy(io.Discard, r) }()
	interrupt()
	// Output:
	// 10.0.0.1 Established [10.20.0.5/32]
}

func readLine(r io.Reader) (string, error) {
	var line []byte
	for one := []byte{0}; ; line = append(line, one[0]) {
		if _, err := r.Read(one); err != nil || one[0] == '\n' {
			return string(line), err
		}
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{}, {"router", "1", "2", "10.0.0.1"}, {"10.0.0.1", "x", "2", "10.0.0.1"},
		{"10.0.0.1", "1", "4294967296", "10.0.0.1"}, {"10.0.0.1", "1", "2", "10.0.0.0/24"}, {"10.0.0.1", "0", "2", "10.0.0.3"}} {
		if err := run(context.Background(), &bgp.Memory{}, args, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

const asProgram = "NETWORK_LB_TEST_ANNOUNCE"

// TestMain is the program itself where TestNetnsAnnounce runs it.
func TestMain(m *testing.M) {
	if args := os.Getenv(asProgram); args != "" {
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		main()
		return
	}
	os.Exit(m.Run())
}

const routerConfig = `
router id 10.0.0.1;
protocol device {}
protocol bgp node { local as 64501; neighbor 10.0.0.2 as 64500; passive; ipv4 { import all; export none; }; }
`

// TestNetnsAnnounce runs the program beside a BIRD.
func TestNetnsAnnounce(t *testing.T) {
	nstest.Require(t)
	if _, err := os.Stat("/usr/sbin/bird"); err != nil {
		t.Skip("needs /usr/sbin/bird (package bird2)")
	}
	node, router := nstest.New(t, "node"), nstest.New(t, "router")
	nstest.Run(t, "ip", "-n", node, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", router)
	for ns, address := range map[string]string{router: "10.0.0.1/24", node: "10.0.0.2/24"} {
		nstest.Run(t, "ip", "-n", ns, "addr", "add", address, "dev", "eth0")
		nstest.Run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bird.conf"), []byte(routerConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	start := func(namespace string, env []string, program string, args ...string) *exec.Cmd {
		c := exec.Command("ip", append([]string{"netns", "exec", namespace, program}, args...)...)
		c.Env, c.Stderr = append(os.Environ(), env...), os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return c
	}
	control := filepath.Join(dir, "ctl")
	start(router, nil, "/usr/sbin/bird", "-f", "-c", filepath.Join(dir, "bird.conf"), "-s", control, "-P", filepath.Join(dir, "pid"))
	program := start(node, []string{asProgram + "=10.0.0.1 64501 64500 10.20.0.5"}, os.Args[0])
	has := func(want bool) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for begun := time.Now(); ; <-tick.C {
			out, _ := exec.Command("/usr/sbin/birdc", "-s", control, "show", "route").CombinedOutput()
			if strings.Contains(string(out), "10.20.0.5/32") == want {
				return
			}
			if time.Since(begun) > 30*time.Second {
				t.Fatalf("the router has\n%s", out)
			}
		}
	}
	has(true)
	_ = program.Process.Signal(os.Interrupt)
	if err := program.Wait(); err != nil {
		t.Errorf("the program ended: %v", err)
	}
	has(false)
}
