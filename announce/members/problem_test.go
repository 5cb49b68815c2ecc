package members_test

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/announce/members/memberstest"
)

// problem waits until one speaker sees a problem of another one that has all the words.
func (c *cluster) problem(from, of string, words ...string) {
	c.t.Helper()
	c.eventually(from+" sees of "+of+": "+strings.Join(words, "…"), func() bool {
		p := c.see(from, of).Problem
		for _, w := range words {
			if !strings.Contains(p, w) {
				return false
			}
		}
		return p != "" || len(words) == 0
	})
}

func (c *cluster) noProblems() {
	c.t.Helper()
	c.eventually("nobody sees a problem", func() bool {
		for _, m := range c.speakers {
			for _, other := range m.Members() {
				if other.Problem != "" {
					return false
				}
			}
		}
		return c.together()
	})
}

// lost is a filter that loses what n00 sends to n01, or what either sends; of one protocol, or "" for all.
func lost(p memberstest.Protocol, both bool) memberstest.Filter {
	a, b := addr("n00"), addr("n01")
	return func(q memberstest.Protocol, from, to netip.Addr) bool {
		hit := from == a && to == b || both && from == b && to == a
		return !hit || p != "" && p != q
	}
}

// What the network loses between two speakers is told in words by both, whether there is a third that still reaches
// them, and is over when it is over.
func TestBrokenNetwork(t *testing.T) {
	for _, tt := range []struct {
		what           string
		n              int
		filter         memberstest.Filter
		atFirst, other []string // what n00 says of n01, and the other way round
	}{
		{"UDP", 3, lost(memberstest.UDP, true), []string{"it answers by TCP, but not by UDP"}, []string{"it answers by TCP, but not by UDP"}},
		{"TCP", 3, lost(memberstest.TCP, true), []string{"not by TCP", "i/o timeout"}, []string{"not by TCP"}},
		{"all", 3, lost("", true), []string{"only other speakers"}, []string{"only other speakers"}},
		{"all, of two", 2, lost("", true), []string{"no answer from port 17946", "node is down, or the port is blocked"}, []string{"no answer"}},
		{"UDP, of two", 2, lost(memberstest.UDP, true), []string{"it answers by TCP, but not by UDP"}, []string{"it answers by TCP, but not by UDP"}},
		{"one way", 3, lost("", false), []string{"its packets arrive here, but it answers none"}, []string{"only other speakers"}},
		{"one way, of two", 2, lost("", false), []string{"its packets arrive here, but it answers none"}, []string{"no answer"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			inCluster(t, tt.n, nil, func(c *cluster) {
				c.network.Carry(tt.filter)
				if tt.what == "TCP" {
					// Nobody needs TCP while packets arrive, but for the exchange of all states.
					c.eventually("an exchange fails", func() bool { return c.see("n00", "n01").Problem != "" })
				}
				c.problem("n00", "n01", tt.atFirst...)
				c.problem("n01", "n00", tt.other...)
				if !c.logged("n00", "a speaker has a problem", "n01", tt.atFirst[0]) {
					t.Error("it is not in the log")
				}
				if tt.n == 3 && c.see("n00", "n01").Presence != members.Alive {
					t.Error("it is lost, though the third speaker reaches it")
				}
				c.network.Carry(nil)
				c.noProblems()
			})
		})
	}
}

func TestNobodyListens(t *testing.T) {
	inCluster(t, 1, nil, func(c *cluster) {
		c.speakers["n00"].SetPeers(peers(2))
		c.problem("n00", "n01", "no speaker listens on port 17946 of 10.0.0.2")
		if m := c.see("n00", "n01"); m.Presence != members.Missing || m.Known {
			t.Errorf("%+v, want Missing", m)
		}
	})
}

func TestOtherName(t *testing.T) {
	inCluster(t, 2, nil, func(c *cluster) {
		c.speakers["n00"].SetPeers(append(peers(2), members.Peer{Node: "renamed", Addr: addr("n01")}))
		c.problem("n00", "renamed", "the speaker at 10.0.0.2:17946 bears another name, n01")
	})
}

func TestTwoOfOneName(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		m, err := members.Open(members.Options{
			Node: "n01", Addr: addr("n07"), Keys: [][]byte{key}, Network: c.network, Clocks: (&memberstest.Clocks{}).Read,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close(false)
		m.SetPeers(peers(1))
		c.problem("n00", "n01", "two speakers bear this name", "10.0.0.8:17946")
	})
}

var otherKey = bytes.Repeat([]byte{2}, 16)

func TestWrongKey(t *testing.T) {
	inCluster(t, 2, nil, func(c *cluster) {
		c.options = func(o *members.Options) { o.Keys = [][]byte{otherKey} }
		c.start("n02").SetPeers(peers(3))
		for _, m := range c.speakers {
			m.SetPeers(peers(3))
		}
		c.problem("n00", "n02", "cannot be decrypted: it has another key")
		c.problem("n02", "n00", "cannot be decrypted: it has another key")
		if n := c.speakers["n00"].Counters().WrongKey; n == 0 {
			t.Error("packets with a wrong key are not counted")
		}
		if err := c.speakers["n02"].SetKeys([][]byte{key}); err != nil {
			t.Fatal(err)
		}
		c.noProblems()

		// A speaker that has not heard of the new key yet is told so, by the one that uses it.
		if err := c.speakers["n00"].SetKeys([][]byte{otherKey, key}); err != nil {
			t.Fatal(err)
		}
		c.problem("n00", "n01", "it cannot decrypt what is sent from here")
		c.problem("n01", "n00", "cannot be decrypted: it has another key")
	})
}

func TestStrangerWithoutTheKey(t *testing.T) {
	inCluster(t, 1, nil, func(c *cluster) {
		c.options = func(o *members.Options) { o.Keys = [][]byte{otherKey} }
		c.start("n05").SetPeers(peers(1))
		c.eventually("logged", func() bool { return c.logged("n00", "where no speaker is expected", "10.0.0.6") })
		time.Sleep(30 * time.Second)
		if n := c.logs["n00"].Len(); n > 2 {
			t.Errorf("%d lines in the log: %v", n, c.logs["n00"].All())
		}
	})
}

// The key is changed while everybody goes on: no speaker is lost, nothing that is told is.
func TestKeyRotation(t *testing.T) {
	inCluster(t, 5, fast, func(c *cluster) {
		for step, keys := range [][][]byte{{key, otherKey}, {otherKey, key}, {otherKey}, {otherKey, key}, {key, otherKey}, {key}} {
			for i := range 5 {
				if err := c.speakers[name(i)].SetKeys(keys); err != nil {
					t.Fatal(err)
				}
				c.speakers[name(i)].Set(members.State{Held: held(step, 10*step+i)})
				time.Sleep(700 * time.Millisecond)
			}
		}
		c.eventually("all is known", c.together)
		for node, m := range c.speakers {
			if n := m.Counters(); n.Losses != 0 {
				t.Errorf("%s: %+v, want no loss", node, n)
			}
		}
	})
}

func TestPortInUse(t *testing.T) {
	inCluster(t, 1, nil, func(c *cluster) {
		occupied, err := c.network.ListenUDP(netip.AddrPortFrom(addr("n01"), members.DefaultPort))
		if err != nil {
			t.Fatal(err)
		}
		m := c.start("n01")
		m.SetPeers(peers(1))
		m.Set(members.State{Held: held(0, 1)})
		time.Sleep(10 * time.Second)
		if err := m.Ready(); !errors.Is(err, members.ErrPortInUse) || !strings.Contains(err.Error(), "UDP port 17946 of 10.0.0.2") {
			t.Errorf("Ready = %v, want it to say that the port is in use", err)
		}
		if !c.logged("n01", "no membership", "in use") || c.logs["n01"].Len() != 1 {
			t.Errorf("the log is %v, want one line", c.logs["n01"].All())
		}
		_ = occupied.Close()
		c.eventually("it is alive as soon as the port is free", c.together)
		if m.Ready() != nil {
			t.Errorf("Ready = %v", m.Ready())
		}
	})
}

// Nothing is claimed before the first exchange, or a second.
func TestReady(t *testing.T) {
	inCluster(t, 1, nil, func(c *cluster) {
		m := c.start("n01")
		if !errors.Is(m.Ready(), members.ErrStarting) {
			t.Errorf("at first Ready = %v, want ErrStarting", m.Ready())
		}
		if d := c.eventually("it goes on alone", func() bool { return m.Ready() == nil }); d < 900*time.Millisecond || d > 1100*time.Millisecond {
			t.Errorf("alone after %v, want 1s", d)
		}
		o := c.start("n02")
		changed := o.Changed()
		o.SetPeers(peers(2))
		if d := c.eventually("it has asked", func() bool { return o.Ready() == nil }); d > 500*time.Millisecond {
			t.Errorf("with others ready after %v", d)
		}
		select {
		case <-changed:
		default:
			t.Error("nobody was told of a change")
		}
		if m := c.see("n02", "n01"); m.Node == "" {
			t.Error("ready, and does not know n01")
		}
		o.Close(false)
		if !errors.Is(o.Ready(), members.ErrClosed) {
			t.Errorf("closed: Ready = %v", o.Ready())
		}
		delete(c.speakers, "n02")
	})
}

// What is offered to be kept is enough to find the others again.
func TestKnown(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		c.start("n03").SetPeers(peers(1))
		c.eventually("everybody has found it", c.together)
		known := c.speakers["n03"].Known()
		if len(known) != 3 {
			t.Fatalf("known are %v, want n00, n01 and n02", known)
		}
		c.kill("n00")
		c.kill("n03")
		c.eventually("lost", c.all("n03", members.Lost))
		c.start("n03").SetPeers(known)
		c.eventually("found again", c.together)
	})
}

func TestBadOptions(t *testing.T) {
	_, err := members.Open(members.Options{Addr: netip.IPv4Unspecified(), Keys: [][]byte{{1}, key}, Detection: 9})
	for _, want := range []string{`node ""`, "address 0.0.0.0", "keys[0]: 1 bytes; want 16, 24 or 32", "detection 9"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want %q", err, want)
		}
	}
	if _, err := members.Open(members.Options{Node: "a", Addr: addr("n00")}); err == nil || !strings.Contains(err.Error(), "keys: there is none") {
		t.Errorf("Open without keys = %v", err)
	}
}

func TestTooManyForFast(t *testing.T) {
	inCluster(t, 1, fast, func(c *cluster) {
		c.speakers["n00"].SetPeers(peers(51))
		c.speakers["n00"].SetPeers(peers(51))
		if !c.logged("n00", "fast failure detection is for few speakers", "51") {
			t.Error("51 speakers are not warned of")
		}
	})
}
