package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
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
	routers.Require(t)
	node, router := nstest.New(t, "node"), nstest.New(t, "router")
	nstest.Wire(t, router, "eth0", []string{"10.0.0.1/24"}, node, "eth0", []string{"10.0.0.2/24"})
	bird := routers.StartBIRD(t, router, routerConfig)
	program := exec.Command("ip", "netns", "exec", node, os.Args[0])
	program.Env, program.Stderr = append(os.Environ(), asProgram+"=10.0.0.1 64501 64500 10.20.0.5"), os.Stderr
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Process.Kill(); _ = program.Wait() })
	has := func(want bool) {
		t.Helper()
		nstest.Eventually(t, fmt.Sprintf("it is %v that the router has the route", want), func() (bool, any) {
			routes := bird.Routes("node")
			_, is := routes["10.20.0.5/32"]
			return is == want, routes
		})
	}
	has(true)
	_ = program.Process.Signal(os.Interrupt)
	if err := program.Wait(); err != nil {
		t.Errorf("the program ended: %v", err)
	}
	has(false)
}
