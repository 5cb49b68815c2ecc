package bfd

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kontena/network-lb/internal/nstest"
)

// TestNetnsWhatIsOnTheWire looks at the headers of what is sent: TTL 255 (RFC 5881 section 5), the source ports of its
// section 4, and DSCP CS6.
func TestNetnsWhatIsOnTheWire(t *testing.T) {
	l := newLab(t)
	ports := map[int]bool{}
	for _, c := range configs(Parameters{Passive: false}) {
		var conn *net.UDPConn
		nstest.Do(t, l.router, func() { conn = listenForHeaders(t, c) })
		o := Listen(Options{})
		nstest.Do(t, l.node, func() {
			if _, err := o.Open(c, func(Status) {}); err != nil {
				t.Error(err)
			}
		})
		payload, oob := make([]byte, 100), make([]byte, 200)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, oobn, _, from, err := conn.ReadMsgUDP(payload, oob)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(payload[:n])
		if err != nil || n != packetLength || p.State != Down {
			t.Errorf("%v: %+v, %v", c.Remote, p, err)
		}
		want := map[string]uint32{"ttl": 255, "tos": 0xc0}
		if c.Multihop {
			want["ttl"] = 254
		}
		if got := headers(t, oob[:oobn]); got["ttl"] != want["ttl"] || got["tos"] != want["tos"] {
			t.Errorf("%v: %v, want %v", c.Remote, got, want)
		}
		if from.Port < firstSourcePort || ports[from.Port] || from.AddrPort().Addr().Unmap() != c.Local {
			t.Errorf("sent from %v, want a port of its own from %d on", from, firstSourcePort)
		}
		ports[from.Port] = true
		o.Close()
		_ = conn.Close()
	}
}

func listenForHeaders(t *testing.T, c Config) *net.UDPConn {
	t.Helper()
	network, options := "udp4", append(askForTTL(false), option{unix.IPPROTO_IP, unix.IP_RECVTOS, 1})
	if c.Remote.Is6() {
		network, options = "udp6", append(askForTTL(true), option{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1})
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return control(raw, options) }}
	conn, err := lc.ListenPacket(context.Background(), network, netip.AddrPortFrom(c.Remote, c.socket().port()).String())
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UDPConn)
}

func headers(t *testing.T, oob []byte) map[string]uint32 {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint32{}
	for _, m := range messages {
		switch [2]int32{m.Header.Level, m.Header.Type} {
		case [2]int32{unix.IPPROTO_IP, unix.IP_TTL}, [2]int32{unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT}:
			got["ttl"] = binary.NativeEndian.Uint32(m.Data)
		case [2]int32{unix.IPPROTO_IP, unix.IP_TOS}:
			got["tos"] = uint32(m.Data[0])
		case [2]int32{unix.IPPROTO_IPV6, unix.IPV6_TCLASS}:
			got["tos"] = binary.NativeEndian.Uint32(m.Data)
		}
	}
	return got
}

// TestNetnsLinkLocal has two of ours find each other by link-local addresses, as unnumbered peers have them, and
// without any capability.
func TestNetnsLinkLocal(t *testing.T) {
	l := newLab(t)
	a, b := linkLocal(t, l.node, "eth1"), linkLocal(t, l.router, "eth0")
	var one, two *Session
	ma, mb := Listen(Options{}), Listen(Options{})
	defer ma.Close()
	defer mb.Close()
	nstest.Do(t, l.node, func() {
		withoutCapabilities(t, func() {
			one = mustOpen(t, ma, Config{Local: a, Remote: b.WithZone("eth1")})
		})
	})
	nstest.Do(t, l.router, func() { two = mustOpen(t, mb, Config{Local: b, Remote: a, Interface: "eth0"}) })
	for _, s := range []*Session{one, two} {
		nstest.Eventually(t, "Up", func() (bool, any) { return s.Status().State == Up, s.Status() })
	}
	nstest.Run(t, "ip", "-n", l.router, "link", "set", "eth0", "down")
	for _, s := range []*Session{one, two} {
		nstest.Eventually(t, "found", func() (bool, any) { return s.Status().Dead, s.Status() })
	}
	if st := two.Status(); st.Unsent == 0 || st.SendError == "" {
		t.Errorf("the end without a link does not say so: %+v", st)
	}
}

// TestNetnsNothingIsLeft opens and closes a thousand sessions, and looks for what they leave.
func TestNetnsNothingIsLeft(t *testing.T) {
	namespace := nstest.New(t, "bfdleak")
	m := Listen(Options{})
	defer m.Close()
	held := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files) + runtime.NumGoroutine()
	}
	before := held()
	for range 10 {
		var open []*Session
		nstest.Do(t, namespace, func() {
			for i := range byte(100) {
				c := Config{Local: netip.MustParseAddr("127.0.0.1"), Remote: netip.AddrFrom4([4]byte{127, 0, 86, i + 1}), Multihop: i%2 == 0}
				open = append(open, mustOpen(t, m, c))
			}
		})
		for _, s := range open {
			s.Close()
		}
	}
	nstest.Eventually(t, "all is given back", func() (bool, any) { now := held(); return now <= before, []int{before, now} })
}

func mustOpen(t *testing.T, m *Manager, c Config) *Session {
	t.Helper()
	s, err := m.Open(c, func(Status) {})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withoutCapabilities runs f on a thread that has none left. It is called on a thread that dies afterwards.
func withoutCapabilities(t *testing.T, f func()) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := [2]unix.CapUserData{}
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	f()
}

func linkLocal(t *testing.T, namespace, link string) netip.Addr {
	t.Helper()
	var found netip.Addr
	nstest.Eventually(t, link+" has a link-local address", func() (bool, any) {
		out := nstest.Run(t, "ip", "-n", namespace, "-6", "-o", "addr", "show", "dev", link, "scope", "link", "-tentative")
		for _, word := range strings.Fields(out) {
			if p, err := netip.ParsePrefix(word); err == nil {
				found = p.Addr()
			}
		}
		return found.IsValid(), out
	})
	return found
}
