package bgp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	r1 = netip.MustParseAddr("10.0.0.1")
	r2 = netip.MustParseAddr("10.0.0.2")
)

// bench is a Speaker in a bubble of time with two simulated routers.
type bench struct {
	*testing.T
	network *Memory
	speaker *Speaker
}

func run(t *testing.T, f func(b bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := bench{t, new(Memory), nil}
		b.speaker = NewSpeaker(b.network, Options{Liveness: b.network})
		defer b.speaker.Close(false)
		f(b)
	})
}

func (b bench) set(peers []Peer, routes ...Route) {
	b.Helper()
	if err := b.speaker.Set(peers, routes); err != nil {
		b.Fatal(err)
	}
	synctest.Wait()
}

func (b bench) after(d time.Duration) {
	time.Sleep(d) // the bubble's time
	synctest.Wait()
}

func (b bench) state(i int, want State) PeerStatus {
	b.Helper()
	s := b.speaker.Status()[i]
	if s.State != want {
		b.Fatalf("%s is %s, want %s (%+v)", s.Peer.Name, s.State, want, s)
	}
	return s
}

func (b bench) learnt(router netip.Addr, want ...string) {
	b.Helper()
	if got, want := fmt.Sprint(b.network.Routes(router)), fmt.Sprint(want); got != want {
		b.Fatalf("%s has %s, want %s", router, got, want)
	}
}

func two() []Peer { return []Peer{peer("a", "10.0.0.1"), peer("b", "10.0.0.2")} }

func TestRoutesComeAndGo(t *testing.T) {
	run(t, func(b bench) {
		b.set(two(), route("10.9.0.1/32"), route("2001:db8::1/128", "b"))
		b.learnt(r1, "10.9.0.1/32")
		b.learnt(r2, "10.9.0.1/32", "2001:db8::1/128")
		s := b.state(1, Established)
		if s.IPv4 != (FamilyStatus{Wanted: 1, Sent: 1}) || s.IPv6 != (FamilyStatus{Wanted: 1, Sent: 1}) {
			t.Errorf("%+v", s)
		}
		b.set(two(), route("10.9.0.2/32"))
		b.learnt(r1, "10.9.0.2/32")
		b.learnt(r2, "10.9.0.2/32")
		b.set(nil)
		b.learnt(r1)
		if n := len(b.speaker.Status()); n != 0 {
			t.Errorf("%d peers left", n)
		}
	})
}

func TestSameInputDoesNothing(t *testing.T) {
	run(t, func(b bench) {
		b.set(two(), route("10.9.0.1/32"), route("10.9.0.2/32"))
		updates, dials := b.network.Counts(r1)
		<-b.speaker.Changed()
		for range 3 {
			b.set(two(), route("10.9.0.2/32"), route("10.9.0.1/32")) // in whatever order
		}
		b.after(time.Hour)
		if u, d := b.network.Counts(r1); u != updates || d != dials || dials != 1 {
			t.Errorf("%d updates and %d dials, before %d and %d", u, d, updates, dials)
		}
		select {
		case <-b.speaker.Changed():
			t.Error("reported a change")
		default:
		}
	})
}

func TestStuckPeerDelaysNobody(t *testing.T) {
	run(t, func(b bench) {
		release := b.network.Stall(r1)
		b.set(two(), route("10.9.0.1/32"))
		b.set(two(), route("10.9.0.2/32"))
		b.learnt(r2, "10.9.0.2/32")
		if s := b.state(0, Idle); s.IPv4.Wanted != 1 {
			t.Errorf("%+v", s)
		}
		release()
		synctest.Wait()
		b.learnt(r1, "10.9.0.2/32")

		release = b.network.Stall(r1)
		defer release()
		start := time.Now()
		b.speaker.Close(false)
		if took := time.Since(start); took != closeTime {
			t.Errorf("closing took %s, want %s", took, closeTime)
		}
		b.learnt(r2)
	})
}

func TestChangedPeerTouchesNoOther(t *testing.T) {
	run(t, func(b bench) {
		b.set(two(), route("10.9.0.1/32"))
		since := b.state(1, Established).Since
		b.after(time.Minute)
		peers := two()
		peers[0].PeerASN = 65009
		b.set(peers, route("10.9.0.1/32"))
		if s := b.state(0, Established); s.Since.Equal(since) || s.Peer.PeerASN != 65009 || s.Flaps != 0 {
			t.Errorf("changed: %+v", s)
		}
		if s := b.state(1, Established); !s.Since.Equal(since) {
			t.Errorf("the other: %+v", s)
		}
	})
}

func TestTimersAndNamesNeedNoNewSession(t *testing.T) {
	run(t, func(b bench) {
		b.set(two(), route("10.9.0.1/32"))
		since := b.state(0, Established).Since
		b.after(time.Minute)
		peers := two()
		peers[0].Name, peers[0].HoldTime = "renamed", 9*time.Second
		b.set(peers, route("10.9.0.1/32", "renamed", "b"))
		if s := b.state(0, Established); !s.Since.Equal(since) || s.Peer.Name != "renamed" {
			t.Errorf("%+v", s)
		}
		if _, dials := b.network.Counts(r1); dials != 1 {
			t.Errorf("%d dials", dials)
		}
	})
}

func TestLostSessionIsDialledAtOnce(t *testing.T) {
	run(t, func(b bench) {
		b.set(two(), route("10.9.0.1/32"))
		b.after(2 * time.Minute)
		b.network.Lose(r1, "nothing was heard from the peer for the hold time", false)
		synctest.Wait()
		s := b.state(0, Established)
		if s.Flaps != 1 || s.Reason != "nothing was heard from the peer for the hold time" || time.Since(s.Since) != 0 {
			t.Errorf("%+v", s)
		}
		b.learnt(r1, "10.9.0.1/32")
		if s := b.state(1, Established); s.Flaps != 0 || time.Since(s.Since) != 2*time.Minute {
			t.Errorf("the other: %+v", s)
		}
	})
}

func TestRefusingRouterIsDialledSeldom(t *testing.T) {
	run(t, func(b bench) {
		b.network.Behave(r1, Refuses, "")
		b.set(two(), route("10.9.0.1/32"))
		b.after(10 * time.Minute)
		if _, dials := b.network.Counts(r1); dials < 60 || dials > 90 {
			t.Errorf("%d dials in ten minutes, want one each 7.5 to 10 s", dials)
		}
		if s := b.state(0, Idle); s.Reason == "" || s.Flaps != 0 || s.IPv4 != (FamilyStatus{Wanted: 1}) {
			t.Errorf("%+v", s)
		}
		b.network.Behave(r1, Answers, "")
		b.after(11 * time.Second)
		b.state(0, Established)
	})
}

func TestUnnumberedPeerFollowsItsRouter(t *testing.T) {
	run(t, func(b bench) {
		first, second := netip.MustParseAddr("fe80::a"), netip.MustParseAddr("fe80::b")
		b.set([]Peer{{Interface: "eth1", PeerASN: 64501, MyASN: 64500}}, route("10.9.0.1/32"))
		b.after(10 * time.Millisecond)
		if s := b.state(0, Idle); s.Reason != "no router is known on interface eth1" || s.Peer.Name != "eth1" {
			t.Errorf("%+v", s)
		}
		b.network.Attach("eth1", first)
		b.after(time.Millisecond)
		b.state(0, Established) // at once: there is nothing to wait for
		b.learnt(first, "10.9.0.1/32")
		b.after(time.Minute)
		b.network.Attach("eth1", second)
		b.after(time.Second)
		b.learnt(second, "10.9.0.1/32")
		b.learnt(first)
		if s := b.state(0, Established); s.Lost != "the router on eth1 is fe80::b now" || s.Flaps != 1 {
			t.Errorf("%+v", s)
		}
		b.network.Attach("eth1", netip.Addr{})
		b.after(time.Minute)
		b.state(0, Established) // that nobody knows where it is says nothing
	})
}

func TestSilentRouterIsDropped(t *testing.T) {
	run(t, func(b bench) {
		b.network.Behave(r1, Silent, "")
		b.set(two())
		b.after(14 * time.Second)
		b.state(0, OpenSent)
		b.after(time.Second)
		if s := b.state(0, OpenSent); s.Reason == "" {
			t.Errorf("%+v", s)
		}
		if _, dials := b.network.Counts(r1); dials != 2 {
			t.Errorf("%d dials, want the second at once", dials)
		}
	})
}

func TestRouterThatIsAway(t *testing.T) {
	run(t, func(b bench) {
		b.network.Behave(r1, Away, "")
		b.set(two(), route("10.9.0.1/32"))
		b.after(time.Hour)
		b.state(0, Connect)
		if _, dials := b.network.Counts(r1); dials != 1 {
			t.Errorf("%d dials: an engine goes on by itself", dials)
		}
		b.network.Behave(r1, Answers, "")
		synctest.Wait()
		b.state(0, Established)
		b.learnt(r1, "10.9.0.1/32")
		b.network.Behave(r1, Away, "the connection broke")
		synctest.Wait()
		if s := b.state(0, Connect); s.IPv4 != (FamilyStatus{Wanted: 1}) || s.Flaps != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestFamilyWithoutNextHopIsWithheld(t *testing.T) {
	run(t, func(b bench) {
		b.network.Withhold(r1, Withheld{IPv6: "eth0 has no IPv6 address"})
		b.set(two(), route("10.9.0.1/32"), route("2001:db8::1/128"))
		b.learnt(r1, "10.9.0.1/32")
		s := b.state(0, Established)
		if s.IPv6 != (FamilyStatus{Wanted: 1, Withheld: "eth0 has no IPv6 address"}) || s.IPv4.Sent != 1 {
			t.Errorf("%+v", s)
		}
		b.network.Withhold(r1, Withheld{})
		synctest.Wait()
		b.learnt(r1, "10.9.0.1/32", "2001:db8::1/128")
		if s := b.state(0, Established); s.IPv6 != (FamilyStatus{Wanted: 1, Sent: 1}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseKeepsRoutesOnlyOfRestartablePeers(t *testing.T) {
	run(t, func(b bench) {
		peers := two()
		peers[0].RestartTime = 30 * time.Second
		b.set(peers, route("10.9.0.1/32"))
		b.speaker.Close(true)
		b.learnt(r1, "10.9.0.1/32")
		b.learnt(r2)
		if err := b.speaker.Set(peers, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// failing is an engine that cannot open, or cannot dial.
type failing struct {
	*Memory
	open, dial atomic.Pointer[error]
}

func (f *failing) fail(open, dial error) {
	f.open.Store(&open)
	f.dial.Store(&dial)
}

type failingSession struct {
	Session
	*failing
}

func (f *failing) Open(p Peer, notify func(Event)) (Session, error) {
	if err := *f.open.Load(); err != nil {
		return nil, err
	}
	s, err := f.Memory.Open(p, notify)
	return failingSession{s, f}, err
}

func (s failingSession) Dial(p Peer) error {
	if err := *s.dial.Load(); err != nil {
		return err
	}
	return s.Session.Dial(p)
}

func TestEngineErrorsAreReportedAndRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &failing{Memory: new(Memory)}
		engine.fail(errors.New("no router ID"), nil)
		b := bench{t, engine.Memory, NewSpeaker(engine, Options{})}
		defer b.speaker.Close(false)
		b.set(two(), route("10.9.0.1/32"))
		if s := b.state(0, Idle); s.Reason != "no router ID" {
			t.Errorf("%+v", s)
		}
		engine.fail(nil, errors.New("no route to 10.0.0.1"))
		b.after(2 * time.Second)
		if s := b.state(0, Idle); s.Reason != "no route to 10.0.0.1" {
			t.Errorf("%+v", s)
		}
		engine.fail(nil, nil)
		b.after(2 * time.Second)
		b.state(0, Established)
		b.learnt(r1, "10.9.0.1/32")
	})
}

func TestStateIsReadableInJSON(t *testing.T) {
	out, err := json.Marshal(OpenConfirm)
	if err != nil || string(out) != `"OpenConfirm"` {
		t.Errorf("%s, %v", out, err)
	}
	var back State
	if err := json.Unmarshal(out, &back); err != nil || back != OpenConfirm {
		t.Errorf("%s, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`"Asleep"`), &back); err == nil {
		t.Error("took an unknown state")
	}
}
