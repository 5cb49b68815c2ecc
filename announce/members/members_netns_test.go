//go:build linux

package members_test

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/internal/nstest"
)

func TestNetnsLossAndReturn(t *testing.T) {
	for _, detection := range []members.Detection{members.Normal, members.Fast} {
		t.Run(detection.String(), func(t *testing.T) { testLossAndReturn(t, newLAN(t, 3, detection)) })
	}
	t.Run("IPv6", func(t *testing.T) {
		l := newLAN(t, 3, members.Normal)
		l.ipv6 = true
		testLossAndReturn(t, l)
	})
}

func testLossAndReturn(t *testing.T, l *lan) {
	t.Helper()
	l.startAll()
	l.speakers[2].tell(order{State: &members.State{Held: held(0, 5000)}})
	l.eventually("what is held is known", func() bool {
		return l.speakers[0].last().Members["n02"].Held == 5000 && l.speakers[1].last().Members["n02"].Held == 5000
	})
	l.speakers[2].signal(syscall.SIGKILL)
	l.sees(0, 2, "Lost", "no speaker listens")
	l.sees(1, 2, "Lost", "no speaker listens")
	l.start(2)
	l.together()
	l.eventually("its older self is forgotten", func() bool { return l.speakers[0].last().Members["n02"].Held == 0 })

	l.plug(2, false)
	l.sees(0, 2, "Lost", "no answer")
	l.sees(2, 0, "Lost", "no answer")
	l.plug(2, true)
	l.together()

	l.speakers[1].tell(order{Leave: true})
	l.sees(0, 1, "Left", "")
	l.sees(2, 1, "Left", "")
}

// Packets that get lost cost nobody the membership, nor what is told.
func TestNetnsLossyNetwork(t *testing.T) {
	const speakers = 5
	l := newLAN(t, speakers, members.Normal)
	l.startAll()
	l.lossy(2)
	for i := range 12 * speakers {
		one, want := i%speakers, held(i, i+1)
		l.speakers[one].tell(order{State: &members.State{Held: want}})
		l.eventually("all know what it holds", func() bool {
			for j := range l.nodes {
				if m := l.speakers[j].last().Members[name(one)]; m.Held != len(want) || m.First != want[0] {
					return false
				}
			}
			return true
		})
	}
	for i := range l.nodes {
		if n := l.speakers[i].last().Counters; n.Losses+n.DecodeErrors+n.WrongKey > 0 && l.lapses() == 0 {
			t.Errorf("%s: %+v, want no loss", name(i), n)
		}
	}
}

// A speaker whose process stood still is silent until another one has told it what it holds.
func TestNetnsStopped(t *testing.T) {
	l := newLAN(t, 3, members.Normal)
	l.startAll()
	stopped := l.speakers[1]
	stopped.signal(syscall.SIGSTOP)
	l.sees(0, 1, "Lost", "no answer")
	l.speakers[0].tell(order{State: &members.State{Held: held(0, 7)}})
	l.eventually("the others go on", func() bool { return l.speakers[2].last().Members["n00"].Held == 7 })
	since := time.Now()
	stopped.signal(syscall.SIGCONT)
	l.together()
	stood := func(s sight) bool { return s.Lapses == 1 }
	if first, ok := stopped.first(since, stood); !ok {
		t.Error("it does not know that it stood still")
	} else if back, _ := stopped.first(first.At.Add(-1), func(s sight) bool { return s.Silent == "" }); back.Members["n00"].Held != 7 {
		t.Errorf("it answers again and sees %+v, want n00 to hold 7", back.Members)
	}
	if lost, ok := stopped.first(since, func(s sight) bool { return s.Counters.Losses > 0 }); ok && lost.Lapses < 2 {
		t.Errorf("it takes others for lost, though it was itself: %+v", lost)
	}
}

func TestNetnsPartition(t *testing.T) {
	l := newLAN(t, 6, members.Fast)
	l.startAll()
	for range 2 {
		l.part(true)
		l.eventually("the halves have lost each other", func() bool {
			for i := range 6 {
				for j := range 6 {
					if other := l.speakers[i].last().Members[name(j)].Presence; (i < 3) != (j < 3) && other != "Lost" {
						return false
					}
				}
			}
			return true
		})
		l.part(false)
		t.Logf("together after %v", l.together())
	}
}

func TestNetnsKeys(t *testing.T) {
	l := newLAN(t, 3, members.Normal)
	l.startAll()
	for _, keys := range [][][]byte{{key, otherKey}, {otherKey, key}, {otherKey}} {
		for i := range l.nodes {
			l.speakers[i].tell(order{Keys: keys})
		}
		for i := range l.nodes { // a step is done when everybody has heard something that came after it
			l.speakers[i].tell(order{State: &members.State{Held: held(len(keys[0])*10, i+1)}})
			l.eventually("the step is done", func() bool {
				return l.speakers[(i+1)%3].last().Members[name(i)].First == held(len(keys[0])*10, 1)[0]
			})
		}
	}
	for i := range l.nodes {
		if n := l.speakers[i].last().Counters; n.Losses+n.WrongKey != 0 && l.lapses() == 0 {
			t.Errorf("%s: %+v, want no loss", name(i), n)
		}
	}
	l.speakers[2].tell(order{Keys: [][]byte{key}})
	l.sees(0, 2, "Lost", "cannot be decrypted")
	l.sees(2, 0, "Lost", "cannot be decrypted")
	l.speakers[2].tell(order{Keys: [][]byte{otherKey}})
	l.together()
	l.sees(0, 2, "Alive", "")
}

func TestNetnsPortInUse(t *testing.T) {
	l := newLAN(t, 2, members.Normal)
	var other net.Listener
	nstest.Do(t, l.nodes[1], func() {
		var err error
		if other, err = net.Listen("tcp", netip.AddrPortFrom(netip.IPv4Unspecified(), members.DefaultPort).String()); err != nil {
			t.Fatal(err)
		}
	})
	defer other.Close()
	l.start(0)
	l.start(1)
	l.eventually("it says that the port is in use", func() bool {
		return strings.Contains(l.speakers[1].last().Silent, "TCP port 17946 of 10.0.0.2: the port is in use by another process")
	})
	l.eventually("and does not go on alone", func() bool {
		s, ok := l.speakers[1].first(time.Time{}, func(s sight) bool { return s.Silent == "" })
		if ok {
			t.Fatalf("it answers: %+v", s)
		}
		return l.speakers[1].count() > 3
	})
	_ = other.Close()
	l.together()
}

// What is lost on the way between two of three is told in words, and costs nobody the membership.
func TestNetnsBrokenNetwork(t *testing.T) {
	l := newLAN(t, 3, members.Normal)
	l.startAll()
	for _, tt := range []struct {
		rule         string
		there, other string // what n00 says of n01, whose node drops what n00 sends, and the other way round
	}{
		{"", "its packets arrive here, but it answers none", "only other speakers still reach it"},
		{"udp dport 17946", "its packets arrive here, but it answers none", "it answers by TCP, but not by UDP"},
		{"tcp dport 17946", "not by TCP", ""},
	} {
		undo := l.drop(1, 0, tt.rule)
		l.sees(0, 1, "Alive", tt.there)
		l.sees(1, 0, "Alive", tt.other)
		undo()
		l.sees(0, 1, "Alive", "")
		l.sees(1, 0, "Alive", "")
	}
	for i := range l.nodes {
		if s := l.speakers[i].last(); s.Counters.Losses > 0 && l.lapses() == 0 {
			t.Errorf("%s has lost %d", name(i), s.Counters.Losses)
		}
	}
}
