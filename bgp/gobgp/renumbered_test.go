package gobgp_test

import (
	"net/netip"
	"testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/routers"
)

// testRenumbered has a router come back that expects another address of ours than we had when it went away.
func testRenumbered(t *testing.T, m routers.Maker) {
	s := newStation(t, m, site{ours: "10.0.1.7"})
	s.frr.Stop("bgpd")
	s.set([]bgp.Peer{s.peer()}, one...)
	s.downFor("refuses connections")
	s.ip(s.node, "addr", "del", "10.0.1.1/24", "dev", "eth1")
	s.ip(s.node, "addr", "add", "10.0.1.7/24", "dev", "eth1")
	s.frr.Start("bgpd")
	s.up("router")
	c := s.status("router").Conn
	if c.Local != netip.MustParseAddr("10.0.1.7") || c.Interface != "eth1" {
		t.Errorf("the session is %+v", c)
	}

	s.frr.Stop("bgpd")
	s.downFor("refuses connections")
	s.ip(s.node, "link", "set", "eth1", "down")
	s.ip(s.node, "link", "set", "eth1", "name", "eth3")
	s.ip(s.node, "link", "set", "eth3", "up")
	s.frr.Start("bgpd")
	s.up("router")
	if c := s.status("router").Conn; c.Interface != "eth3" {
		t.Errorf("BFD would look for the router on %s: %+v", c.Interface, c)
	}
}
