package gobgp_test

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// testLeaving looks at a route of a node that is drained. FRR acts on the community of its own accord.
func testLeaving(t *testing.T, m routers.Maker) {
	for _, x := range []struct {
		asn        uint32
		path, pref string
	}{
		{64512, "64512 64512 64512 64512", map[routers.Maker]string{routers.FRRouting: "0", routers.BIRDd: "100"}[m]},
		{65001, "", "0"},
	} {
		s := newStation(t, m, site{asn: x.asn})
		r := route("10.9.0.1/32")
		s.announce(s.peer(own(x.asn)), r)
		s.said(r, func(a attributes) bool { return a.Communities == "" })
		s.announce(s.peer(own(x.asn)), r.Leaving())
		s.said(r, func(a attributes) bool {
			known := a.Communities == "graceful-shutdown" || a.Communities == "gracefulShutdown" // FRR's way to write it
			return a.Path == x.path && a.LocalPref == x.pref && known
		})
	}
}

// testLeavingOneOfTwo is for two nodes, one of which is drained and comes back.
func testLeavingOneOfTwo(t *testing.T, m routers.Maker) {
	c := newCrossing(t, m)
	c.announce(0, 0)
	c.hops(1, 2)
	events := nstest.ListenForRoutes(t, c.router, "eth9")
	sent, stop := c.stream()
	peers := []bgp.Peer{{Name: "router", Address: netip.MustParseAddr("10.0.1.2"), PeerASN: 65001, MyASN: 64512}}
	c.nodes[0].set(peers, route(shared+"/32").Leaving())
	c.hops(2)
	changed := len(events.Of(shared))
	before := sent.Load()
	nstest.Eventually(t, "what is on its way has come", func() (bool, any) { return sent.Load() > before+100, sent.Load() })
	first, second := c.received[0].Load(), c.received[1].Load()
	nstest.Eventually(t, "flows go to the other node", func() (bool, any) { return c.received[1].Load() > second+1000, c.received[1].Load() })
	if got := c.received[0].Load() - first; got > 0 {
		t.Errorf("the node that leaves gets %d more flows", got)
	}
	c.nodes[0].set(peers)
	nstest.Eventually(t, "the router has the other node's route alone", func() (bool, any) {
		text := c.table()
		return (strings.Contains(text, "10.0.2.1 from") || strings.Contains(text, "via 10.0.2.1")) && !strings.Contains(text, "10.0.1.1 from") && !strings.Contains(text, "via 10.0.1.1"), text
	})
	if all := events.Of(shared); len(all) != changed {
		t.Errorf("the kernel's route changes when the node's is withdrawn: %v", all[changed:])
	}
	c.nodes[0].set(peers, route(shared+"/32"))
	c.hops(1, 2)
	second = c.received[0].Load()
	nstest.Eventually(t, "flows go to the first node again", func() (bool, any) { return c.received[0].Load() > second+100, c.received[0].Load() })
	stop()
	nstest.Eventually(t, "no packet is lost", func() (bool, any) {
		all := []int64{sent.Load(), c.received[0].Load(), c.received[1].Load()}
		return all[1]+all[2] == all[0], all
	})
	for _, e := range events.Of(shared) {
		if e.Deleted {
			t.Errorf("for a moment there is no route: %v", events.Of(shared))
		}
	}
}

// stream sends a packet of another flow each millisecond, until it is stopped.
func (c *crossing) stream() (sent *atomic.Int64, stop func()) {
	c.t.Helper()
	var conns []*net.UDPConn
	nstest.Do(c.t, c.client, func() {
		for range 500 {
			conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP(shared), Port: 9})
			if err != nil {
				c.t.Fatal(err)
			}
			c.t.Cleanup(func() { _ = conn.Close() })
			conns = append(conns, conn)
		}
	})
	sent = new(atomic.Int64)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			if _, err := conns[i%len(conns)].Write([]byte("x")); err != nil {
				c.t.Error(err)
			}
			sent.Add(1)
		}
	}()
	stop = sync.OnceFunc(func() {
		close(end)
		<-ended
	})
	c.t.Cleanup(stop)
	return sent, stop
}

// hops waits until the router's kernel has these nodes as next hops.
func (c *crossing) hops(nodes ...int) {
	c.t.Helper()
	nstest.Eventually(c.t, "the kernel's next hops are the right ones", func() (bool, any) {
		text := nstest.Run(c.t, "ip", "-n", c.router, "route", "show", shared)
		right := strings.Count(text, "via ") == len(nodes)
		for _, n := range nodes {
			right = right && strings.Contains(text, "via 10.0."+string(rune('0'+n))+".1 ")
		}
		return right, text
	})
}

// table is what the router's daemon has for the address.
func (c *crossing) table() string {
	c.t.Helper()
	if c.bird != nil {
		return c.bird.Ask("show", "route", shared+"/32")
	}
	out, err := c.frr.Ask("bgpd", "show bgp ipv4 unicast "+shared+"/32")
	if err != nil {
		c.t.Fatal(err)
	}
	return string(out)
}
