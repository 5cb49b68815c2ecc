package gobgp_test

import (
	"syscall"
	"testing"
	"time"

	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

// BenchmarkSilentRouter measures how long a new route takes to a healthy router while another one, on the same node,
// accepts connections and says nothing. The twenty seconds see that one waited for, given up, and dialled again.
func BenchmarkSilentRouter(b *testing.B) {
	const rounds = 20
	l := newLab(b)
	mute := script(b, l.r1, 1179, silent)
	p := startSpeaker(b, l.node, false)
	all := peers()
	all[1].Address, all[1].Port = all[0].Address, mute.port
	f := figures{}
	p.set(all[:2])
	p.up("frr4")
	nstest.Eventually(b, "the silent router is dialled", func() (bool, any) { return mute.dials.Load() > 0, p.status("frr6") })
	pace := time.NewTicker(time.Second)
	defer pace.Stop()
	for n := range rounds {
		begun := time.Now()
		p.set(all[:2], many([2]int{n + 1, 0})...)
		nstest.Eventually(b, "the new route is there", func() (bool, any) { got := l.frr.Received("ipv4")["10.0.1.1"]; return got == n+1, got })
		f.took("new route -> healthy router", begun)
		<-pace.C
	}
	f.add("dials of the silent router in 20 s", float64(mute.dials.Load()))
	f.show(b, "new route -> healthy router, ms", "dials of the silent router in 20 s")
}

// BenchmarkHoldTimer measures how long after a router has fallen silent its session is given up: between the hold time
// less the interval of KEEPALIVE messages, and the hold time (RFC 4271 section 6.5).
func BenchmarkHoldTimer(b *testing.B) {
	const rounds = 5
	for _, hold := range []time.Duration{3 * time.Second, 9 * time.Second} {
		b.Run(hold.String(), func(b *testing.B) {
			l := newLab(b)
			p := startSpeaker(b, l.node, false)
			peer := peers()[0]
			peer.HoldTime = hold
			p.set([]bgp.Peer{peer})
			f := figures{}
			for range rounds {
				p.up("frr4")
				l.frr.Signal("bgpd", syscall.SIGSTOP)
				begun := time.Now()
				nstest.Eventually(b, "the session is given up", func() (bool, any) { s := p.status("frr4"); return s.State != bgp.Established, s })
				f.took("silence -> session given up", begun)
				l.frr.Signal("bgpd", syscall.SIGCONT)
			}
			f.show(b, "silence -> session given up, ms")
		})
	}
}

// BenchmarkRefusingRouter counts how often a router is dialled that answers every OPEN with a NOTIFICATION.
func BenchmarkRefusingRouter(b *testing.B) {
	l := newLab(b)
	refuses := script(b, l.r1, 1179, refusing(packet.BGP_ERROR_OPEN_MESSAGE_ERROR, packet.BGP_ERROR_SUB_BAD_PEER_AS))
	p := startSpeaker(b, l.node, false)
	peer := peers()[0]
	peer.Port = refuses.port
	p.set([]bgp.Peer{peer})
	nstest.Eventually(b, "the router is dialled", func() (bool, any) { return refuses.dials.Load() > 0, p.status("frr4") })
	f := figures{}
	time.Sleep(2 * time.Second)
	f.add("dials in the first 2 s", float64(refuses.dials.Load()))
	time.Sleep(58 * time.Second)
	f.add("dials in the first minute", float64(refuses.dials.Load()))
	f.show(b, "dials in the first 2 s", "dials in the first minute")
}
