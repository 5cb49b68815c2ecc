package bgp

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestTooManyRoutes(t *testing.T) {
	run(t, func(b bench) {
		core, seen := observer.New(zapcore.WarnLevel)
		b.speaker = NewSpeaker(b.network, Options{Logger: zap.New(core)})
		defer b.speaker.Close(false)
		limited := func(n int) []Peer {
			peers := two()
			peers[0].MaxReceived = n
			return peers
		}
		b.network.Send(r1, 100, 20)
		b.set(limited(100), route("10.9.0.1/32"))
		b.after(countTime)
		if s := b.state(0, Established); s.IPv4.Received != 100 || s.IPv6.Received != 20 || s.Received.Updates != 120 || s.Sent.Updates != 1 {
			t.Errorf("%+v", s)
		}
		b.set(limited(99), route("10.9.0.1/32"))
		if s := b.state(0, Idle); s.Reason != TooManyRoutes(99) || s.IPv4.Received != 0 || s.Flaps != 1 {
			t.Errorf("%+v", s)
		}
		b.learnt(r1)
		_, before := b.network.Counts(r1)
		b.after(time.Hour)
		if _, dials := b.network.Counts(r1); dials-before < 30 || dials-before > 45 {
			t.Errorf("%d dials in an hour, want one each 90 to 120 s", dials-before)
		}
		if n := seen.FilterMessage("BGP session is down").Len(); n != 1 {
			t.Errorf("logged %d times: %v", n, seen.All())
		}
		if s := b.state(0, Idle); s.Received.Updates < 120*30 {
			t.Errorf("messages of earlier connections are not counted: %+v", s.Received)
		}
		b.set(limited(100), route("10.9.0.1/32"))
		b.after(longestCease)
		b.state(0, Established)
		b.learnt(r1, "10.9.0.1/32")
		if s := b.state(1, Established); s.Flaps != 0 {
			t.Errorf("the other: %+v", s)
		}
	})
}

func TestRaisedLimitNeedsNoNewSession(t *testing.T) {
	run(t, func(b bench) {
		peers := two()
		peers[0].MaxReceived = 10
		b.network.Send(r1, 10, 0)
		b.set(peers)
		peers[0].MaxReceived = 20
		b.set(peers)
		b.network.Send(r1, 20, 0)
		synctest.Wait()
		b.state(0, Established)
		b.network.Send(r1, 21, 0)
		synctest.Wait()
		if s := b.state(0, Idle); s.Reason != TooManyRoutes(20) {
			t.Errorf("%+v", s)
		}
		if _, dials := b.network.Counts(r1); dials != 1 {
			t.Errorf("%d dials", dials)
		}
	})
}

func TestExternalPeer(t *testing.T) {
	run(t, func(b bench) {
		peers := two()[:1]
		peers[0].PeerASN, peers[0].External = 0, true
		b.network.SetASN(r1, 4200000000)
		b.set(peers, route("10.9.0.1/32"))
		if s := b.state(0, Established); s.Conn.PeerASN != 4200000000 {
			t.Errorf("%+v", s.Conn)
		}
		b.network.SetASN(r1, peers[0].MyASN)
		b.network.Lose(r1, "the connection broke", false)
		b.after(time.Second)
		if s := b.state(0, Idle); s.Reason != OwnASN(64512) || s.Lost != "the connection broke" || s.Conn != (Conn{}) {
			t.Errorf("%+v", s)
		}
		b.learnt(r1)
	})
}

func TestReasonIsLoggedOnce(t *testing.T) {
	run(t, func(b bench) {
		core, seen := observer.New(zapcore.WarnLevel)
		b.speaker = NewSpeaker(b.network, Options{Logger: zap.New(core)})
		defer b.speaker.Close(false)
		b.network.SetASN(r1, 65099)
		b.set(two())
		b.after(time.Hour)
		if all := seen.All(); len(all) != 1 || !strings.Contains(all[0].ContextMap()["reason"].(string), "65099") {
			t.Errorf("%v", all)
		}
		b.network.SetASN(r1, 0)
		b.after(10 * time.Minute)
		b.state(0, Established)
		b.network.SetASN(r1, 65099)
		b.network.Lose(r1, "the connection broke", false)
		b.after(time.Hour)
		if n := len(seen.All()); n != 3 {
			t.Errorf("after a good time: %v", seen.All())
		}
	})
}
