package gobgp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

// monitor collects a router's kernel route events.
func monitor(t *testing.T, namespace string) *buffer {
	t.Helper()
	events := startDaemon(t, namespace, "ip", "monitor", "route").out
	// It listens once it tells of a route that is made for it.
	eventually(t, "the monitor listens", func() (bool, any) {
		nstest.Run(t, "ip", "-n", namespace, "route", "replace", "192.0.2.255/32", "dev", "eth0")
		nstest.Run(t, "ip", "-n", namespace, "route", "del", "192.0.2.255/32", "dev", "eth0")
		return contains(events.String(), "192.0.2.255"), events.String()
	})
	return events
}

func kernel(t *testing.T, ns, prefix string) string {
	t.Helper()
	family := "-4"
	if strings.Contains(prefix, ":") {
		family = "-6"
	}
	return strings.TrimSpace(nstest.Run(t, "ip", family, "-n", ns, "route", "show", prefix))
}

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
					eventually(t, prefix+" is in the kernel", func() (bool, any) { r := kernel(t, ns, prefix); return r != "", r })
				}
			}
			events := map[string]*buffer{"FRR": monitor(t, l.r1), "BIRD": monitor(t, l.r2)}
			if how == "kill" {
				p.kill()
			} else {
				p.tell(command{Do: "close", Keep: true})
				p.leave()
			}
			eventually(t, "FRR sees the connection gone", func() (bool, any) {
				s := l.frr.peer("10.0.1.1").BgpState
				return s != "Established", s
			})

			p = startSpeaker(t, l.node, true)
			p.set(restartable(), route("10.9.0.1/32"), route("2001:db8:9::1/128"), route("10.9.0.3/32"))
			p.up("frr4", "bird6")
			for _, ns := range []string{l.r1, l.r2} {
				eventually(t, "the new route has come", func() (bool, any) { r := kernel(t, ns, "10.9.0.3"); return r != "", r })
				eventually(t, "the old route has gone", func() (bool, any) { r := kernel(t, ns, "10.9.0.2"); return r == "", r })
			}
			for router, e := range events {
				for _, kept := range []string{"10.9.0.1", "2001:db8:9::1"} {
					if contains(e.String(), kept) {
						t.Errorf("%s's kernel lost or changed %s:\n%s", router, kept, e)
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
	eventually(t, "the route has come", func() (bool, any) {
		a, b := l.frr.routes("ipv4", "10.0.1.1"), l.bird.routes("six")
		return len(a) == 1 && len(b) == 1, []any{a, b}
	})
	start := time.Now()
	p.tell(command{Do: "close"})
	took := time.Since(start)
	eventually(t, "the route is gone", func() (bool, any) {
		a, b := l.frr.routes("ipv4", "10.0.1.1"), l.bird.routes("six")
		return len(a)+len(b) == 0, []any{a, b}
	})
	t.Logf("closed after %s, gone after %s", took, time.Since(start))
	if gone := time.Since(start); gone > 20*time.Second {
		t.Errorf("gone after %s: that was the restart time, not the Cease", gone)
	}
	if reason := l.frr.peer("10.0.1.1").LastNotificationReason; !contains(reason, "Cease") {
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
