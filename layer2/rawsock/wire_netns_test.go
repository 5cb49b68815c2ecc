//go:build linux

package rawsock_test

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/rawsock"
)

// wire is a real network: the test runs in the node's namespace, the client and the switch between them have
// their own. The node's interface is eth0.
type wire struct {
	t                    *testing.T
	node, client, middle string // namespaces
	responder            *layer2.Responder
	conflicts            chan layer2.Conflict
}

const (
	insideEnv = "RAWSOCK_TEST_NAMESPACES"
	nodeAddr4 = "10.0.0.5/24"
	nodeAddr6 = "2001:db8::5/64"
)

// onWire runs body in the node's namespace, in a process of its own: the goroutines that open sockets are all
// in it there. The process is this test again.
func onWire(t *testing.T, body func(t *testing.T, w *wire)) {
	t.Helper()
	if inside := os.Getenv(insideEnv); inside != "" {
		names := strings.Fields(inside)
		w := &wire{t: t, node: names[0], client: names[1], middle: names[2]}
		w.open()
		body(t, w)
		return
	}
	t.Parallel()
	name := strings.TrimPrefix(t.Name(), "TestNetns")
	client, middle, node := nstest.New(t, name+"-client"), nstest.New(t, name+"-middle"), nstest.New(t, name+"-node")
	build(t, node, client, middle)
	self := []string{os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=120s"}
	cmd := exec.Command("ip", append([]string{"netns", "exec", node}, self...)...)
	cmd.Env = append(os.Environ(), insideEnv+"="+node+" "+client+" "+middle)
	out, err := cmd.CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Fatalf("inside namespace %s: %v", node, err)
	}
}

// build makes the network: node and client on a bridge in the middle.
func build(t testing.TB, node, client, middle string) {
	t.Helper()
	run := func(line string) { nstest.Run(t, "ip", strings.Fields(line)...) }
	for _, ns := range []string{node, client} {
		// An IPv6 address that was given stays when the interface goes down.
		run("netns exec " + ns + " sysctl -qw net.ipv6.conf.default.keep_addr_on_down=1")
	}
	run("netns exec " + client + " sysctl -qw net.ipv6.conf.default.accept_dad=0")
	run("-n " + middle + " link add br0 up type bridge")
	run("-n " + middle + " link add node type veth peer name eth0 netns " + node)
	run("-n " + middle + " link add client type veth peer name eth0 netns " + client)
	for _, port := range []string{"node", "client"} {
		run("-n " + middle + " link set " + port + " up master br0")
	}
	run("-n " + node + " addr add " + nodeAddr4 + " dev eth0")
	run("-n " + node + " addr add " + nodeAddr6 + " dev eth0 nodad")
	run("-n " + node + " link set eth0 up")
	run("-n " + client + " addr add 10.0.0.9/24 dev eth0")
	run("-n " + client + " addr add 2001:db8::9/64 dev eth0 nodad")
	run("-n " + client + " link set eth0 up")
	nstest.Settled(t, node, "eth0")
	nstest.Settled(t, client, "eth0")
	for _, family := range []string{"ipv4", "ipv6"} { // give up on a neighbour after 0.3 s
		run("netns exec " + client + " sysctl -qw net." + family + ".neigh.eth0.retrans_time_ms=100")
	}
}

// open starts the node's responder.
func (w *wire) open() {
	transport, err := rawsock.Open(rawsock.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.conflicts = make(chan layer2.Conflict, 100)
	w.responder = layer2.NewResponder(transport, layer2.Options{OnConflict: func(c layer2.Conflict) { w.conflicts <- c }})
	w.t.Cleanup(func() {
		if err := w.responder.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

// link is the status of one of the node's interfaces.
func (w *wire) link(name string) layer2.LinkStatus {
	for _, l := range w.responder.Status().Links {
		if l.Name == name {
			return l
		}
	}
	return layer2.LinkStatus{}
}

// ip runs ip in the node's namespace.
func (w *wire) ip(line string) string { return nstest.Run(w.t, "ip", strings.Fields(line)...) }

// onClient runs a command on the client, and returns its output and whether it succeeded.
func (w *wire) onClient(line string) (string, bool) {
	args := append([]string{"netns", "exec", w.client}, strings.Fields(line)...)
	out, err := exec.Command("ip", args...).CombinedOutput()
	return string(out), err == nil
}

func (w *wire) claim(t *testing.T, addrs ...netip.Addr) { claim(t, w.responder, addrs) }

func (w *wire) mac() layer2.MAC {
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		w.t.Fatal(err)
	}
	return layer2.MAC(ifi.HardwareAddr)
}

func (w *wire) setMAC(mac layer2.MAC) { w.ip("link set eth0 address " + mac.String()) }

func (w *wire) flap() {
	w.ip("link set eth0 down")
	w.ip("link set eth0 up")
}

// clientMAC is the Ethernet address of the client's interface.
func (w *wire) clientMAC() (mac layer2.MAC) {
	nstest.Do(w.t, w.client, func() {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			w.t.Fatal(err)
		}
		mac = layer2.MAC(ifi.HardwareAddr)
	})
	return mac
}

// settled waits until the first rounds of announcements of the claimed addresses are over.
func (w *wire) settled(frames uint64) {
	w.t.Helper()
	if !poll(func() bool { return w.link("eth0").Gratuitous == frames }) {
		w.t.Fatalf("%d announcements were sent, want %d", w.link("eth0").Gratuitous, frames)
	}
}

// onNode runs a command on the node.
func (w *wire) onNode(line string) {
	words := strings.Fields(line)
	nstest.Run(w.t, words[0], words[1:]...)
}

// patient has the client wait for an answer as long as a kernel does by default, where giving up early fails the test: on
// a busy machine the answering process may not run for a tenth of a second.
func (w *wire) patient() {
	for _, family := range []string{"ipv4", "ipv6"} {
		w.must("sysctl -qw net." + family + ".neigh.eth0.retrans_time_ms=1000")
	}
}

// must runs a command on the client that is to succeed.
func (w *wire) must(line string) string {
	w.t.Helper()
	out, ok := w.onClient(line)
	if !ok {
		w.t.Fatalf("%s: %s", line, out)
	}
	return out
}

// neighbor is the kernel's entry for addr on the client.
func (w *wire) neighbor(addr netip.Addr) (layer2.MAC, bool) {
	mac, state := w.entry(addr)
	return mac, mac != layer2.MAC{} && !slices.Contains(state, "FAILED")
}

func (w *wire) entry(addr netip.Addr) (layer2.MAC, []string) {
	var entries []struct {
		LLAddr string
		State  []string
	}
	out := nstest.Run(w.t, "ip", "-n", w.client, "-j", "neigh", "show", "to", addr.String(), "dev", "eth0", "nud", "all")
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		w.t.Fatalf("%v in %q", err, out)
	}
	if len(entries) == 0 {
		return layer2.MAC{}, nil
	}
	mac, err := net.ParseMAC(entries[0].LLAddr)
	if err != nil {
		return layer2.MAC{}, entries[0].State
	}
	return layer2.MAC(mac), entries[0].State
}

// resolve has the client's kernel send something to addr, for which it asks who has it.
func (w *wire) resolve(addr netip.Addr) (layer2.MAC, bool) {
	w.onClient("ip neigh flush to " + addr.String() + " dev eth0 nud all")
	w.send(addr)
	poll(func() bool {
		_, state := w.entry(addr)
		return len(state) > 0 && !slices.Contains(state, "INCOMPLETE")
	})
	return w.neighbor(addr)
}

// send has the client's kernel send something to addr.
func (w *wire) send(addr netip.Addr) {
	nstest.Do(w.t, w.client, func() {
		conn, err := net.Dial("udp", netip.AddrPortFrom(addr, 9).String())
		if err != nil {
			return // no route while the client's interface settles
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("?"))
	})
}

// confirm has the client's kernel probe the neighbour that it has, by unicast.
func (w *wire) confirm(addr netip.Addr) bool {
	mac, _ := w.entry(addr)
	if out, ok := w.onClient("ip neigh replace " + addr.String() + " lladdr " + mac.String() + " dev eth0 nud probe"); !ok {
		w.t.Fatal(out)
	}
	var state []string
	poll(func() bool {
		_, state = w.entry(addr)
		return slices.Contains(state, "REACHABLE") || slices.Contains(state, "FAILED")
	})
	return slices.Contains(state, "REACHABLE")
}

func (w *wire) learn(addr netip.Addr, mac layer2.MAC) {
	if out, ok := w.onClient("ip neigh replace " + addr.String() + " lladdr " + mac.String() + " dev eth0 nud reachable"); !ok {
		w.t.Fatal(out)
	}
}

func (w *wire) eventually(done func() bool) bool { return poll(done) }

func TestNetnsNetwork(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) { testNetwork(t, w) })
}
