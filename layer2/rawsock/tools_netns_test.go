//go:build linux

package rawsock_test

import (
	"bytes"
	"encoding"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/packet"

	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/rawsock"
)

// What people use to look agrees: arping, ndisc6, and the kernel's duplicate address detection.
func TestNetnsTools(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.claim(t, both...)
		ours := strings.ToUpper(w.mac().String())
		out, ok := w.onClient("arping -c 3 -w 3 -f -I eth0 10.0.0.240")
		if !ok || !strings.Contains(out, ours) {
			t.Errorf("arping:\n%s", out)
		}
		if out, ok := w.onClient("arping -D -c 1 -w 2 -I eth0 10.0.0.240"); ok || !strings.Contains(out, ours) {
			t.Errorf("arping -D found nobody:\n%s", out)
		}
		if out, ok := w.onClient("arping -c 1 -w 1 -I eth0 10.0.0.241"); ok {
			t.Errorf("arping got an answer from an unclaimed address:\n%s", out)
		}
		out, ok = w.onClient("ndisc6 -1 2001:db8::240 eth0")
		if !ok || !strings.Contains(out, ours) || !strings.Contains(out, "from 2001:db8::240") {
			t.Errorf("ndisc6:\n%s", out)
		}
		if out, ok := w.onClient("ndisc6 -1 -w 300 2001:db8::241 eth0"); ok {
			t.Errorf("ndisc6 got an answer from an unclaimed address:\n%s", out)
		}
		w.patient()
		w.onClient("sysctl -qw net.ipv6.conf.eth0.accept_dad=1")
		w.onClient("ip addr add 2001:db8::240/64 dev eth0")
		var addrs string
		if !poll(func() bool {
			addrs, _ = w.onClient("ip addr show dev eth0 to 2001:db8::240")
			return strings.Contains(addrs, "dadfailed")
		}) {
			t.Errorf("the client could take the address too:\n%s", addrs)
		}
	})
}

// recorder keeps the frames that reach the client's interface.
type recorder struct {
	conn   *packet.Conn
	mu     sync.Mutex
	frames [][]byte
}

func (w *wire) record() *recorder {
	var conn *packet.Conn
	nstest.Do(w.t, w.client, func() {
		ifi, err := net.InterfaceByName("eth0")
		if err == nil {
			conn, err = packet.Listen(ifi, packet.Raw, 0x0003 /* ETH_P_ALL */, nil)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	})
	w.t.Cleanup(func() { _ = conn.Close() })
	r := &recorder{conn: conn}
	go func() {
		b := make([]byte, 2048)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.frames = append(r.frames, bytes.Clone(b[:n]))
			r.mu.Unlock()
		}
	}()
	return r
}

// announced counts the gratuitous frames for addr from mac: ARP with addr as sender and target, and
// advertisements to all nodes.
func (r *recorder) announced(addr netip.Addr, mac layer2.MAC) (requests, replies, advertisements int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.frames {
		switch {
		case len(f) < 42 || !bytes.Equal(f[6:12], mac[:]):
		case f[12] == 0x08 && f[13] == 0x06 && addr.Is4() && bytes.Equal(f[28:32], addr.AsSlice()) && bytes.Equal(f[38:42], addr.AsSlice()):
			if f[21] == 1 {
				requests++
			} else {
				replies++
			}
		case f[12] == 0x86 && f[13] == 0xdd && len(f) >= 78 && f[54] == 136 && bytes.Equal(f[62:78], addr.AsSlice()) && f[0] == 0x33:
			advertisements++
		}
	}
	return requests, replies, advertisements
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = nil
}

// A frame of a VLAN that the node is not in reaches the socket all the same, without its tag.
func TestNetnsForeignVLAN(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.claim(t, vip4)
		r := w.record()
		ask := func(tag ...byte) {
			source := r.conn.LocalAddr().(*packet.Addr).HardwareAddr
			f := append(bytes.Clone(layer2.Broadcast[:]), source...)
			f = append(f, tag...)
			f = append(f, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
			f = append(append(f, source...), 10, 0, 0, 9)
			f = append(append(f, make([]byte, 6)...), vip4.AsSlice()...)
			to := &packet.Addr{HardwareAddr: layer2.Broadcast[:]}
			if _, err := r.conn.WriteTo(append(f, make([]byte, 18)...), to); err != nil {
				t.Fatal(err)
			}
		}
		answers := func() (n int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, f := range r.frames {
				if len(f) >= 42 && f[0]&1 == 0 && f[12] == 8 && f[13] == 6 && f[21] == 2 {
					n++
				}
			}
			return n
		}
		for range 5 {
			ask(0x81, 0, 0, 5)
		}
		ask(0x81, 0, 0, 0) // no VLAN, only a priority
		ask()
		if !poll(func() bool { return answers() >= 2 }) || answers() != 2 {
			t.Errorf("%d answers, want 2", answers())
		}
	})
}

// An address is announced in rounds when it is taken and when the carrier comes back; not by a Set that changes
// nothing, nor when it is withdrawn.
func TestNetnsAnnouncements(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		r := w.record()
		w.claim(t, both...)
		rounds := func(want int) func() bool {
			return func() bool {
				requests, replies, _ := r.announced(vip4, w.mac())
				_, _, advertisements := r.announced(vip6, w.mac())
				return requests == want && replies == want && advertisements == want
			}
		}
		if !poll(rounds(6)) {
			requests, replies, _ := r.announced(vip4, w.mac())
			_, _, advertisements := r.announced(vip6, w.mac())
			t.Errorf("there were no six rounds of announcements, but %d requests, %d replies and %d advertisements", requests, replies, advertisements)
		}
		r.reset()
		w.claim(t, both...)
		w.claim(t, vip6)
		w.claim(t)
		w.resolve(vip4)
		if !rounds(0)() {
			t.Error("a Set that changed nothing, or withdrew, sent something")
		}
		w.claim(t, both...)
		if !poll(rounds(1)) {
			t.Error("taken again, but not announced")
		}
		w.ip("-n " + w.middle + " link set node down")
		if !poll(func() bool { return !w.link("eth0").Carrier }) {
			t.Error("the loss of carrier was not seen")
		}
		r.reset()
		start := time.Now()
		w.ip("-n " + w.middle + " link set node up")
		if !poll(func() bool { requests, _, _ := r.announced(vip4, w.mac()); return requests > 0 }) {
			t.Error("nothing was announced when the carrier came back")
		}
		t.Logf("announced %v after the carrier came back", time.Since(start).Round(time.Millisecond))
	})
}

// An interface that is deleted and made again is answered on again, with the groups it needs; another one that
// fails in the meantime is nobody's concern, and nothing is left open.
func TestNetnsInterfaceComesAndGoes(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.claim(t, both...)
		before := openFiles(t)
		for range 3 {
			w.ip("link del eth0")
			if !poll(func() bool { return len(w.responder.Status().Claims[0].Interfaces) == 0 }) {
				t.Fatal("the loss of the interface was not seen")
			}
			w.ip("-n " + w.middle + " link add node type veth peer name eth0 netns " + w.node)
			w.ip("-n " + w.middle + " link set node up master br0")
			w.ip("addr add " + nodeAddr4 + " dev eth0")
			w.ip("addr add " + nodeAddr6 + " dev eth0 nodad")
			w.ip("link set eth0 up")
			for _, a := range both {
				if !poll(func() bool { mac, _ := w.resolve(a); return mac == w.mac() && w.confirm(a) }) {
					t.Fatalf("%v is not answered on the new interface", a)
				}
			}
		}
		if !poll(func() bool { return openFiles(t) <= before }) {
			t.Errorf("%d files are open, %d were before", openFiles(t), before)
		}
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A macvlan lets only the groups through that something has joined. The address is claimed before the interface is there.
func TestNetnsJoinsGroups(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		w.ip("addr flush dev eth0")
		if err := w.responder.Set([]layer2.Claim{{Addr: vip6, Interfaces: []string{"mv0"}}}); err != nil {
			t.Fatal(err)
		}
		group := func() bool {
			return strings.Contains(w.ip("maddr show dev mv0"), "ff02::1:ff00:240")
		}
		for range 2 {
			w.ip("link add link eth0 name mv0 type macvlan mode bridge")
			w.ip("link set mv0 up")
			if !poll(group) {
				t.Error("the solicited-node group was not joined")
			}
			mv0, err := net.InterfaceByName("mv0")
			if err != nil {
				t.Fatal(err)
			}
			// An answer is an answer only when it can be no announcement.
			if !poll(func() bool { return w.link("mv0").Gratuitous == 6 }) {
				t.Fatal("the first rounds of announcements did not end")
			}
			if mac, _ := w.resolve(vip6); mac != layer2.MAC(mv0.HardwareAddr) {
				t.Errorf("%v is at %v, want %v", vip6, mac, mv0.HardwareAddr)
			}
			w.claim(t)
			if !poll(func() bool { return !group() }) {
				t.Error("the group was not left")
			}
			w.ip("link del mv0")
			if err := w.responder.Set([]layer2.Claim{{Addr: vip6, Interfaces: []string{"mv0"}}}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// More addresses than a filter has ranges for, and more groups than a socket holds.
func TestNetnsManyAddresses(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		var addrs []netip.Addr
		for i := range 4000 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, byte(1 + i>>7), byte(i << 1)}),
				netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 13: 1, 14: byte(i >> 7), 15: byte(i << 1)}))
		}
		w.ip("addr add 10.0.0.5/16 dev eth0")
		w.onClient("ip addr add 10.0.0.9/16 dev eth0")
		for _, n := range []int{100, len(addrs)} {
			start := time.Now()
			w.claim(t, addrs[:n]...)
			t.Logf("%d addresses claimed in %v", n, time.Since(start).Round(time.Millisecond))
			for _, a := range []netip.Addr{addrs[0], addrs[1], addrs[n-2], addrs[n-1]} {
				if !poll(func() bool { mac, _ := w.resolve(a); return mac == w.mac() && w.confirm(a) }) {
					t.Errorf("of %d addresses %v does not answer", n, a)
				}
			}
			if s := w.link("eth0"); s.Problem != "" || s.Addresses != n {
				t.Errorf("status %+v", s)
			}
		}
		start := time.Now()
		w.claim(t, addrs[:2]...)
		t.Logf("all but 2 withdrawn in %v", time.Since(start).Round(time.Millisecond))
		if mac, ok := w.resolve(addrs[len(addrs)-1]); ok {
			t.Errorf("a withdrawn address answers, from %v", mac)
		}
		if mac, _ := w.resolve(addrs[1]); mac != w.mac() {
			t.Error("an address that stayed does not answer")
		}
	})
}

const answerEnv = "RAWSOCK_TEST_ANSWER"

// TestMain is also the program of TestNetnsCapability and BenchmarkNetnsAnswers: it answers for addresses until its input
// ends. They are written as the first one, their number and how far they are apart.
func TestMain(m *testing.M) {
	var first netip.Addr
	var count, step int
	if _, err := fmt.Sscan(os.Getenv(answerEnv), &text{&first}, &count, &step); err != nil {
		os.Exit(m.Run())
	}
	var claims []layer2.Claim
	for addr := first; len(claims) < count; {
		claims = append(claims, layer2.Claim{Addr: addr})
		for range step {
			addr = addr.Next()
		}
	}
	transport, err := rawsock.Open(rawsock.Options{})
	if err == nil {
		responder := layer2.NewResponder(transport, layer2.Options{})
		err = responder.Set(claims)
		fmt.Println("answering")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// text scans a word.
type text struct{ encoding.TextUnmarshaler }

func (t *text) Scan(state fmt.ScanState, _ rune) error {
	word, err := state.Token(true, nil)
	if err != nil {
		return err
	}
	return t.UnmarshalText(word)
}

// CAP_NET_RAW is all that it takes.
func TestNetnsCapability(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		for _, a := range both {
			caps := []string{"--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw", os.Args[0]}
			cmd := exec.Command("setpriv", caps...)
			cmd.Env = append(os.Environ(), answerEnv+"="+a.String()+" 1 1")
			cmd.Stderr = os.Stderr
			input, err := cmd.StdinPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			if !poll(func() bool { mac, _ := w.resolve(a); return mac == w.mac() }) {
				t.Errorf("%v does not answer", a)
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if err != nil || !strings.Contains(string(status), "CapEff:\t0000000000002000\n") {
				t.Errorf("it has other capabilities than CAP_NET_RAW: %v\n%s", err, status)
			}
			_ = input.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if mac, ok := w.resolve(a); ok {
				t.Errorf("%v answers from %v when the process has ended", a, mac)
			}
		}
	})
}

// A default route is followed, also where the kernel drops it without a word.
func TestNetnsDefaultRoute(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		far := netip.MustParseAddr("203.0.113.7")
		w.claim(t, far)
		on := func(names ...string) func() bool {
			return func() bool { return slices.Equal(w.responder.Status().Claims[0].Interfaces, names) }
		}
		if !poll(on()) {
			t.Error("answered without a default route")
		}
		w.ip("link add eth1 type veth peer name other1")
		w.ip("addr add 192.168.7.5/24 dev eth1")
		w.ip("link set eth1 up")
		w.ip("link set other1 up")
		w.ip("route add default via 192.168.7.1 dev eth1 metric 100")
		if !poll(on("eth1")) {
			t.Error("not answered on the default route's interface")
		}
		w.ip("route add default via 10.0.0.1 dev eth0 metric 50")
		if !poll(on("eth0")) {
			t.Error("not answered on the better default route's interface")
		}
		w.ip("link set eth0 down")
		if !poll(on("eth1")) {
			t.Error("not answered on the interface of the default route that is left")
		}
	})
}

// An interface that becomes the port of a bridge hands its addresses over to it.
func TestNetnsEnslaved(t *testing.T) {
	onWire(t, func(t *testing.T, w *wire) {
		claims := []layer2.Claim{{Addr: vip4, Interfaces: []string{"eth0", "lan0"}}}
		if err := w.responder.Set(claims); err != nil {
			t.Fatal(err)
		}
		w.ip("link add lan0 type bridge")
		w.ip("link set lan0 address 02:00:00:00:99:99 up")
		w.ip("link set eth0 master lan0")
		w.ip("addr flush dev eth0")
		w.ip("addr add " + nodeAddr4 + " dev lan0")
		want := layer2.MAC{2, 0, 0, 0, 0x99, 0x99}
		if !poll(func() bool { mac, _ := w.resolve(vip4); return mac == want }) {
			t.Error("not answered from the bridge")
		}
		answered := func() []string { return w.responder.Status().Claims[0].Interfaces }
		if !poll(func() bool { return slices.Equal(answered(), []string{"lan0"}) }) { // it hears of the one and of the other
			t.Errorf("answered on %v", answered())
		}
	})
}
