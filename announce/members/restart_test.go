package members_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce/members"
)

// A speaker that restarts leaves with what it held, also for one that comes meanwhile; how long it may take counts from
// when it was told, and anew when it is back.
func TestPlannedRestart(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		all := held(0, 20)
		one := c.speakers["n00"]
		one.Set(members.State{Held: all})
		c.eventually("they know what it holds", c.together)
		one.Set(members.State{Held: all, Draining: true, Restarting: 30 * time.Second})
		c.eventually("they know that it restarts", func() bool { return c.see("n01", "n00").State.Restarting == 30*time.Second })
		told := time.Now()
		c.speakers["n01"].Set(members.State{Standing: all[:5]})
		c.eventually("it knows who stands in", func() bool {
			s := c.see("n00", "n01").State
			return slices.Equal(s.Standing, all[:5]) && s.StandsIn(all[0]) && !s.StandsIn(all[5]) && !s.Holds(all[0])
		})
		one.Close(true)
		delete(c.speakers, "n00")
		time.Sleep(3 * time.Second)
		c.start("n03").SetPeers(peers(4))
		c.speakers["n01"].SetPeers(peers(4))
		time.Sleep(time.Second)
		for _, from := range []string{"n01", "n02", "n03"} {
			m := c.see(from, "n00")
			late := m.Until.Sub(told.Add(30 * time.Second))
			if m.Presence == members.Alive || m.State.Restarting == 0 || !slices.Equal(m.State.Held, all) || late < -time.Second || late > time.Second {
				t.Errorf("%s sees %+v, until %v later than it should be", from, m, late)
			}
			if from != "n03" && (m.Presence != members.Left || c.logged(from, "speaker lost")) {
				t.Errorf("%s sees %v", from, m.Presence)
			}
		}
		back := c.start("n00")
		back.SetPeers(peers(4))
		back.Set(members.State{Starting: true, Held: all, Restarting: 20 * time.Second})
		c.eventually("it is back", c.together)
		if m := c.see("n02", "n00"); m.Presence != members.Alive || !slices.Equal(m.State.Held, all) || time.Until(m.Until) < 15*time.Second || time.Until(m.Until) > 21*time.Second {
			t.Errorf("it is seen as %+v", m)
		}
		back.Set(members.State{Held: all})
		c.speakers["n01"].Set(members.State{})
		c.eventually("it is as before", c.together)
		if m := c.see("n02", "n00"); m.State.Restarting > 0 || !m.Until.IsZero() {
			t.Errorf("it is seen as %+v", m)
		}
	})
}

// Who stands in for very many is waited for less than the second that a speaker has.
func TestManyStoodInFor(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		many := held(0, 10_000)
		c.speakers["n01"].Set(members.State{Standing: many})
		d := c.eventually("it is known", func() bool { return len(c.see("n00", "n01").State.Standing) == len(many) })
		t.Logf("%d addresses are told in %v", len(many), d)
		if d > 800*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

// One that leaves for good holds nothing any more, and one that stood still neither restarts nor stands in.
func TestNoRestart(t *testing.T) {
	inCluster(t, 2, nil, func(c *cluster) {
		c.speakers["n00"].Set(members.State{Held: held(0, 3), Standing: held(5, 2), Restarting: time.Minute})
		c.eventually("it is known", c.together)
		c.clocks["n00"].Stall(3 * time.Second)
		c.eventually("it stood still", func() bool {
			s := c.see("n01", "n00").State
			return s.Restarting == 0 && len(s.Held)+len(s.Standing) == 0
		})
		c.speakers["n00"].Set(members.State{Held: held(0, 3), Standing: held(5, 2)})
		c.speakers["n00"].Close(true)
		delete(c.speakers, "n00")
		c.eventually("it has left", func() bool {
			m := c.see("n01", "n00")
			return m.Presence == members.Left && len(m.State.Held)+len(m.State.Standing) == 0
		})
	})
}
