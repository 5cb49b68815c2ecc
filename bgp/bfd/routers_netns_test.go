package bfd

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kontena/network-lb/internal/nstest"
)

// lab is a node that is connected to a router, and reaches other addresses of it over one hop between.
type lab struct {
	node, router string
	ttl          uint8 // with which the router's packets come in over two hops
}

func newLab(t *testing.T) lab {
	t.Helper()
	l := lab{node: nstest.New(t, "bfdnode"), router: nstest.New(t, "bfdrouter")}
	mid := nstest.New(t, "bfdmid")
	wire := func(a, aIf, link, aHost, b, bIf, bHost string) { // the addresses are 10.0.LINK.HOST and 2001:db8:LINK::HOST
		addrs := func(host string) []string {
			return []string{"10.0." + link + "." + host + "/24", "2001:db8:" + link + "::" + host + "/64"}
		}
		nstest.Wire(t, a, aIf, addrs(aHost), b, bIf, addrs(bHost))
	}
	wire(l.node, "eth1", "1", "1", l.router, "eth0", "2")
	wire(l.node, "eth2", "2", "1", mid, "eth0", "9")
	wire(mid, "eth1", "3", "9", l.router, "eth1", "2")
	nstest.Forward(t, mid)
	nstest.Run(t, "ip", "-n", l.node, "route", "add", "10.0.3.0/24", "via", "10.0.2.9")
	nstest.Run(t, "ip", "-n", l.node, "route", "add", "2001:db8:3::/64", "via", "2001:db8:2::9")
	nstest.Run(t, "ip", "-n", l.router, "route", "add", "10.0.2.0/24", "via", "10.0.3.9")
	nstest.Run(t, "ip", "-n", l.router, "route", "add", "2001:db8:2::/64", "via", "2001:db8:3::9")
	return l
}

// configs are the node's sessions: IPv4 and IPv6, a single hop and two.
func configs(p Parameters) []Config {
	a := netip.MustParseAddr
	return []Config{
		{Local: a("10.0.1.1"), Remote: a("10.0.1.2"), Interface: "eth1", Parameters: p},
		{Local: a("2001:db8:1::1"), Remote: a("2001:db8:1::2"), Interface: "eth1", Parameters: p},
		{Local: a("10.0.2.1"), Remote: a("10.0.3.2"), Multihop: true, Parameters: p},
		{Local: a("2001:db8:2::1"), Remote: a("2001:db8:3::2"), Multihop: true, Parameters: p},
	}
}

// ours is the node's side: a Manager and its sessions.
type ours struct {
	*Manager
	sessions []*Session
	mu       sync.Mutex
	told     map[netip.Addr][]Status // by the node's address
}

func (l lab) start(t *testing.T, p Parameters, resume ...Saved) *ours {
	t.Helper()
	p.MinimumTTL = l.ttl
	o := &ours{Manager: Listen(Options{Resume: resume}), told: map[netip.Addr][]Status{}}
	t.Cleanup(o.Close)
	nstest.Do(t, l.node, func() {
		for _, c := range configs(p) {
			s, err := o.Open(c, func(s Status) {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.told[c.Local] = append(o.told[c.Local], s)
			})
			if err != nil {
				t.Error(err)
				return
			}
			o.sessions = append(o.sessions, s)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return o
}

// all waits until something is so of all sessions.
func (o *ours) all(t *testing.T, what string, is func(s *Session) (bool, any)) time.Duration {
	t.Helper()
	start := time.Now()
	for _, s := range o.sessions {
		nstest.Eventually(t, s.config.Local.String()+": "+what, func() (bool, any) { return is(s) })
	}
	return time.Since(start)
}

// up waits until both ends of all sessions are Up, with these timers.
func (o *ours) up(t *testing.T, r router, interval, timeout time.Duration) {
	t.Helper()
	took := o.all(t, "Up at both ends", func(s *Session) (bool, any) {
		st, v := s.Status(), r.BFD(s.config.Local.String())
		ok := st.State == Up && st.Negotiated && st.Transmit == interval && st.Receive == interval && st.Detection == timeout &&
			v.Up && v.Interval == interval && v.Timeout == timeout
		return ok, []any{st, v}
	})
	t.Logf("Up, every %v, at both ends after %v", interval, took)
}

// steady fails if any end has fallen.
func (o *ours) steady(t *testing.T, r router, falls int) {
	t.Helper()
	for _, s := range o.sessions {
		if v := r.BFD(s.config.Local.String()); v.Falls != falls || s.Status().Downs != 0 || s.Status().Late != 0 {
			t.Errorf("%v fell: router %+v, node %+v", s.config.Local, v, s.Status())
		}
	}
}

// eachRouter runs a test against FRR and BIRD.
func eachRouter(t *testing.T, passive bool, test func(t *testing.T, l lab, r router)) {
	t.Helper()
	for name, begin := range map[string]func(*testing.T, string, bool) router{"FRR": startFRR, "BIRD": startBIRD} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.ttl = 254
			if name == "BIRD" {
				l.ttl = 63 // it sends with the kernel's default TTL over several hops
			}
			test(t, l, begin(t, l.router, passive))
		})
	}
}

const normal, detection = 300 * time.Millisecond, 900 * time.Millisecond

func TestNetnsBothRoles(t *testing.T) {
	for name, passive := range map[string]struct{ node, router bool }{"both active": {}, "node passive": {node: true}, "router passive": {router: true}} {
		t.Run(name, func(t *testing.T) {
			eachRouter(t, passive.router, func(t *testing.T, l lab, r router) {
				o := l.start(t, Parameters{Passive: passive.node})
				o.up(t, r, normal, detection)
				o.steady(t, r, 0)
				for _, s := range o.sessions {
					if st := s.Status(); st.Ups != 1 || st.RemoteDiscriminator == 0 || st.Sent == 0 || st.Received == 0 || st.Refused+st.Unsent != 0 {
						t.Errorf("%+v", st)
					}
				}
			})
		})
	}
}

func TestNetnsParametersChangeWhileUp(t *testing.T) {
	eachRouter(t, false, func(t *testing.T, l lab, r router) {
		o := l.start(t, Parameters{})
		o.up(t, r, normal, detection)
		for _, ms := range []time.Duration{1000, 400} { // the router wants 300 ms
			p := Parameters{Receive: ms * time.Millisecond, Transmit: ms * time.Millisecond, MinimumTTL: l.ttl}
			for _, s := range o.sessions {
				if err := s.Set(p); err != nil {
					t.Fatal(err)
				}
			}
			o.up(t, r, p.Receive, 3*p.Receive)
		}
		for _, ms := range []time.Duration{700, 100} { // the node wants 400 ms
			r.set(t, Parameters{Receive: ms * time.Millisecond, Transmit: ms * time.Millisecond})
			interval := max(ms, 400) * time.Millisecond
			o.up(t, r, interval, 3*interval)
		}
		for _, s := range o.sessions {
			if err := s.Set(Parameters{Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond, Multiplier: 5, MinimumTTL: l.ttl}); err != nil {
				t.Fatal(err)
			}
		}
		o.all(t, "the router has the multiplier", func(s *Session) (bool, any) {
			v, st := r.BFD(s.config.Local.String()), s.Status()
			return v.Timeout == 500*time.Millisecond && v.Interval == 100*time.Millisecond && st.Detection == 300*time.Millisecond, []any{v, st}
		})
		o.steady(t, r, 0)
	})
}

func TestNetnsSilentRouterIsFound(t *testing.T) {
	eachRouter(t, false, func(t *testing.T, l lab, r router) {
		o := l.start(t, Parameters{})
		o.up(t, r, normal, detection)
		stopped := time.Now()
		r.signal(syscall.SIGSTOP)
		o.all(t, "found", func(s *Session) (bool, any) { return s.Status().State == Down, s.Status() })
		for _, s := range o.sessions {
			st := s.Status()
			t.Logf("%v: dead %v after the router stopped", s.config.Local, st.Since.Sub(stopped))
			if !st.Dead || st.Diagnostic != DetectionTimeExpired || st.Downs != 1 {
				t.Errorf("%+v", st)
			}
		}
		r.signal(syscall.SIGCONT)
		o.all(t, "back", func(s *Session) (bool, any) { return s.Status().State == Up && !s.Status().Dead, s.Status() })
	})
}

func TestNetnsRouterFindsUsGone(t *testing.T) {
	eachRouter(t, false, func(t *testing.T, l lab, r router) {
		o := l.start(t, Parameters{})
		o.up(t, r, normal, detection)
		for _, s := range o.sessions {
			s.mu.Lock()
			s.end() // as if killed
			s.mu.Unlock()
		}
		took := o.all(t, "the router finds us gone", func(s *Session) (bool, any) {
			v := r.BFD(s.config.Local.String())
			return !v.Up && v.Falls == 1, v
		})
		t.Logf("found after %v", took)
	})
}

func TestNetnsCloseIsNoDeath(t *testing.T) {
	eachRouter(t, false, func(t *testing.T, l lab, r router) {
		o := l.start(t, Parameters{})
		o.up(t, r, normal, detection)
		for _, s := range o.sessions {
			s.Close()
		}
		o.all(t, "the router hears that we are administratively down", func(s *Session) (bool, any) {
			v := r.BFD(s.config.Local.String())
			return v.Closed && !v.Up, v
		})
		nstest.Eventually(t, "nothing is left", func() (bool, any) {
			o.Manager.mu.RLock()
			defer o.Manager.mu.RUnlock()
			return len(o.Manager.sessions)+len(o.listeners)+len(o.leaving) == 0, o.Manager.sessions
		})
		again := l.start(t, Parameters{})
		again.up(t, r, normal, detection)
	})
}

// TestNetnsRestartIsNotSeen suspends the sessions, and resumes them in what might be another process, with nothing
// sent for longer than the router's usual patience.
func TestNetnsRestartIsNotSeen(t *testing.T) {
	eachRouter(t, false, func(t *testing.T, l lab, r router) {
		o := l.start(t, Parameters{})
		o.up(t, r, normal, detection)
		var saved []Saved
		for _, s := range o.sessions {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			begun := time.Now()
			one, err := s.Suspend(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v: suspended after %v", s.config.Local, time.Since(begun))
			saved = append(saved, one)
		}
		o.Close()
		for began := time.Now(); time.Since(began) < 4*detection; time.Sleep(detection / 3) {
			for _, s := range o.sessions {
				if v := r.BFD(s.config.Local.String()); !v.Up || v.Timeout != 30*time.Second {
					t.Fatalf("while away: %+v", v)
				}
			}
		}
		text, _ := json.Marshal(saved)
		var resume []Saved
		if err := json.Unmarshal(text, &resume); err != nil {
			t.Fatal(err)
		}
		again := l.start(t, Parameters{}, resume...)
		again.up(t, r, normal, detection)
		again.steady(t, r, 0)
		for i, s := range again.sessions {
			again.mu.Lock()
			told := again.told[s.config.Local]
			again.mu.Unlock()
			if len(told) != 1 || told[0].State != Up || s.sender.port() != saved[i].SourcePort {
				t.Errorf("%v was told %+v, sends from %d, not %d", s.config.Local, told, s.sender.port(), saved[i].SourcePort)
			}
		}
		r.signal(syscall.SIGSTOP)
		again.all(t, "a death is found after the restart", func(s *Session) (bool, any) { return s.Status().Dead, s.Status() })
		r.signal(syscall.SIGCONT)
	})
}

func TestNetnsRestartOfTheRoutersDaemon(t *testing.T) {
	eachRouter(t, false, func(t *testing.T, l lab, r router) {
		o := l.start(t, Parameters{})
		o.up(t, r, normal, detection)
		r.signal(syscall.SIGTERM)
		o.all(t, "down", func(s *Session) (bool, any) { return s.Status().State != Up, s.Status() })
		for _, s := range o.sessions {
			o.mu.Lock()
			told := slices.Clone(o.told[s.config.Local])
			o.mu.Unlock()
			down := told[slices.IndexFunc(told, func(s Status) bool { return s.State == Down && s.Downs == 1 })]
			purpose := down.RemoteState == AdminDown
			if down.Dead == purpose {
				t.Errorf("%v: AdminDown %v, dead %v: %+v", s.config.Local, purpose, down.Dead, down)
			}
			t.Logf("%v: the router said %v (%v) when it ended", s.config.Local, down.RemoteState, down.RemoteDiagnostic)
		}
	})
}

func TestNetnsPortInUse(t *testing.T) {
	l := newLab(t)
	startFRR(t, l.router, false)
	m := Listen(Options{})
	defer m.Close()
	nstest.Do(t, l.router, func() {
		for _, c := range configs(Parameters{}) {
			c.Local, c.Remote = c.Remote, c.Local
			port := "3784"
			if c.Interface = ""; c.Multihop {
				port = "4784"
			}
			_, err := m.Open(c, nil)
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "UDP port "+port) || !strings.Contains(err.Error(), "bfdd") {
				t.Errorf("Open beside FRR's bfdd: %v", err)
			}
		}
	})
}
