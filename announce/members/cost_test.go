package members_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce/members"
)

// A change of one address among 5,000 costs what a change costs, not what 5,000 addresses do.
func TestBytesPerChange(t *testing.T) {
	for _, n := range []int{3, 10, 50} {
		if n == 50 && testing.Short() {
			break // takes half a minute with the race detector
		}
		inCluster(t, n, nil, func(c *cluster) {
			m := c.speakers["n01"]
			m.Set(members.State{Held: held(0, 5000)})
			c.eventually("known", c.together)
			time.Sleep(5 * time.Second)
			measure := func(d time.Duration, change func()) (packets, bytes int) {
				c.network.Sent()
				for range 10 {
					change()
					time.Sleep(d / 10)
				}
				return c.network.Sent()
			}
			const d = 10 * time.Second
			_, idle := measure(d, func() {})
			next := 5000
			_, busy := measure(d, func() {
				next++
				m.Set(members.State{Held: held(next-5000, 5000)}) // one goes, one comes
			})
			if !c.together() {
				t.Error("a change is not known everywhere")
			}
			each := (busy - idle) / 10
			t.Logf("%d speakers: %d B for each change, %d B for each speaker; idle %d B/s for each", n, each, each/n, idle/n/int(d.Seconds()))
			if each/n > 2000 {
				t.Errorf("%d speakers: %d B for each change and speaker, want 2000 at most", n, each/n)
			}
		})
	}
}

// Everything at once is asked for, not passed on: 5,000 addresses at random, 40 kB, go once to everybody.
func TestBytesOfEverything(t *testing.T) {
	inCluster(t, 3, nil, func(c *cluster) {
		m := c.speakers["n01"]
		var all []netip.Addr
		for i := range 5000 {
			b := [16]byte{0: 0xfd, 8: byte(i * 7), 10: byte(i * 13), 12: byte(i >> 8), 15: byte(i)}
			all = append(all, netip.AddrFrom16(b))
		}
		before := map[string]members.Counters{}
		for node, m := range c.speakers {
			before[node] = m.Counters()
		}
		_, _ = c.network.Sent()
		m.Set(members.State{Held: all})
		d := c.eventually("known", c.together)
		_, packets := c.network.Sent()
		var streams uint64
		for node, m := range c.speakers {
			streams += m.Counters().TCPSent - before[node].TCPSent
		}
		t.Logf("5,000 addresses at once are known after %v: %d B by UDP, %d B by TCP", d, packets, streams)
		if d > time.Second || packets > 5000 {
			t.Errorf("%v and %d B by UDP, want a second and 5000 at most", d, packets)
		}
	})
}
