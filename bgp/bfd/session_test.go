package bfd

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestSessionComesUpAndNegotiates(t *testing.T) {
	pair(t, func(a, b *Config) {
		a.Parameters = Parameters{Receive: 100 * time.Millisecond, Transmit: 200 * time.Millisecond, Multiplier: 5}
		b.Parameters = Parameters{Receive: 400 * time.Millisecond, Transmit: 50 * time.Millisecond, Multiplier: 3}
	}, func(t *testing.T, n *network, a, b *end) {
		begun := time.Now()
		time.Sleep(5 * time.Second)
		sa, sb := a.Status(), b.Status()
		if sa.State != Up || sa.Transmit != 400*time.Millisecond || sa.Receive != 100*time.Millisecond || sa.Detection != 300*time.Millisecond || !sa.Negotiated {
			t.Errorf("A: %+v", sa)
		}
		if sb.State != Up || sb.Transmit != 100*time.Millisecond || sb.Receive != 400*time.Millisecond || sb.Detection != 2*time.Second {
			t.Errorf("B: %+v", sb)
		}
		if sa.RemoteDiscriminator != sb.LocalDiscriminator || sa.RemoteState != Up || sa.Ups != 1 || sa.Downs != 0 || sa.SendError != "" {
			t.Errorf("A: %+v", sa)
		}
		if got := a.changes(); got[len(got)-1] != Up || a.dead() != 0 {
			t.Errorf("told %v", got)
		}
		if late := sa.Since.Sub(begun); late > 2*time.Second {
			t.Errorf("Up after %v", late)
		}
	})
}

// TestIntervalsOnTheWire looks at the gaps: a second less jitter until Up, then the negotiated interval.
func TestIntervalsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		m := newManager(Options{}, n.host(hostA))
		defer m.Close()
		a := open(t, m, hostA, hostB)
		time.Sleep(time.Minute)
		a.is(t, Down)
		gaps(t, n.packets(hostA, time.Time{}), 750*time.Millisecond, time.Second, 50)
	})
	upPair(t, nil, func(t *testing.T, n *network, _, _ *end) {
		since := time.Now()
		time.Sleep(time.Minute)
		all := n.packets(hostA, since)
		gaps(t, all, 225*time.Millisecond, 300*time.Millisecond, 100)
		if all[0].RequiredMinEchoRx != 0 || all[0].ControlPlaneIndependent || all[0].Poll || all[0].Final {
			t.Errorf("%+v", all[0])
		}
	})
}

func gaps(t *testing.T, all []sight, least, most time.Duration, packets int) {
	t.Helper()
	if len(all) < packets {
		t.Fatalf("%d packets only", len(all))
	}
	var sum time.Duration
	for i, p := range all[1:] {
		gap := p.at.Sub(all[i].at)
		sum += gap
		if gap < least || gap > most {
			t.Fatalf("packet %d came after %v, want %v to %v", i+1, gap, least, most)
		}
	}
	if mean := sum / time.Duration(len(all)-1); mean < least+(most-least)/4 || mean > most-(most-least)/4 {
		t.Errorf("%v between packets in the mean: no jitter between %v and %v", mean, least, most)
	}
}

func TestSilenceIsFoundInTheDetectionTime(t *testing.T) {
	upPair(t, nil, func(t *testing.T, n *network, a, b *end) {
		n.cut(hostB)
		heard := n.packets(hostB, time.Time{})
		last := heard[len(heard)-1].at.Add(n.delay)
		time.Sleep(3 * time.Second)
		s := a.Status()
		if s.State != Down || s.Diagnostic != DetectionTimeExpired || !s.Dead || s.Since.Sub(last) != 900*time.Millisecond || s.Downs != 1 {
			t.Errorf("A after %v: %+v", s.Since.Sub(last), s)
		}
		if s := b.Status(); s.Diagnostic != NeighbourSignalledDown || s.RemoteDiagnostic != DetectionTimeExpired || b.dead() != 1 {
			t.Errorf("B hears of it: %+v", s)
		}
		n.cut()
		time.Sleep(5 * time.Second)
		a.is(t, Up)
		b.is(t, Up)
		if s := a.Status(); s.Ups != 2 || s.Dead || a.dead() != 1 {
			t.Errorf("A: %+v", s)
		}
	})
}

// TestHeldUpProcess has A hang: it neither sends nor takes in what B sends.
func TestHeldUpProcess(t *testing.T) {
	upPair(t, func(a, _ *Config) { a.Multiplier = 50 }, func(t *testing.T, n *network, a, b *end) {
		n.cut(hostB) // a bubble's time stands still while a packet waits for a lock
		time.Sleep(10 * time.Millisecond)
		stall := func() {
			time.Sleep(5 * time.Second)
			n.cut()
		}
		n.hosts[netip.MustParseAddr(hostA)].stall.Store(&stall)
		time.Sleep(8 * time.Second)
		if s := a.Status(); s.State != Up || s.Late != 1 || s.Downs != 0 || a.dead() != 0 {
			t.Errorf("%+v", s)
		}
		n.cut(hostB)
		time.Sleep(3 * time.Second)
		if s := a.Status(); s.State != Down || !s.Dead {
			t.Errorf("a neighbour that dies later is not found: %+v", s)
		}
	})
}

func TestCloseTellsTheNeighbour(t *testing.T) {
	upPair(t, nil, func(t *testing.T, n *network, a, b *end) {
		since := time.Now()
		a.Close()
		a.Close()
		time.Sleep(10 * time.Second)
		if s := b.Status(); s.State != Down || s.Diagnostic != NeighbourSignalledDown || s.RemoteState == AdminDown && s.RemoteDiagnostic != AdministrativelyDown {
			t.Errorf("B: %+v", s)
		}
		if b.dead() != 0 {
			t.Error("AdminDown is taken for death")
		}
		if got := n.packets(hostA, since); len(got) != 1 || got[0].State != AdminDown || got[0].Diagnostic != AdministrativelyDown {
			t.Errorf("A sent %+v, want AdminDown until B has answered", got)
		}
		if err := a.Set(Parameters{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Set after Close: %v", err)
		}
		if got := a.changes(); got[len(got)-1] != Up {
			t.Errorf("told %v, want nothing after Close", got)
		}
	})
	upPair(t, func(a, _ *Config) { a.Multiplier = 20 }, func(t *testing.T, n *network, a, b *end) {
		since := time.Now()
		n.cut(hostA)
		a.Close()
		time.Sleep(500 * time.Millisecond)
		n.cut()
		time.Sleep(10 * time.Second)
		got := n.packets(hostA, since)
		if b.Status().RemoteDiagnostic != AdministrativelyDown || len(got) != 2 || b.dead() != 0 {
			t.Errorf("the first AdminDown was lost, and B has %v from %d packets", b.Status().RemoteDiagnostic, len(got))
		}
	})
}

func TestReopeningAtOnce(t *testing.T) {
	upPair(t, nil, func(t *testing.T, n *network, a, b *end) {
		a.Close()
		again := open(t, a.manager, hostA, hostB)
		if _, err := a.manager.Open(again.config, nil); err == nil || !strings.Contains(err.Error(), "open already") {
			t.Errorf("the pair a second time: %v", err)
		}
		time.Sleep(5 * time.Second)
		again.is(t, Up)
		b.is(t, Up)
		if b.dead() != 0 {
			t.Error("B took A for dead")
		}
	})
}

func TestPassiveEnds(t *testing.T) {
	pair(t, func(a, _ *Config) { a.Passive = true }, func(t *testing.T, _ *network, a, b *end) {
		time.Sleep(5 * time.Second)
		a.is(t, Up)
		b.is(t, Up)
	})
	pair(t, func(a, b *Config) { a.Passive, b.Passive = true, true }, func(t *testing.T, n *network, a, b *end) {
		time.Sleep(5 * time.Second)
		if all := len(n.packets(hostA, time.Time{})) + len(n.packets(hostB, time.Time{})); all != 0 {
			t.Errorf("%d packets between passive ends", all)
		}
		p := b.config.Parameters
		p.Passive = false
		if err := b.Set(p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		a.is(t, Up)
	})
}

func TestOnlyNearPacketsCount(t *testing.T) {
	tests := []struct {
		name     string
		multihop bool
		minimum  uint8
		hops     int
		want     State
	}{
		{"single hop", false, 1, 0, Up}, {"single hop, from further away", false, 1, 1, Down},
		{"multihop, the default", true, 0, 1, Up}, {"multihop, beyond the default", true, 0, 2, Down},
		{"multihop, as told", true, 250, 5, Up}, {"multihop, beyond that", true, 250, 6, Down},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pair(t, func(a, b *Config) {
				a.Multihop, b.Multihop, a.MinimumTTL, b.MinimumTTL = tt.multihop, tt.multihop, tt.minimum, tt.minimum
			}, func(t *testing.T, n *network, a, _ *end) {
				n.far(tt.hops)
				time.Sleep(5 * time.Second)
				a.is(t, tt.want)
				if s := a.Status(); (s.Refused > 0) != (tt.want == Down) || (s.Received > 1) != (tt.want == Up) { // the first came before
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestWhoseAPacketIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		m := newManager(Options{}, n.host(hostA, "192.0.2.11"))
		defer m.Close()
		on := func(name string) func(*Config) { return func(c *Config) { c.Interface = name } }
		far := func(c *Config) { c.Multihop = true }
		one := open(t, m, hostA, hostB, on("eth0"))
		two := open(t, m, "192.0.2.11", hostB, on("eth0"))
		three := open(t, m, hostA, hostB, far)
		four := open(t, m, hostA, "192.0.2.4")
		five := open(t, m, hostA, "192.0.2.5", on("eth1"))
		tests := []struct {
			name     string
			your     uint32
			from, to string
			multihop bool
			link     int
			want     *end
		}{
			{"by addresses", 0, hostB, hostA, false, 1, one},
			{"by the other address", 0, hostB, "192.0.2.11", false, 1, two},
			{"by no address, and there are two", 0, hostB, "192.0.2.12", false, 1, nil},
			{"by the neighbour alone", 0, "192.0.2.4", "192.0.2.12", false, 9, four},
			{"wrong interface", 0, hostB, hostA, false, 2, nil},
			{"wrong interface, the only session", 0, "192.0.2.5", hostA, false, 1, nil},
			{"right interface", 0, "192.0.2.5", hostA, false, 2, five},
			{"multihop", 0, hostB, hostA, true, 9, three},
			{"multihop to another address", 0, hostB, "192.0.2.11", true, 1, nil},
			{"a stranger", 0, "192.0.2.77", hostA, false, 1, nil},
			{"by discriminator, from anywhere", one.Status().LocalDiscriminator, "198.51.100.7", "192.0.2.12", false, 1, one},
			{"by discriminator, wrong interface", one.Status().LocalDiscriminator, hostB, hostA, false, 2, nil},
			{"by discriminator, wrong port", one.Status().LocalDiscriminator, hostB, hostA, true, 1, nil},
			{"unknown discriminator", 1, hostB, hostA, false, 1, nil},
		}
		for _, tt := range tests {
			p := packet(Down)
			p.YourDiscriminator = tt.your
			got := m.find(p, datagram{socket: socketKey{multihop: tt.multihop}, from: netip.MustParseAddr(tt.from), to: netip.MustParseAddr(tt.to), link: tt.link})
			if (got == nil) != (tt.want == nil) || got != nil && got != tt.want.Session {
				t.Errorf("%s: %p", tt.name, got)
			}
		}
		m.deliver(datagram{payload: []byte("hello")})
		m.deliver(datagram{from: netip.MustParseAddr("192.0.2.77"), payload: octets(packet(Down)), ttl: 255})
		if c := m.Counters(); c != (Counters{Malformed: 1, Unknown: 1}) {
			t.Errorf("%+v", c)
		}
	})
}

func octets(p Packet) []byte { b, _ := p.AppendBinary(nil); return b }

func TestBadConfigurations(t *testing.T) {
	addr := netip.MustParseAddr
	good := Config{Local: addr(hostA), Remote: addr(hostB)}
	tests := []struct {
		want   string
		change func(*Config)
	}{
		{"local: invalid IP", func(c *Config) { c.Local = netip.Addr{} }},
		{"remote: 0.0.0.0", func(c *Config) { c.Remote = addr("0.0.0.0") }},
		{"remote: 224.0.0.1", func(c *Config) { c.Remote = addr("224.0.0.1") }},
		{"local: 192.0.2.1 is not of the family of the remote address, 2001:db8::1", func(c *Config) { c.Remote = addr("2001:db8::1") }},
		{"receive: an interval of 9ms: write 10ms to 1m0s", func(c *Config) { c.Receive = 9 * time.Millisecond }},
		{"transmit: an interval of 61s", func(c *Config) { c.Transmit = 61 * time.Second }},
		{"transmit: an interval of -1ns", func(c *Config) { c.Transmit = -1 }},
		{`interface "eth9": no such`, func(c *Config) { c.Interface = "eth9" }},
		{"interface: fe80::2 needs one", func(c *Config) { c.Local, c.Remote = addr("fe80::1"), addr("fe80::2") }},
		{`interface: "eth1" is not the zone`, func(c *Config) { c.Local, c.Remote, c.Interface = addr("fe80::1"), addr("fe80::2%eth0"), "eth1" }},
		{"multihop: no other link", func(c *Config) { c.Local, c.Remote, c.Multihop = addr("fe80::1"), addr("fe80::2%eth0"), true }},
	}
	n := newNetwork()
	h := n.host(hostA, "fe80::1")
	m := newManager(Options{}, h)
	for _, tt := range tests {
		c := good
		tt.change(&c)
		if _, err := m.Open(c, nil); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "1m1s", "61s"), tt.want) {
			t.Errorf("%+v: %v, want %q", c, err, tt.want)
		}
	}
	h.busy = syscall.EADDRINUSE
	if _, err := m.Open(good, nil); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port in use: %v", err)
	}
	h.busy = nil
	s := open(t, m, "fe80::1", "fe80::2%eth0")
	if err := s.Set(Parameters{Receive: time.Hour}); err == nil || s.machine.want.Receive != DefaultInterval {
		t.Errorf("a wrong parameter: %v", err)
	}
	m.Close()
	if _, err := m.Open(good, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Open after Close: %v", err)
	}
	if len(h.listeners) != 0 {
		t.Errorf("ports still open: %v", h.listeners)
	}
}

// TestDeathIsAsked for: none of what happens to a session that never was Up, or on purpose, takes anything down.
func TestNothingDiesThatWasNotUp(t *testing.T) {
	pair(t, nil, func(t *testing.T, n *network, a, b *end) {
		n.losing(func(_ netip.Addr, p Packet) bool { return p.State >= Init }) // A and B get no further than Init
		time.Sleep(2500 * time.Millisecond)
		n.cut(hostA, hostB)
		time.Sleep(time.Minute)
		if got := a.changes(); !slices.Equal(got, []State{Init, Down}) && !slices.Equal(got, []State{Init}) || a.dead()+b.dead() != 0 {
			t.Errorf("told %v", got)
		}
	})
}

func TestChangesMayBeAnsweredFromTheFunctionThatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ma, mb := newManager(Options{}, n.host(hostA)), newManager(Options{}, n.host(hostB))
		defer ma.Close()
		defer mb.Close()
		b := open(t, mb, hostB, hostA)
		told := make(chan *Session, 1)
		var mu sync.Mutex
		var got []State
		s, err := ma.Open(Config{Local: netip.MustParseAddr(hostA), Remote: netip.MustParseAddr(hostB)}, func(st Status) {
			mu.Lock()
			got = append(got, st.State)
			mu.Unlock()
			if st.State == Up {
				s := <-told
				if s.Status().State != Up {
					t.Error("the status is behind what is told")
				}
				s.Close()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		told <- s
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if got[len(got)-1] != Up || b.Status().Ups > 1 || b.dead() != 0 {
			t.Errorf("told %v; B %+v", got, b.Status())
		}
		ma.mu.RLock()
		defer ma.mu.RUnlock()
		if len(ma.sessions)+len(ma.remotes)+len(ma.listeners)+len(ma.leaving) != 0 {
			t.Errorf("remains: %+v", ma)
		}
	})
}
