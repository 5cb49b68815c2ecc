package speaker

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
)

// TestReadyWithItsSessions: a speaker is Ready with its sessions, or half a minute after it began; one that is lost later
// changes nothing.
func TestReadyWithItsSessions(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		near, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		var memory bgp.Memory
		routes := bgp.NewSpeaker(&memory, bgp.Options{})
		memory.Behave(near, bgp.Away, "no")
		c.configure(both)
		c.populate("10.1.0.1")
		s := c.start(c, routes, &recordedClaims{}, nil)
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "BGP: the session with 192.0.2.1 is not up yet") {
			t.Errorf("Ready = %v", err)
		}
		memory.Behave(near, bgp.Answers, "")
		time.Sleep(5 * time.Second)
		if err := s.Ready(); err != nil {
			t.Errorf("with its session: %v", err)
		}
		memory.Behave(near, bgp.Away, "no")
		if err := s.Ready(); err != nil {
			t.Errorf("a session that was lost: %v", err)
		}
		memory.Behave(near, bgp.Answers, "")
		c.configure(strings.Replace(both, "peers: [", "peers: [{peer_address: 192.0.2.2, peer_asn: 64501, my_asn: 64500}, ", 1))
		memory.Behave(far, bgp.Away, "no")
		c.stops[s]()
		routes.Close(false)

		next := bgp.NewSpeaker(&memory, bgp.Options{})
		defer next.Close(false)
		s = c.start(c, next, &recordedClaims{}, nil)
		time.Sleep(sessionTime - 5*time.Second)
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "192.0.2.2") {
			t.Errorf("Ready = %v", err)
		}
		time.Sleep(5 * time.Second)
		if err := s.Ready(); err != nil {
			t.Errorf("after %s: %v", sessionTime, err)
		}
	})
}
