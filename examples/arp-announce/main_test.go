package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

// machine is one with an interface on a network that is simulated.
func machine(lan *layer2test.LAN) *layer2test.Node {
	node := layer2test.NewNode()
	node.Plug(layer2.Link{
		Index: 2, Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 5}, Up: true, Carrier: true, Broadcast: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24")},
	}, lan)
	return node
}

// The program answers for an address on a network that is simulated, until it is interrupted.
func Example() {
	var lan layer2test.LAN
	client := lan.Client(layer2.MAC{2, 0, 0, 0, 0, 9}, netip.MustParseAddr("10.0.0.9"))
	ctx, interrupt := context.WithCancel(context.Background())
	r, w := io.Pipe()
	go func() {
		_ = run(ctx, machine(&lan), []string{"eth0", "10.0.0.240"}, w)
		_ = w.Close()
	}()
	lines := bufio.NewScanner(r)
	lines.Scan()
	fmt.Println(lines.Text())
	fmt.Println(client.Resolve(netip.MustParseAddr("10.0.0.240")))
	interrupt()
	lines.Scan()
	fmt.Println(client.Resolve(netip.MustParseAddr("10.0.0.240")))
	// Output:
	// answering for 10.0.0.240 on [eth0]
	// 02:00:00:00:00:05 true
	// 00:00:00:00:00:00 false
}

func TestRefusals(t *testing.T) {
	var lan layer2test.LAN
	lan.Client(layer2.MAC{2, 0, 0, 0, 0, 9}, netip.MustParseAddr("10.0.0.9")).Hold(netip.MustParseAddr("10.0.0.77"))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		args []string
		want string
	}{
		{t.Context(), nil, "write arp-announce"},
		{t.Context(), []string{"eth0", "10.0.0.0/24"}, "10.0.0.0/24"},
		{t.Context(), []string{"eth7", "10.0.0.240"}, "none is named eth7"},
		{t.Context(), []string{"eth0", "224.0.0.1"}, "no address of a single station"},
		{t.Context(), []string{"eth0", "10.0.0.77"}, "10.0.0.77 is taken by 02:00:00:00:00:09"},
		{cancelled, []string{"eth0", "10.0.0.240"}, "canceled"},
	} {
		if err := run(tt.ctx, machine(&lan), tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.want)
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

// TestNetnsAnnounce runs the program on a machine, and arping and ndisc6 on its neighbour.
func TestNetnsAnnounce(t *testing.T) {
	nstest.Require(t)
	node, neighbour := nstest.New(t, "node"), nstest.New(t, "neighbour")
	nstest.Wire(t, node, "eth0", []string{"10.0.0.1/24", "2001:db8::1/64"},
		neighbour, "eth0", []string{"10.0.0.2/24", "2001:db8::2/64"})
	for address, look := range map[string]string{
		"10.0.0.240": "arping -f -I eth0 10.0.0.240 -w ", "2001:db8::240": "ndisc6 -1 -w 1000 2001:db8::240 eth0 -r ",
	} {
		finds := func(seconds string) bool {
			args := append([]string{"netns", "exec", neighbour}, strings.Fields(look+seconds)...)
			return exec.Command("ip", args...).Run() == nil
		}
		if finds("1") {
			t.Fatalf("%s has an answer too early", address)
		}
		program := exec.Command("ip", "netns", "exec", node, os.Args[0])
		program.Env, program.Stderr = append(os.Environ(), asProgram+"=eth0 "+address), os.Stderr
		out, err := program.StdoutPipe()
		if err == nil {
			err = program.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = program.Process.Kill() })
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "answering for "+address+" on [eth0]\n" {
			t.Fatalf("it says %q, %v", line, err)
		}
		if !finds("10") {
			t.Errorf("%s has no answer", address)
		}
		_ = program.Process.Signal(os.Interrupt)
		if err := program.Wait(); err != nil {
			t.Errorf("the program ended: %v", err)
		}
		if finds("1") {
			t.Errorf("%s has an answer when the program has ended", address)
		}
	}
}
