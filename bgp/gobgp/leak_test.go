package gobgp_test

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/gobgp"
	"github.com/kontena/network-lb/internal/nstest"
)

// answering is a router on the loopback that answers every OPEN, and says no more.
func answering(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	capabilities := packet.NewOptionParameterCapability([]packet.ParameterCapabilityInterface{
		packet.NewCapMultiProtocol(packet.RF_IPv4_UC), packet.NewCapFourOctetASNumber(65001)})
	open := wired(packet.NewBGPOpenMessage(65001, 90, "192.0.2.1", []packet.OptionParameterInterface{capabilities}))
	alive := wired(packet.NewBGPKeepAliveMessage())
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				hearOpen(c)
				_, _ = c.Write(append(open, alive...))
				buf := make([]byte, 4096)
				for err == nil {
					_, err = c.Read(buf)
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

// use is what a process holds.
type use struct{ goroutines, descriptors, heap int }

func used(t *testing.T) use {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return use{runtime.NumGoroutine(), len(fds), int(m.HeapAlloc)}
}

// TestAThousandSessionsLeaveNothing brings up a thousand sessions, a hundred at a time, and takes them away. What the
// first hundred left are their servers, which the others use again.
func TestAThousandSessionsLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; not with -short")
	}
	at := answering(t)
	speaker := bgp.NewSpeaker(gobgp.New(gobgp.Options{NodeName: "node1"}), bgp.Options{Liveness: &triggers{}})
	defer speaker.Close(false)
	const batch = 100
	var first use
	for round := range 10 {
		var peers []bgp.Peer
		for i := range batch {
			p := bgp.Peer{Address: at.Addr(), Port: at.Port(), PeerASN: 65001, MyASN: uint32(100 + round*batch + i)}
			p.Name = "peer of " + string(rune('A'+i%26)) + string(rune('0'+i/26))
			p.BFD.Enabled = i%2 == 0
			peers = append(peers, p)
		}
		if err := speaker.Set(peers, two); err != nil {
			t.Fatal(err)
		}
		nstest.Eventually(t, "all are Established", func() (bool, any) {
			up := 0
			for _, s := range speaker.Status() {
				if s.State == bgp.Established {
					up++
				}
			}
			return up == batch, up
		})
		if err := speaker.Set(nil, nil); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			var before use
			nstest.Eventually(t, "the first hundred have settled", func() (bool, any) {
				before, first = first, used(t)
				return first.goroutines == before.goroutines && first.descriptors == before.descriptors, first
			})
			t.Logf("after the first hundred: %+v", first)
			continue
		}
		nstest.Eventually(t, "nothing is left", func() (bool, any) {
			now := used(t)
			return now.goroutines <= first.goroutines && now.descriptors <= first.descriptors && now.heap < first.heap+2<<20, now
		})
	}
	t.Logf("after a thousand: %+v", used(t))
}
