package neigh

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

func TestNetnsLocal(t *testing.T) {
	ns := nstest.New(t, "neigh")
	ip := func(args ...string) { nstest.Run(t, "ip", append([]string{"-n", ns}, args...)...) }
	ip("link", "add", "eth1", "type", "veth", "peer", "name", "far1")
	ip("link", "add", "eth2", "type", "veth", "peer", "name", "far2")
	for _, dev := range []string{"eth1", "far1", "eth2", "far2"} {
		ip("link", "set", dev, "up")
	}
	for dev, list := range map[string][]string{
		"eth1": {"10.0.1.1/24", "10.0.1.9/24", "2001:db8:1::9/64", "2001:db8:1::1/64"},
		"eth2": {"10.0.2.1/24"},
	} {
		for _, a := range list {
			if netip.MustParsePrefix(a).Addr().Is6() {
				ip("addr", "add", a, "dev", dev, "nodad")
			} else {
				ip("addr", "add", a, "dev", dev)
			}
		}
	}
	ip("route", "add", "172.16.0.0/16", "via", "10.0.2.254")

	var r Resolver
	check := func(peer string, want bgp.Local) {
		t.Helper()
		want.Remote = netip.MustParseAddr(peer)
		nstest.Do(t, ns, func() {
			if got, err := r.Local(bgp.Peer{Address: want.Remote}); err != nil || got != want {
				t.Errorf("to %s: got %+v, %v, want %+v", peer, got, err, want)
			}
		})
	}
	a := netip.MustParseAddr
	check("10.0.1.254", bgp.Local{Interface: "eth1", Source: a("10.0.1.1"), IPv4: a("10.0.1.1"), IPv6: a("2001:db8:1::1")})
	check("2001:db8:1::fe", bgp.Local{Interface: "eth1", Source: a("2001:db8:1::1"), IPv4: a("10.0.1.1"), IPv6: a("2001:db8:1::1")})
	check("172.16.0.1", bgp.Local{Interface: "eth2", Source: a("10.0.2.1"), IPv4: a("10.0.2.1"), Multihop: true})
	r.Prefer(addrs("10.0.1.9", "2001:db8:1::9"))
	check("10.0.1.254", bgp.Local{Interface: "eth1", Source: a("10.0.1.9"), IPv4: a("10.0.1.9"), IPv6: a("2001:db8:1::9")})
	ip("addr", "del", "10.0.1.9/24", "dev", "eth1")
	check("10.0.1.254", bgp.Local{Interface: "eth1", Source: a("10.0.1.1"), IPv4: a("10.0.1.1"), IPv6: a("2001:db8:1::9")})
	nstest.Do(t, ns, func() {
		if got, err := r.Local(bgp.Peer{Address: a("192.0.2.1")}); err == nil {
			t.Errorf("found %+v on no route", got)
		}
	})
}

func TestNetnsWatch(t *testing.T) {
	ns := nstest.New(t, "neighw")
	ctx, stop := context.WithCancel(context.Background())
	changed, ended := make(chan struct{}, 100), make(chan error, 1)
	go nstest.Do(t, ns, func() {
		var r Resolver
		ended <- r.Watch(ctx, func() { changed <- struct{}{} })
	})
	wait := func(what string) {
		t.Helper()
		select {
		case <-changed:
		case err := <-ended:
			t.Fatalf("waiting for %s: ended, %v", what, err)
		case <-time.After(20 * time.Second):
			t.Fatalf("waiting for %s: nothing", what)
		}
	}
	wait("the beginning")
	nstest.Run(t, "ip", "-n", ns, "addr", "add", "10.0.0.1/32", "dev", "lo")
	wait("an address")
	for len(changed) > 0 {
		<-changed
	}
	nstest.Run(t, "ip", "-n", ns, "link", "add", "eth1", "type", "veth", "peer", "name", "far1")
	wait("a link")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
