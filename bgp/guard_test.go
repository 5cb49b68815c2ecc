package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// watched are two peers of which the first has BFD.
func watched() []Peer {
	peers := two()
	peers[0].BFD.Enabled = true
	return peers
}

func TestDeadPeerIsGivenUpAtOnce(t *testing.T) {
	run(t, func(b bench) {
		b.set(watched(), route("10.9.0.1/32"))
		if s := b.state(0, Established); s.Liveness.State != LivenessUp {
			t.Errorf("%+v", s.Liveness)
		}
		if s := b.state(1, Established); s.Liveness != (LivenessStatus{}) {
			t.Errorf("not to be watched: %+v", s.Liveness)
		}
		b.after(2 * time.Minute)
		b.network.Behave(r1, Hangs, "")
		b.network.Behave(r2, Hangs, "")
		b.after(899 * time.Millisecond)
		b.state(0, Established)
		b.after(time.Millisecond)
		s := b.state(0, Connect)
		if s.Lost != "BFD: control detection time expired" || time.Since(s.LostAt) != 0 || s.Flaps != 1 || s.Liveness != (LivenessStatus{}) {
			t.Errorf("%+v", s)
		}
		b.learnt(r1)
		if by, _ := b.network.Watched(r1); by != (BFD{}) {
			t.Errorf("still watched: %+v", by)
		}
		b.state(1, Established)
		b.after(30 * time.Second)
		if s := b.state(1, Connect); s.Lost != "nothing was heard from the peer for the hold time" {
			t.Errorf("%+v", s)
		}
		b.network.Behave(r1, Answers, "")
		synctest.Wait()
		if s := b.state(0, Established); s.Liveness.State != LivenessUp {
			t.Errorf("%+v", s.Liveness)
		}
	})
}

func TestBFDChangesWithoutTheSession(t *testing.T) {
	run(t, func(b bench) {
		peers := watched()
		for _, want := range []BFD{
			{Enabled: true, Receive: 300 * time.Millisecond, Transmit: 300 * time.Millisecond, Multiplier: 3, MinimumTTL: 254},
			{Enabled: true, Receive: 50 * time.Millisecond, Transmit: time.Second, Multiplier: 5, MinimumTTL: 250, Passive: true},
			{},
			{Enabled: true, Receive: 10 * time.Millisecond, Transmit: 10 * time.Millisecond, Multiplier: 2, MinimumTTL: 1},
		} {
			peers[0].BFD = want
			b.set(peers, route("10.9.0.1/32"))
			if by, _ := b.network.Watched(r1); by != want {
				t.Errorf("watched by %+v, want %+v", by, want)
			}
			if up := b.state(0, Established).Liveness.State == LivenessUp; up != want.Enabled {
				t.Errorf("up %t with %+v", up, want)
			}
		}
		if _, dials := b.network.Counts(r1); dials != 1 {
			t.Errorf("%d dials", dials)
		}
	})
}

// diary writes down what is done to sessions and watches, in which order.
type diary struct {
	*Memory
	mu      sync.Mutex
	entries []string
	watches []func(LivenessStatus)
	fail    error         // of Watch
	patient time.Duration // how long Suspend takes
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, fmt.Sprintf(format, args...))
}

// said are the entries since the last time.
func (d *diary) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.entries = nil }()
	return strings.Join(d.entries, ", ")
}

type diarySession struct {
	Session
	*diary
}

func (d *diary) Open(p Peer, notify func(Event)) (Session, error) {
	s, err := d.Memory.Open(p, notify)
	return diarySession{s, d}, err
}

func (s diarySession) Drop() {
	s.Session.Drop()
	s.note("drop")
}

func (s diarySession) Close(keep bool) {
	s.Session.Close(keep)
	s.note("close keep=%t", keep)
}

type diaryWatch struct{ *diary }

func (d *diary) Watch(t Target, changed func(LivenessStatus)) (Watch, error) {
	d.note("watch %s", t.Remote)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watches = append(d.watches, changed)
	return diaryWatch{d}, d.fail
}

func (w diaryWatch) Set(b BFD) { w.note("set %d", b.Multiplier) }
func (w diaryWatch) Close()    { w.note("unwatch") }
func (w diaryWatch) Suspend() {
	w.note("suspend")
	time.Sleep(w.patient)
}

func record(t *testing.T, f func(b bench, d *diary)) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{Memory: new(Memory)}
		b := bench{t, d.Memory, NewSpeaker(d, Options{Liveness: d})}
		defer b.speaker.Close(false)
		f(b, d)
	})
}

// TestWatchEndsAfterTheConnection: routers take the end of BFD for a failure as long as the BGP session stands.
func TestWatchEndsAfterTheConnection(t *testing.T) {
	record(t, func(b bench, d *diary) {
		said := func(want string) {
			b.Helper()
			synctest.Wait()
			if got := d.said(); got != want {
				b.Errorf("got %q, want %q", got, want)
			}
		}
		peers := watched()[:1]
		b.set(peers)
		said("watch 10.0.0.1")
		peers[0].BFD.Multiplier = 7
		b.set(peers)
		said("set 7")
		b.after(time.Minute)
		b.network.Lose(r1, "the connection broke", false)
		said("drop, unwatch, watch 10.0.0.1")
		d.watches[0](LivenessStatus{State: LivenessDown, Dead: true, Reason: "too late"})
		said("")
		b.state(0, Established)
		b.after(time.Minute)
		d.watches[1](LivenessStatus{State: LivenessDown, Dead: true, Reason: "in time"})
		d.watches[1](LivenessStatus{State: LivenessInit})
		said("drop, unwatch, watch 10.0.0.1")
		peers[0].PeerASN++
		b.set(peers)
		said("close keep=false, unwatch, watch 10.0.0.1")
		b.set(nil)
		said("close keep=false, unwatch")
	})
}

func TestWatchIsSuspendedBeforeARestart(t *testing.T) {
	for _, c := range []struct{ patient, took time.Duration }{{100 * time.Millisecond, 100 * time.Millisecond}, {time.Hour, suspendTime}} {
		record(t, func(b bench, d *diary) {
			d.patient = c.patient
			peers := watched()
			peers[1].BFD.Enabled = true
			b.set(peers)
			d.said()
			start := time.Now()
			b.speaker.Close(true)
			if took := time.Since(start); took != c.took {
				t.Errorf("closing took %s, want %s", took, c.took)
			}
			if got := d.said(); got != strings.Repeat("suspend, ", 2)+"close keep=true, close keep=true" {
				t.Error(got)
			}
			time.Sleep(c.patient) // what hangs ends with the bubble
		})
	}
}

func TestPeerThatCannotBeWatched(t *testing.T) {
	record(t, func(b bench, d *diary) {
		d.fail = errors.New("port 3784 is in use")
		b.set(watched())
		if s := b.state(0, Established); s.Liveness.Reason != "port 3784 is in use" || s.Liveness.State != LivenessDown {
			t.Errorf("%+v", s)
		}
		d.said()
		b.after(rewatchTime - 1)
		if got := d.said(); got != "" {
			t.Error(got)
		}
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		b.after(1)
		if got := d.said(); got != "watch 10.0.0.1" {
			t.Error(got)
		}
		b.after(time.Hour)
		if got := d.said(); got != "" {
			t.Error(got)
		}
	})
}

func TestBFDParameters(t *testing.T) {
	for want, b := range map[string]BFD{
		"receive interval 5ms: want":   {Enabled: true, Receive: 5 * time.Millisecond},
		"transmit interval 1m1s: want": {Enabled: true, Transmit: 61 * time.Second},
		"whole microseconds":           {Enabled: true, Transmit: 10*time.Millisecond + 1},
		"detect multiplier 1: want":    {Enabled: true, Multiplier: 1},
		"minimum TTL 255: want":        {Enabled: true, MinimumTTL: 255},
	} {
		if err := b.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want something of %q", b, err, want)
		}
		p := peer("a", "10.0.0.1")
		p.BFD = b
		if err := p.Validate(); err == nil || !strings.HasPrefix(err.Error(), "BFD: ") {
			t.Errorf("%+v: got %v", p, err)
		}
	}
	for _, good := range []BFD{{}, {Multiplier: 1}, {Enabled: true}, {Enabled: true, Multiplier: 255, MinimumTTL: 1, Receive: time.Minute}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}

func TestLivenessStateIsReadable(t *testing.T) {
	for s, want := range []string{"AdminDown", "Down", "Init", "Up"} {
		text, err := LivenessState(s).MarshalText()
		var back LivenessState
		if err != nil || string(text) != want || back.UnmarshalText(text) != nil || back != LivenessState(s) {
			t.Errorf("%d is %s", s, text)
		}
	}
	var s LivenessState
	if s.UnmarshalText([]byte("Asleep")) == nil || LivenessState(9).String() != "LivenessState(9)" {
		t.Error("took an unknown state")
	}
}

func TestNewPeerFields(t *testing.T) {
	a := netip.MustParseAddr
	for _, c := range []struct {
		change func(*Peer)
		want   string // "" is right
	}{
		{func(p *Peer) { p.PeerASN, p.External = 0, true }, ""},
		{func(p *Peer) { p.External = true }, "peer ASN 65001: not possible with an external peer"},
		{func(p *Peer) { p.PeerASN = 0 }, "peer ASN 0: want"},
		{func(p *Peer) { p.Address, p.Interface = netip.Addr{}, "eth1" }, ""},
		{func(p *Peer) { p.Interface = "eth1" }, "address 10.0.0.1: not possible with interface eth1"},
		{func(p *Peer) { p.Address, p.Interface = netip.Addr{}, "a-name-too-long-for-it" }, "at most 15 bytes"},
		{func(p *Peer) { p.Address, p.Interface, p.Password = netip.Addr{}, "eth1", "x" }, "password: not possible with interface eth1"},
		{func(p *Peer) { p.Address, p.Interface, p.Source = netip.Addr{}, "eth1", a("10.0.0.2") }, "source address 10.0.0.2: not possible with"},
		{func(p *Peer) { p.Address, p.Interface, p.Multihop = netip.Addr{}, "eth1", 2 }, "multihop TTL 2: not possible with interface"},
		{func(p *Peer) { p.Source = a("10.0.0.2") }, ""},
		{func(p *Peer) { p.Source = a("2001:db8::1") }, "source address 2001:db8::1: want one of the family"},
		{func(p *Peer) { p.Source = a("fe80::1") }, "source address fe80::1: want a global"},
		{func(p *Peer) { p.Multihop = 255 }, ""},
		{func(p *Peer) { p.Multihop, p.TTLSecurity = 2, 1 }, "multihop TTL 2: not possible with TTL security"},
		{func(p *Peer) { p.Multihop, p.MyASN = 2, 65001 }, "multihop TTL 2: not possible with an internal peer"},
		{func(p *Peer) { p.TTLSecurity = 254 }, ""},
		{func(p *Peer) { p.TTLSecurity = 255 }, "TTL security of 255 hops"},
		{func(p *Peer) { p.MaxReceived = -1 }, "max received routes -1"},
	} {
		p := peer("a", "10.0.0.1")
		c.change(&p)
		err := p.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", p, err, c.want)
		}
	}
}

// TestWhatNeedsANewSession compares peers that differ in one field.
func TestWhatNeedsANewSession(t *testing.T) {
	changes := map[string]func(*Peer){
		"Address": func(p *Peer) { p.Address = r2 }, "Interface": func(p *Peer) { p.Interface = "eth1" },
		"Port": func(p *Peer) { p.Port = 1179 }, "PeerASN": func(p *Peer) { p.PeerASN++ }, "MyASN": func(p *Peer) { p.MyASN++ },
		"External": func(p *Peer) { p.External = true }, "Source": func(p *Peer) { p.Source = r2 },
		"RouterID": func(p *Peer) { p.RouterID = r2 }, "Multihop": func(p *Peer) { p.Multihop = 2 },
		"TTLSecurity": func(p *Peer) { p.TTLSecurity = 1 }, "RestartTime": func(p *Peer) { p.RestartTime = time.Second },
		"Name": func(p *Peer) { p.Name = "b" }, "HoldTime": func(p *Peer) { p.HoldTime = 9 * time.Second },
		"KeepaliveTime": func(p *Peer) { p.KeepaliveTime = time.Second }, "ConnectTime": func(p *Peer) { p.ConnectTime = time.Minute },
		"MaxReceived": func(p *Peer) { p.MaxReceived = 1 }, "BFD": func(p *Peer) { p.BFD.Enabled = true },
		"Password": func(p *Peer) { p.Password = "x" },
	}
	same := []string{"Name", "HoldTime", "KeepaliveTime", "ConnectTime", "MaxReceived", "BFD", "Password"}
	for field, change := range changes {
		p := peer("a", "10.0.0.1")
		change(&p)
		if got, want := p.session() == peer("a", "10.0.0.1").session(), slices.Contains(same, field); got != want {
			t.Errorf("another %s: the same session %t, want %t", field, got, want)
		}
	}
}
