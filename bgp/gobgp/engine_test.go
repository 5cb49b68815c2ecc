package gobgp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	gobgpbgp "github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kontena/network-lb/bgp"
)

func somePeer() bgp.Peer {
	return bgp.Peer{Address: netip.MustParseAddr("127.0.0.1"), Port: 1, PeerASN: 65001, MyASN: 64512}.WithDefaults()
}

func quiet(bgp.Event) {}

func TestRouterID(t *testing.T) {
	a, b := routerID("node-a"), routerID("node-b")
	if a == b || !a.Is4() || a != routerID("node-a") {
		t.Errorf("%s and %s", a, b)
	}
	if _, err := New(Options{}).Open(somePeer(), quiet); err == nil || !strings.Contains(err.Error(), "router ID") {
		t.Errorf("opened without a router ID: %v", err)
	}
}

// TestServersAreReused opens and closes many sessions, of different ASNs, one after another: all by one server,
// which starts empty each time.
func TestServersAreReused(t *testing.T) {
	engine := New(Options{NodeName: "node1"})
	var first *speaker
	before := 0
	for i := range 30 {
		p := somePeer()
		p.MyASN += uint32(i)
		opened, err := engine.Open(p, quiet)
		if err != nil {
			t.Fatal(err)
		}
		s := opened.(*session)
		if first == nil {
			first = s.speaker
			before = runtime.NumGoroutine()
		} else if s.speaker != first {
			t.Fatal("another server was made")
		}
		if _, err := s.Update([]bgp.Route{{Prefix: netip.MustParsePrefix("10.9.0.1/32")}}, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Dial(p); err != nil {
			t.Fatal(err)
		}
		s.Drop()
		s.Drop()
		if err := s.Dial(p); err != nil {
			t.Fatal(err)
		}
		s.Close(false)
	}
	if len(engine.sessions) != 0 || len(engine.idle) != 1 {
		t.Errorf("%d sessions and %d idle servers are left", len(engine.sessions), len(engine.idle))
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

func TestOtherFamilyNeedsANextHop(t *testing.T) {
	local, err := bgp.Local{}, error(nil)
	s := &session{peer: somePeer(), engine: New(Options{Local: func(bgp.Peer) (bgp.Local, error) { return local, err }})}
	hops, withheld := s.nextHops()
	if !hops[ipv4].ok || !hops[ipv4].addr.IsUnspecified() || hops[ipv6].ok || withheld.IPv6 == "" || withheld.IPv4 != "" {
		t.Errorf("%v, %+v", hops, withheld)
	}
	local = bgp.Local{Interface: "eth7"}
	if _, withheld = s.nextHops(); !strings.Contains(withheld.IPv6, "eth7") {
		t.Errorf("%+v", withheld)
	}
	local.IPv6 = netip.MustParseAddr("2001:db8::1")
	if hops, withheld = s.nextHops(); hops[ipv6].addr != local.IPv6 || withheld != (bgp.Withheld{}) {
		t.Errorf("%v, %+v", hops, withheld)
	}
	// What was found is kept while the kernel gives no answer.
	local, err = bgp.Local{}, errors.New("no route")
	if hops, withheld = s.nextHops(); !hops[ipv6].ok || withheld != (bgp.Withheld{}) {
		t.Errorf("%v, %+v", hops, withheld)
	}
	if err := s.Dial(s.peer); err == nil {
		t.Error("dialled without a route")
	}
	s.peer.Address = netip.MustParseAddr("2001:db8::2")
	s.engine.options.Local, s.local = nil, bgp.Local{}
	if hops, withheld = s.nextHops(); !hops[ipv6].ok || hops[ipv4].ok || withheld.IPv4 == "" {
		t.Errorf("%v, %+v", hops, withheld)
	}
}

func TestPeerOptions(t *testing.T) {
	p := somePeer()
	n := apiPeer(p, bgp.Local{Remote: p.Address}, true)
	if c := n.Timers.Config; c.HoldTime != 30 || c.KeepaliveInterval != 10 || c.ConnectRetry != 1 {
		t.Errorf("%v", c)
	}
	if n.GracefulRestart != nil || n.Transport.LocalAddress != "" || n.Transport.RemotePort != 1 || len(n.AfiSafis) != 2 {
		t.Errorf("%v", n)
	}
	if n.Conf.AuthPassword != "" {
		t.Errorf("%v", n)
	}
	p.RestartTime, p.Password = 30*time.Second, "s3cret"
	n = apiPeer(p, bgp.Local{Remote: p.Address, Source: netip.MustParseAddr("127.0.0.9")}, true)
	if g := n.GracefulRestart; !g.Enabled || g.RestartTime != 30 || g.DeferralTime != 10 || !g.LocalRestarting || g.NotificationEnabled {
		t.Errorf("%v", g)
	}
	if n.Transport.LocalAddress != "127.0.0.9" || n.Conf.AuthPassword != "s3cret" || !n.AfiSafis[1].MpGracefulRestart.Config.Enabled {
		t.Errorf("%v", n)
	}
}

func TestCause(t *testing.T) {
	down := gobgplog.Fields{"old": "BGP_FSM_ESTABLISHED", "new": "BGP_FSM_IDLE", "reason": "read-failed"}
	for _, c := range []struct {
		msg    string
		fields gobgplog.Fields
		want   string
		cease  bool
	}{
		{"", nil, "the session ended", false},
		{"state changed", down, "the connection broke or the peer closed it", false},
		{"state changed", gobgplog.Fields{"old": "BGP_FSM_OPENSENT", "new": "BGP_FSM_IDLE", "reason": "invalid-msg"}, "refused our OPEN", false},
		{"state changed", gobgplog.Fields{"old": "BGP_FSM_OPENSENT", "new": "BGP_FSM_IDLE", "reason": "read-failed"}, "before the session was up", false},
		{"state changed", gobgplog.Fields{"old": "BGP_FSM_ACTIVE", "new": "BGP_FSM_OPENSENT", "reason": "read-failed"}, "the session ended", false},
		{"received notification", gobgplog.Fields{"Code": uint8(6), "Subcode": uint8(2), "Communicated-Reason": "bye"}, `administrative shutdown): "bye"`, true},
		{"received notification", gobgplog.Fields{"Code": uint8(4), "Subcode": uint8(0)}, "hold timer expired", false},
		{"sent notification", gobgplog.Fields{"Code": uint8(6), "Subcode": uint8(3)}, "we sent a NOTIFICATION: code 6(cease)", false},
		{"sent notification", gobgplog.Fields{"Data": gobgpbgp.NewMessageError(2, 2, nil, "as number mismatch")}, "bad peer as): as number mismatch", false},
		{"sent notification", nil, "unknown code", false},
	} {
		l := &logger{log: zap.NewNop()}
		l.Warn(c.msg, c.fields)
		if reason, cease, _ := l.cause(); !strings.Contains(reason, c.want) || cease != c.cease {
			t.Errorf("%s %v: got %q, %t, want %q, %t", c.msg, c.fields, reason, cease, c.want, c.cease)
		}
		l.reset(hooks{})
		if reason, _, _ := l.cause(); reason != "the session ended" {
			t.Errorf("after reset: %q", reason)
		}
	}
}

// TestUnconnected has a port that nobody listens on dialled, and hears why nothing comes of it.
func TestUnconnected(t *testing.T) {
	engine := New(Options{NodeName: "node1"})
	p := somePeer()
	reasons := make(chan string, 100)
	s, err := engine.Open(p, func(e bgp.Event) {
		if e.State != bgp.Connect {
			t.Errorf("%+v", e)
		}
		reasons <- e.Reason
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(false)
	if err := s.Dial(p); err != nil {
		t.Fatal(err)
	}
	for reason := range reasons {
		if reason == "" {
			continue // the state alone
		}
		if reason != "127.0.0.1:1 refuses connections (TCP)" {
			t.Error(reason)
		}
		break
	}
}

func TestWhyUnconnected(t *testing.T) {
	p := somePeer()
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	call := func(name string, number syscall.Errno) error { return dial(os.NewSyscallError(name, number)) }
	const hint = "; a wrong or missing password looks like this too"
	for want, err := range map[string]error{
		"no answer from 127.0.0.1:1 (TCP)":            dial(os.ErrDeadlineExceeded),
		"127.0.0.1:1 refuses connections (TCP)":       call("connect", syscall.ECONNREFUSED),
		"connecting to 127.0.0.1:1: no route to host": call("connect", syscall.EHOSTUNREACH),
		"connecting to 127.0.0.1:1: invalid argument": call("setsockopt", syscall.EINVAL),
		"connecting to 127.0.0.1:1: odd":              errors.New("odd"),
	} {
		if got := whyUnconnected(p, err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
	p.Password = "x"
	for _, err := range []error{dial(os.ErrDeadlineExceeded), call("connect", syscall.ETIMEDOUT)} {
		if got := whyUnconnected(p, err); got != "no answer from 127.0.0.1:1 (TCP)"+hint {
			t.Errorf("%v: got %q", err, got)
		}
	}
}

func TestLogLevels(t *testing.T) {
	core, seen := observer.New(zapcore.InfoLevel)
	l := &logger{log: zap.New(core)}
	l.Info("Peer Up", nil)
	l.Debug("sent update", nil)
	l.Warn("No matching path for withdraw found, may be path was not installed into table", nil)
	l.Warn("received notification", gobgplog.Fields{"Code": uint8(6)})
	l.Warn("no room", gobgplog.Fields{"Topic": "Peer", "Key": "10.0.0.1"})
	l.Error("broken", nil)
	if got := seen.All(); len(got) != 2 || got[0].Message != "gobgp: no room" || got[0].ContextMap()["Key"] != "10.0.0.1" {
		t.Errorf("%+v", got)
	}
	if l.GetLevel() != gobgplog.InfoLevel {
		t.Error("debug fields would be built for nobody")
	}
	for state, want := range map[gobgpbgp.FSMState]gobgplog.LogLevel{
		gobgpbgp.BGP_FSM_ACTIVE: gobgplog.DebugLevel, gobgpbgp.BGP_FSM_OPENSENT: gobgplog.InfoLevel,
	} {
		l.Debug("state changed", gobgplog.Fields{"new": state.String()})
		if got := l.GetLevel(); got != want {
			t.Errorf("level %v while %s, want %v", got, state, want)
		}
	}
	core, _ = observer.New(zapcore.DebugLevel)
	if (&logger{log: zap.New(core)}).GetLevel() != gobgplog.DebugLevel {
		t.Error("debug fields would be missing")
	}
}
