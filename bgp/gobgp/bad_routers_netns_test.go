package gobgp_test

import (
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// scripted is a router that does one thing with whoever connects.
type scripted struct {
	port  uint16
	dials atomic.Int32
}

// script starts a scripted router in a namespace. What it does may keep the connection open; it is closed when the
// test ends.
func script(t testing.TB, namespace string, port uint16, do func(c *net.TCPConn)) *scripted {
	t.Helper()
	s := &scripted{port: port}
	var listener net.Listener
	nstest.Do(t, namespace, func() {
		var err error
		if listener, err = net.Listen("tcp", ":"+strconv.Itoa(int(port))); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.dials.Add(1)
			t.Cleanup(func() { _ = c.Close() })
			go do(c.(*net.TCPConn))
		}
	}()
	return s
}

// hearOpen reads our OPEN.
func hearOpen(c net.Conn) {
	head := make([]byte, packet.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(c, head); err == nil {
		_, _ = io.CopyN(io.Discard, c, int64(head[16])<<8+int64(head[17])-packet.BGP_HEADER_LENGTH)
	}
}

// wired is a message as it is sent.
func wired(m *packet.BGPMessage) []byte {
	b, err := m.Serialize() //nolint:misspell // its name
	if err != nil {
		panic(err)
	}
	return b
}

func silent(*net.TCPConn) {}

func refusing(code, subcode uint8) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		hearOpen(c)
		_, _ = c.Write(wired(packet.NewBGPNotificationMessage(code, subcode, nil)))
		_ = c.Close()
	}
}

func resetting(c *net.TCPConn) {
	hearOpen(c)
	_ = c.SetLinger(0)
	_ = c.Close()
}

// flood is how many routes a router of the test sends.
const flood = 60000

// TestNetnsBadRoutersTouchNobody has one good router beside six bad ones.
func TestNetnsBadRoutersTouchNobody(t *testing.T) {
	good := newStation(t, routers.FRRouting, site{})
	flooding := newStation(t, routers.BIRDd, site{ours: "10.0.2.1", routes: flood})
	flooding.kill() // one speaker does for all
	// The flooding router gets a second interface to the one node.
	nstest.Run(t, "ip", "-n", good.node, "link", "add", "eth2", "type", "veth", "peer", "name", "eth9", "netns", flooding.ns)
	for _, end := range [][3]string{{good.node, "10.0.2.1/24", "eth2"}, {flooding.ns, "10.0.2.2/24", "eth9"}} {
		nstest.Run(t, "ip", "-n", end[0], "addr", "add", end[1], "dev", end[2])
		nstest.Run(t, "ip", "-n", end[0], "link", "set", end[2], "up")
	}
	// A wrong password is known by silence: the router's kernel drops what is signed with another key.
	at := func(name, address string, port uint16) bgp.Peer {
		return bgp.Peer{Name: name, Address: netip.MustParseAddr(address), Port: port, PeerASN: 65001, MyASN: 64512}
	}
	scripts := map[string]*scripted{
		"silent":   script(t, good.ns, 1181, silent),
		"refusing": script(t, good.ns, 1182, refusing(packet.BGP_ERROR_OPEN_MESSAGE_ERROR, packet.BGP_ERROR_SUB_BAD_PEER_AS)),
		"resets":   script(t, good.ns, 1183, resetting),
		"unsigned": script(t, good.ns, 1184, silent),
	}
	peers := []bgp.Peer{at("good", "10.0.1.2", 0), at("wrong ASN", "2001:db8:1::2", 0), at("flooding", "10.0.2.2", 0)}
	peers[2].MaxReceived = 40000
	for name, s := range scripts {
		p := at(name, "10.0.1.2", s.port)
		if name == "unsigned" {
			p.Password = "s3cret"
		}
		peers = append(peers, p)
	}
	if _, err := good.frr.Ask("bgpd", "configure terminal", "router bgp 65001", "neighbor 2001:db8:1::1 remote-as 64999",
		"address-family ipv6 unicast", "neighbor 2001:db8:1::1 activate"); err != nil {
		t.Fatal(err)
	}
	before := good.tell(command{Do: "memory"})
	good.set(peers, one...)
	good.up("good")
	begin := time.Now()
	for name, reason := range map[string]string{
		"wrong ASN": "the peer refused our OPEN", "flooding": "the peer sent more than 40000 routes of a family",
		"silent": "no answer to our OPEN within 15s", "refusing": "the peer refused our OPEN",
		"resets": "the peer closed the connection before the session was up", "unsigned": "wrong or missing password looks like this too",
	} {
		nstest.Eventually(t, name+" has its reason", func() (bool, any) { s := good.status(name); return contains(s.Reason, reason), s })
	}
	nstest.Eventually(t, "half a minute has passed", func() (bool, any) { return time.Since(begin) > 30*time.Second, nil })

	start := time.Now()
	good.set(peers, append(one[:1:1], route("10.9.0.7/32"))...)
	nstest.Eventually(t, "the good router has a new route", func() (bool, any) { r := good.learnt(); return len(r) == 2, r })
	t.Logf("the good router had a new route after %s", time.Since(start))
	if s := good.status("good"); s.Flaps != 0 || s.State != bgp.Established || good.frr.Neighbour("10.0.1.1").ConnectionsEstablished != 1 {
		t.Errorf("the good session was touched: %+v", s)
	}
	for name, most := range map[string]int32{"silent": 4, "refusing": 10, "resets": 10, "unsigned": 0} {
		n := scripts[name].dials.Load()
		t.Logf("%s was dialled %d times in %s", name, n, time.Since(begin).Round(time.Second))
		if n > most || n == 0 && most > 0 {
			t.Errorf("%s was dialled %d times, want at most %d", name, n, most)
		}
	}
	for _, p := range peers[1:] {
		lines := 0
		for line := range strings.Lines(good.stderr.String()) {
			if contains(line, `"peer": "`+p.Name+`"`) && contains(line, "WARN") {
				lines++
			}
		}
		if lines != 1 {
			t.Errorf("%s is warned of in %d lines, want 1", p.Name, lines)
		}
	}
	good.set(peers[:1], one...)
	nstest.Eventually(t, "the memory is back", func() (bool, any) {
		now := good.tell(command{Do: "memory"})
		return now.Heap < before.Heap+8<<20, now.Heap - before.Heap
	})
	good.kill()
}
