package members_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/announce/members/memberstest"
)

func fast(o *members.Options) { o.Detection = members.Fast }

// all reports whether everybody but of sees of so.
func (c *cluster) all(of string, is members.Presence) func() bool {
	return func() bool {
		for from := range c.speakers {
			if from != of && c.see(from, of).Presence != is {
				return false
			}
		}
		return true
	}
}

func TestCrash(t *testing.T) {
	for what, options := range map[string]func(*members.Options){"normal": nil, "fast": fast} {
		inCluster(t, 5, options, func(c *cluster) {
			c.speakers["n02"].Set(members.State{Held: held(0, 3)})
			c.eventually("known", c.together)
			c.kill("n02")
			t.Logf("%s: lost after %v", what, c.eventually("lost", c.all("n02", members.Lost)))
			if m := c.see("n00", "n02"); len(m.State.Held) != 3 {
				t.Errorf("%s: what is remembered of a lost speaker is %+v, want what it held", what, m)
			}
			c.problem("n00", "n02", "no speaker listens")
			if n := c.speakers["n00"].Counters(); n.Losses != 1 || n.Joins != 4 || n.Alive != 4 {
				t.Errorf("%s: %+v, want 1 loss, 4 joins and 4 alive", what, n)
			}
			if !c.logged("n00", "speaker lost", "n02") {
				t.Errorf("%s: the loss is not in the log", what)
			}
		})
	}
}

func TestLeave(t *testing.T) {
	inCluster(t, 4, nil, func(c *cluster) {
		go c.speakers["n01"].Close(true)
		d := c.eventually("left", c.all("n01", members.Left))
		t.Logf("left after %v", d)
		time.Sleep(5 * time.Second)
		if m := c.see("n00", "n01"); m.Presence != members.Left || m.Problem != "" {
			t.Errorf("a speaker that left is %+v", m)
		}
		if n := c.speakers["n00"].Counters(); n.Losses != 0 {
			t.Errorf("%d losses, want none", n.Losses)
		}
		delete(c.speakers, "n01")
		c.start("n01").SetPeers(peers(4))
		c.eventually("back", c.together)
	})
}

// A speaker that restarts at once is never lost, and what its older self held is gone with the first exchange.
func TestRestart(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		for range 3 {
			c.speakers["n01"].Set(members.State{Held: held(0, 9)})
			c.speakers["n01"].Set(members.State{Held: held(0, 10)})
			c.eventually("known", c.together)
			c.kill("n01")
			c.start("n01").SetPeers(peers(3)[:1])
			c.eventually("its older self is forgotten", func() bool { return len(c.see("n00", "n01").State.Held) == 0 })
			c.eventually("everywhere", c.together)
		}
		if n := c.speakers["n00"].Counters(); n.Losses != 0 {
			t.Errorf("%d losses, want none", n.Losses)
		}
	})
}

// An older self that began later by the clock, which was set back since, is outdone all the same.
func TestRestartWithTheClockSetBack(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		c.speakers["n01"].Set(members.State{Held: held(0, 10)})
		c.eventually("known", c.together)
		c.kill("n01")
		members.Instance(t, 7) // the next one to start has this number
		c.start("n01").SetPeers(peers(3))
		c.speakers["n01"].Set(members.State{Held: held(5, 2)})
		c.eventually("its older self is forgotten", c.together)
	})
}

func TestMovedNode(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		c.kill("n01")
		c.options = func(o *members.Options) {
			if o.Node == "n01" {
				o.Addr = netip.MustParseAddr("10.0.0.77")
			}
		}
		moved := peers(3)
		moved[1].Addr = netip.MustParseAddr("10.0.0.77")
		c.start("n01").SetPeers(moved)
		c.speakers["n00"].SetPeers(moved)
		c.eventually("back with another address", func() bool {
			return c.together() && c.see("n02", "n01").Addr.Addr() == moved[1].Addr
		})
	})
}

func TestGone(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		list := peers(3)
		list[2].Gone = true
		c.speakers["n00"].SetPeers(list)
		if m := c.see("n00", "n02"); m.Presence != members.Gone || !m.Known {
			t.Errorf("at once: %+v, want Gone", m)
		}
		list[2].Gone = false
		c.speakers["n00"].SetPeers(list)
		if m := c.see("n00", "n02"); m.Presence != members.Alive {
			t.Errorf("taken back: %+v, want Alive", m)
		}
		c.kill("n02")
		c.eventually("lost", c.all("n02", members.Lost))
		for _, m := range c.speakers {
			m.SetPeers(peers(2))
		}
		time.Sleep(time.Second)
		before := c.speakers["n00"].Counters().Attempts
		time.Sleep(30 * time.Second)
		if n := c.speakers["n00"].Counters().Attempts; n != before {
			t.Errorf("%d attempts at a speaker that is not expected any more", n-before)
		}
		if m := c.see("n00", "n02"); m.Presence != members.Lost || !m.Known {
			t.Errorf("%+v, want what it was still to be known", m)
		}
		members.Forget(c.speakers["n00"], 23*time.Hour)
		if m := c.see("n00", "n02"); !m.Known {
			t.Errorf("%+v, want it to be known for a day", m)
		}
		members.Forget(c.speakers["n00"], 25*time.Hour)
		if m := c.see("n00", "n02"); m.Node != "" {
			t.Errorf("a day later: %+v, want it forgotten", m)
		}
	})
}

// Who says of a deleted node that it is gone need not know when to stop saying so.
func TestDeletedNodeIsForgotten(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		c.kill("n02")
		c.eventually("lost", c.all("n02", members.Lost))
		list := peers(3)
		list[2].Gone = true
		m := c.speakers["n00"]
		m.SetPeers(list)
		time.Sleep(time.Minute) // an attempt at it may have been under way
		members.Forget(m, 23*time.Hour)
		if m := c.see("n00", "n02"); m.Presence != members.Gone || !m.Known {
			t.Errorf("%+v, want it Gone and known for a day", m)
		}
		members.Forget(m, 25*time.Hour)
		if m := c.see("n00", "n02"); m.Node != "" {
			t.Errorf("a day later: %+v, want it forgotten", m)
		}
	})
}

// A network that parts and heals: everybody is together again, however long it took.
func TestPartition(t *testing.T) {
	for _, n := range []int{2, 3, 6} {
		for _, long := range []time.Duration{5 * time.Second, 10 * time.Second, 40 * time.Second, time.Minute} {
			if n == 6 && long > 10*time.Second {
				break
			}
			inCluster(t, n, nil, func(c *cluster) {
				side := []netip.Addr{addr("n00")}
				if n == 6 {
					side = append(side, addr("n03"), addr("n05"))
				}
				c.network.Carry(memberstest.Parted(side...))
				time.Sleep(long)
				if m := c.see("n01", "n00"); m.Presence != members.Lost {
					t.Errorf("in a partition: %+v, want Lost", m)
				}
				c.speakers["n00"].Set(members.State{Held: held(0, 2000), Draining: true})
				c.speakers["n01"].Set(members.State{Held: held(1, 2)})
				c.network.Carry(nil)
				d := c.eventually("together again", c.together)
				t.Logf("%d speakers, parted for %v: together after %v", n, long, d)
				for node, m := range c.speakers {
					want := len(side)
					if slices.Contains(side, addr(node)) {
						want = n - len(side)
					}
					if lost := m.Counters().Losses; lost != uint64(want) {
						t.Errorf("%s has lost %d, want %d: those on the other side, once", node, lost, want)
					}
				}
				limit := 2*time.Second + long/8
				if d > min(limit, 12*time.Second) {
					t.Errorf("%v after %v, want %v at most", d, long, limit)
				}
			})
		}
	}
}

// Two halves of a network that have the same addresses meet within a second after it is whole again, however long it was
// not: both answer until then. So do those that find another one's before their own turn.
func TestPartitionOfHolders(t *testing.T) {
	for range 10 {
		inCluster(t, 4, nil, func(c *cluster) {
			for i, node := range []string{"n00", "n01", "n02", "n03"} {
				c.speakers[node].Set(members.State{Held: held(10*i, 10)})
			}
			c.eventually("all know", c.together)
			c.network.Carry(memberstest.Parted(addr("n00"), addr("n01")))
			time.Sleep(3 * time.Second)
			c.speakers["n01"].Set(members.State{Held: held(10, 30)}) // and n00 takes nothing
			c.speakers["n02"].Set(members.State{Held: held(20, 10)})
			c.speakers["n03"].Set(members.State{Held: append(held(0, 20), held(30, 10)...)})
			time.Sleep(10*time.Minute + rand.N(10*time.Second))
			before := c.speakers["n01"].Counters().Attempts
			time.Sleep(time.Minute)
			if n := c.speakers["n01"].Counters().Attempts - before; n > 240 {
				t.Errorf("%d attempts in a minute", n)
			}
			if n := c.speakers["n00"].Counters().Attempts; n > 2*300 {
				t.Errorf("one that holds nothing of the others has made %d attempts", n)
			}
			c.network.Carry(nil)
			if d := c.eventually("together again", c.together); d > time.Second {
				t.Errorf("together after %v", d)
			}
		})
	}
}

// A speaker that returns brings old verdicts along, also that one has left that is long back: none of them counts.
func TestStaleVerdicts(t *testing.T) {
	stale := uint64(0)
	for i := 0; i < 10 || stale == 0 && i < 200; i++ { // whom the returning one tells first is chance
		inCluster(t, 3, nil, func(c *cluster) {
			go c.speakers["n01"].Close(true)
			c.eventually("left", c.all("n01", members.Left))
			time.Sleep(time.Second) // for memberlist to have heard of it too
			c.network.Carry(memberstest.Parted(addr("n00")))
			delete(c.speakers, "n01")
			c.kill("n02")
			for _, node := range []string{"n01", "n02"} { // these know nothing of what was
				c.start(node).SetPeers(peers(3))
			}
			c.eventually("two are together", func() bool {
				return c.see("n01", "n02").Presence == members.Alive && c.see("n02", "n01").Presence == members.Alive
			})
			c.network.Carry(nil)
			c.eventually("all are together", c.together)
			for _, node := range []string{"n01", "n02"} {
				n := c.speakers[node].Counters()
				stale += n.StaleLosses
				if n.Losses != 0 {
					t.Errorf("%s has lost %d, want none", node, n.Losses)
				}
			}
		})
	}
	if stale == 0 {
		t.Error("no old verdict came: this shows nothing")
	}
}

// What a speaker held when it was lost it is not taken to hold when it is back, not even for a moment.
func TestBackWithAnotherState(t *testing.T) {
	for range 10 {
		inCluster(t, 3, nil, func(c *cluster) {
			a := c.speakers["n00"]
			a.Set(members.State{Held: held(0, 3)})
			c.eventually("known", c.together)
			c.network.Carry(memberstest.Parted(addr("n00")))
			a.Set(members.State{}) // which is told to nobody, as often as it is told
			c.eventually("lost", c.all("n00", members.Lost))
			c.network.Carry(nil)
			for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
				for _, from := range []string{"n01", "n02"} {
					if m := c.see(from, "n00"); m.Presence == members.Alive && len(m.State.Held) > 0 {
						t.Fatalf("%v after it could be reached %s sees %+v", time.Since(begin), from, m)
					}
				}
			}
			if !c.together() {
				t.Error("they are not together")
			}
		})
	}
}

// The same where one learns from another that it is back, and cannot reach it.
func TestBackBehindAnother(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		a := c.speakers["n00"]
		a.Set(members.State{Held: held(0, 3)})
		c.eventually("known", c.together)
		c.network.Carry(memberstest.Parted(addr("n00")))
		a.Set(members.State{})
		c.eventually("lost", c.all("n00", members.Lost))
		c.network.Carry(func(_ memberstest.Protocol, from, to netip.Addr) bool {
			return !(from == addr("n00") && to == addr("n02") || from == addr("n02") && to == addr("n00"))
		})
		for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
			if m := c.see("n02", "n00"); m.Presence == members.Alive && len(m.State.Held) > 0 {
				t.Fatalf("%v after one could reach it the other one sees %+v", time.Since(begin), m)
			}
		}
		if !c.all("n00", members.Alive)() {
			t.Error("the other one does not take the word of the one that reaches it")
		}
		c.network.Carry(nil)
		c.eventually("together", c.together)
	})
}

// One that stood still holds nothing when it goes on, whatever its owner has not said yet.
func TestStandingStillHoldsNothing(t *testing.T) {
	inCluster(t, 2, nil, func(c *cluster) {
		c.speakers["n00"].Set(members.State{Held: held(0, 3), Draining: true})
		c.eventually("known", c.together)
		c.clocks["n00"].Stall(3 * time.Second)
		c.eventually("it holds nothing", func() bool {
			s := c.see("n01", "n00").State
			return len(s.Held) == 0 && s.Draining
		})
	})
}

// Packets that get lost cost nobody its membership, and nothing that is told gets lost for good.
func TestLossyNetwork(t *testing.T) {
	inCluster(t, 5, nil, func(c *cluster) {
		c.network.Carry(memberstest.Losing(0.2))
		for i := range 200 {
			c.speakers[name(i%5)].Set(members.State{Held: held(i, i%30)})
			time.Sleep(73 * time.Millisecond)
		}
		t.Logf("after the last change: %v", c.eventually("all is known", c.together))
		for node, m := range c.speakers {
			if n := m.Counters(); n.Losses != 0 || n.DecodeErrors != 0 {
				t.Errorf("%s: %+v, want no loss and no broken message", node, n)
			}
		}
	})
}

func TestStandingStill(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		a := c.speakers["n00"]
		c.network.Carry(memberstest.Parted(addr("n00")))
		c.clocks["n00"].Stall(3 * time.Second)
		c.eventually("it is silent", func() bool { return errors.Is(a.Ready(), members.ErrClockLapse) })
		var lapse *members.ClockLapseError
		if !errors.As(a.Ready(), &lapse) || lapse.Lapse != 3*time.Second {
			t.Errorf("Ready = %v, want a lapse of 3s", a.Ready())
		}
		time.Sleep(2 * time.Second)
		if a.Ready() == nil {
			t.Error("it answers without having heard from anybody")
		}
		c.network.Carry(nil)
		t.Logf("back after %v", c.eventually("it answers again", func() bool { return a.Ready() == nil }))

		c.clocks["n00"].Stall(time.Second) // less than it takes to be lost
		time.Sleep(200 * time.Millisecond)
		if n := a.Counters().ClockLapses; a.Ready() != nil || n != 1 {
			t.Errorf("after a second: %v, %d lapses; want it not to matter", a.Ready(), n)
		}
		c.network.Carry(memberstest.Parted(addr("n00")))
		c.clocks["n00"].Stall(time.Hour)
		c.eventually("it is silent", func() bool { return a.Ready() != nil })
		d := c.eventually("it goes on alone when nobody is there", func() bool { return a.Ready() == nil })
		if d < 9*time.Second || d > 11*time.Second {
			t.Errorf("alone after %v, want 10s", d)
		}
	})
}

// A speaker whose process gets no time finds out as soon as it does.
func TestAloneAndStandingStill(t *testing.T) {
	inCluster(t, 1, fast, func(c *cluster) {
		time.Sleep(2 * time.Second)
		c.clocks["n00"].Stall(time.Minute)
		time.Sleep(100 * time.Millisecond)
		if err := c.speakers["n00"].Ready(); err != nil {
			t.Errorf("Ready = %v, though there is nobody to ask", err)
		}
		if n := c.speakers["n00"].Counters().ClockLapses; n != 1 {
			t.Errorf("%d lapses, want 1", n)
		}
	})
}
