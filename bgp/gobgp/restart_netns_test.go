package gobgp_test

import (
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

// one session to each router, of either family, restartable.
func restartable() []bgp.Peer {
	all := peers()
	two := []bgp.Peer{all[0], all[3]}
	for i := range two {
		two[i].RestartTime = 30 * time.Second
	}
	return two
}

func TestNetnsRoutesSurviveARestart(t *testing.T) {
	for _, how := range []string{"kill", "exit"} {
		t.Run(how, func(t *testing.T) {
			l := newLab(t)
			p := startSpeaker(t, l.node, false)
			p.set(restartable(), route("10.9.0.1/32"), route("2001:db8:9::1/128"), route("10.9.0.2/32"))
			p.up("frr4", "bird6")
			for _, ns := range []string{l.r1, l.r2} {
				for _, prefix := range []string{"10.9.0.1", "2001:db8:9::1", "10.9.0.2"} {
					nstest.Eventually(t, prefix+" is in the kernel", func() (bool, any) { r := nstest.Kernel(t, ns, prefix); return r != "", r })
				}
			}
			events := map[string]*nstest.RouteEvents{"FRR": nstest.ListenForRoutes(t, l.r1, "eth0"), "BIRD": nstest.ListenForRoutes(t, l.r2, "eth0")}
			if how == "kill" {
				p.kill()
			} else {
				p.tell(command{Do: "close", Keep: true})
				p.leave()
			}
			nstest.Eventually(t, "FRR sees the connection gone", func() (bool, any) {
				s := l.frr.Neighbour("10.0.1.1").BgpState
				return s != "Established", s
			})

			p = startSpeaker(t, l.node, true)
			p.set(restartable(), route("10.9.0.1/32"), route("2001:db8:9::1/128"), route("10.9.0.3/32"))
			p.up("frr4", "bird6")
			for _, ns := range []string{l.r1, l.r2} {
				nstest.Eventually(t, "the new route has come", func() (bool, any) { r := nstest.Kernel(t, ns, "10.9.0.3"); return r != "", r })
				nstest.Eventually(t, "the old route has gone", func() (bool, any) { r := nstest.Kernel(t, ns, "10.9.0.2"); return r == "", r })
			}
			for router, e := range events {
				for _, kept := range []string{"10.9.0.1", "2001:db8:9::1"} {
					if all := e.Of(kept); len(all) > 0 {
						t.Errorf("%s's kernel lost or changed %s: %v", router, kept, all)
					}
				}
			}
		})
	}
}

func TestNetnsCeaseTakesRoutesAway(t *testing.T) {
	l := newLab(t)
	p := startSpeaker(t, l.node, false)
	p.set(restartable(), route("10.9.0.1/32"))
	p.up("frr4", "bird6")
	nstest.Eventually(t, "the route has come", func() (bool, any) {
		a, b := l.frr.Routes("ipv4", "10.0.1.1"), l.bird.Routes("six")
		return len(a) == 1 && len(b) == 1, []any{a, b}
	})
	start := time.Now()
	p.tell(command{Do: "close"})
	took := time.Since(start)
	nstest.Eventually(t, "the route is gone", func() (bool, any) {
		a, b := l.frr.Routes("ipv4", "10.0.1.1"), l.bird.Routes("six")
		return len(a)+len(b) == 0, []any{a, b}
	})
	t.Logf("closed after %s, gone after %s", took, time.Since(start))
	if gone := time.Since(start); gone > 20*time.Second {
		t.Errorf("gone after %s: that was the restart time, not the Cease", gone)
	}
	if reason := l.frr.Neighbour("10.0.1.1").LastNotificationReason; !contains(reason, "Cease") {
		t.Errorf("FRR heard %q, want a Cease", reason)
	}
	p.leave()
}

func TestNetnsWithoutRestartTimeRoutesGoWithTheProcess(t *testing.T) {
	l := newLab(t)
	p := startSpeaker(t, l.node, false)
	p.set(peers(), route("10.9.0.1/32"))
	p.up("frr4", "frr6", "bird4", "bird6")
	l.hears(t, []string{"10.9.0.1/32"}, nil)
	p.kill()
	t.Logf("gone after %s", l.hears(t, nil, nil))
}
