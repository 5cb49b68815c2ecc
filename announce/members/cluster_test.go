package members_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/announce/members/memberstest"
)

var key = bytes.Repeat([]byte{1}, 32)

// cluster is speakers on a simulated network, named a, b, c and so on.
type cluster struct {
	t        *testing.T
	network  *memberstest.Network
	options  func(*members.Options)
	speakers map[string]*members.Membership
	clocks   map[string]*memberstest.Clocks
	logs     map[string]*observer.ObservedLogs
}

// inCluster runs a test with n speakers that are all alive; options change those of each.
func inCluster(t *testing.T, n int, options func(*members.Options), f func(c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{
			t: t, network: &memberstest.Network{}, options: options, speakers: map[string]*members.Membership{},
			clocks: map[string]*memberstest.Clocks{}, logs: map[string]*observer.ObservedLogs{},
		}
		defer c.close()
		for i := range n {
			c.start(name(i))
		}
		for _, m := range c.speakers {
			m.SetPeers(peers(n))
		}
		c.eventually("everybody is alive everywhere", c.together)
		f(c)
	})
}

func name(i int) string { return fmt.Sprintf("n%02d", i) }

func addr(node string) netip.Addr {
	var i byte
	_, _ = fmt.Sscanf(node, "n%d", &i)
	return netip.AddrFrom4([4]byte{10, 0, 0, i + 1})
}

func peers(n int) []members.Peer {
	var out []members.Peer
	for i := range n {
		out = append(out, members.Peer{Node: name(i), Addr: addr(name(i))})
	}
	return out
}

// start starts a speaker that knows nobody.
func (c *cluster) start(node string) *members.Membership {
	c.t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	c.clocks[node] = &memberstest.Clocks{}
	o := members.Options{
		Node: node, Addr: addr(node), Keys: [][]byte{key}, Network: c.network, Logger: zap.New(core), Clocks: c.clocks[node].Read,
	}
	if c.options != nil {
		c.options(&o)
	}
	m, err := members.Open(o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.speakers[node], c.logs[node] = m, logs
	return m
}

// kill stops a speaker without a word.
func (c *cluster) kill(node string) {
	c.speakers[node].Close(false)
	delete(c.speakers, node)
}

func (c *cluster) close() {
	for _, m := range c.speakers {
		m.Close(false)
	}
	time.Sleep(5 * time.Second) // memberlist's goroutines end by themselves
}

// see is what one speaker sees of another.
func (c *cluster) see(from, of string) members.Member {
	for _, m := range c.speakers[from].Members() {
		if m.Node == of {
			return m
		}
	}
	return members.Member{}
}

// together reports whether all speakers see each other alive and know the same of each other.
func (c *cluster) together() bool {
	for from := range c.speakers {
		for of, other := range c.speakers {
			m, own := c.see(from, of), members.Member{}
			for _, o := range other.Members() {
				if o.Node == of {
					own = o
				}
			}
			if m.Presence != members.Alive || !m.Known || text(m.State) != text(own.State) {
				return false
			}
		}
	}
	return true
}

func text(s members.State) string { return fmt.Sprintf("%+v", s) }

// eventually waits until it is so, a minute at most, and says how long it took.
func (c *cluster) eventually(what string, done func() bool) time.Duration {
	c.t.Helper()
	start := time.Now()
	for !done() {
		if time.Since(start) > time.Minute {
			for from := range c.speakers {
				v, _ := c.speakers[from].View()
				c.t.Logf("%s sees %+v", from, v)
				for _, l := range c.logs[from].All() {
					c.t.Logf("%s: %s %v", from, l.Message, l.ContextMap())
				}
			}
			c.t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// logged reports whether a speaker has logged all the words in one line.
func (c *cluster) logged(node string, words ...string) bool {
	for _, l := range c.logs[node].All() {
		line, all := l.Message+fmt.Sprint(l.ContextMap()), true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

func held(first, n int) []netip.Addr {
	var out []netip.Addr
	for i := first; i < first+n; i++ {
		out = append(out, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
	}
	return out
}

func TestTogether(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10} {
		inCluster(t, n, nil, func(c *cluster) {
			for i := range n {
				c.speakers[name(i)].Set(members.State{Held: held(100*i, i+1), Starting: i == 0})
			}
			d := c.eventually("everybody knows what the others hold", c.together)
			t.Logf("%d speakers: known everywhere after %v", n, d)
		})
	}
}
