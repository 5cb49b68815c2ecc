package neigh

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

// inside is the kernel of a network namespace.
type inside struct {
	t    *testing.T
	name string
}

func (k inside) look(name string, present netip.Addr) (v view, err error) {
	nstest.Do(k.t, k.name, func() { v, err = linux{}.look(name, present) })
	return v, err
}

func (k inside) open(v view) (w wire, err error) {
	nstest.Do(k.t, k.name, func() { w, err = linux{}.open(v) })
	return w, err
}

// node is a namespace with a Resolver that watches it. To another one it is a router, since it says that it is one.
type node struct {
	t       *testing.T
	name    string
	own     *Resolver
	changed chan struct{}
}

func newNode(t *testing.T, name string) *node {
	t.Helper()
	n := &node{t: t, name: nstest.New(t, name), changed: make(chan struct{}, 1)}
	nstest.Run(t, "ip", "netns", "exec", n.name, "sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1") // no address by itself
	n.own = &Resolver{routers: newSearch(inside{t, n.name})}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go nstest.Do(t, n.name, func() {
		ended <- n.own.Watch(ctx, func() {
			select {
			case n.changed <- struct{}{}:
			default:
			}
		})
	})
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *node) ip(args ...string) {
	n.t.Helper()
	nstest.Run(n.t, "ip", append([]string{"-n", n.name}, args...)...)
}

func (n *node) local() (l bgp.Local, err error) {
	nstest.Do(n.t, n.name, func() { l, err = n.own.Local(bgp.Peer{Interface: "eth1"}) })
	return l, err
}

// waits until Local says what is wanted. It is asked only when Watch says that there is news.
func (n *node) waits(what string, good func(bgp.Local, error) bool) bgp.Local {
	n.t.Helper()
	enough := time.After(30 * time.Second)
	for {
		l, err := n.local()
		if good(l, err) {
			return l
		}
		select {
		case <-n.changed:
		case <-enough:
			n.t.Fatalf("waiting for %s: still %+v, %v, with\n%s", what, l, err, nstest.Run(n.t, "ip", "-n", n.name, "addr"))
		}
	}
}

func (n *node) says(complaint string) {
	n.t.Helper()
	n.waits(complaint, func(_ bgp.Local, err error) bool { return err != nil && strings.Contains(err.Error(), complaint) })
}

func (n *node) finds(router, own string) {
	n.t.Helper()
	n.waits("the router "+router, func(l bgp.Local, err error) bool {
		return err == nil && l.Interface == "eth1" && l.Remote.String() == router+"%eth1" && l.Source.String() == own+"%eth1"
	})
}

// connect joins eth1 of two namespaces, with the given link-local addresses.
func connect(a *node, own string, b *node, other string) {
	a.ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", b.name)
	for n, addr := range map[*node]string{a: own, b: other} {
		n.ip("addr", "add", addr+"/64", "dev", "eth1", "nodad")
		n.ip("link", "set", "eth1", "up")
	}
}

func TestNetnsRouterIsFound(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	connect(a, "fe80::1", b, "fe80::2")
	a.says("no router has advertised itself on eth1")
	b.finds("fe80::1", "fe80::2") // b hears a, and a b
	a.finds("fe80::2", "fe80::1")
	a.ip("addr", "add", "2001:db8::1/64", "dev", "eth1", "nodad")
	a.ip("addr", "add", "10.0.0.1/24", "dev", "eth1")
	l := a.waits("addresses", func(l bgp.Local, _ error) bool { return l.IPv4.IsValid() && l.IPv6.IsValid() })
	if l.IPv4.String() != "10.0.0.1" || l.IPv6.String() != "2001:db8::1" {
		t.Errorf("%+v", l)
	}
	// Another address of ours does not break the session that has this one.
	a.ip("addr", "add", "fe80::/64", "dev", "eth1", "nodad")
	a.ip("addr", "add", "10.0.1.2/24", "dev", "eth1")
	a.ip("addr", "del", "10.0.0.1/24", "dev", "eth1")
	a.waits("another address", func(l bgp.Local, _ error) bool { return l.IPv4.String() == "10.0.1.2" })
	a.finds("fe80::2", "fe80::1")
}

func TestNetnsRouterAndInterfaceComeAndGo(t *testing.T) {
	a, b := newNode(t, "a"), newNode(t, "b")
	_, _ = b.local() // b is a router from now on
	a.says("there is no interface eth1")
	a.ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth1", "netns", b.name)
	a.says("interface eth1 is down")
	a.ip("link", "set", "eth1", "up")
	a.says("interface eth1 has no carrier")
	b.ip("link", "set", "eth1", "up")
	a.says("interface eth1 has no IPv6 link-local address")
	b.ip("addr", "add", "fe80::2/64", "dev", "eth1", "nodad")
	a.ip("addr", "add", "fe80::1/64", "dev", "eth1")
	a.says("the address fe80::1 of interface eth1 is tentative")
	a.finds("fe80::2", "fe80::1")

	a.ip("link", "set", "eth1", "down")
	a.says("interface eth1 is down")
	a.ip("link", "set", "eth1", "name", "eth9")
	a.says("there is no interface eth1")
	a.ip("link", "set", "eth9", "name", "eth1", "up")
	a.says("interface eth1 has no IPv6 link-local address")
	a.ip("addr", "add", "fe80::3/64", "dev", "eth1", "nodad")
	a.finds("fe80::2", "fe80::3")
	a.ip("link", "set", "eth1", "address", "02:00:00:00:00:99") // while it is up; the address stays
	a.finds("fe80::2", "fe80::3")

	a.ip("link", "del", "eth1")
	a.says("there is no interface eth1")
	connect(a, "fe80::4", b, "fe80::5")
	a.finds("fe80::5", "fe80::4")
	// An address that somebody else has.
	a.ip("addr", "flush", "dev", "eth1")
	a.ip("addr", "add", "fe80::5/64", "dev", "eth1")
	a.says("the address fe80::5 of interface eth1 is a duplicate")
}

// TestNetnsSeveralRouters has a switch where there should be a cable.
func TestNetnsSeveralRouters(t *testing.T) {
	a := newNode(t, "a")
	lan := nstest.New(t, "lan")
	nstest.Run(t, "ip", "-n", lan, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
	nstest.Run(t, "ip", "-n", lan, "link", "set", "br0", "up")
	join := func(n *node, port, addr string) {
		n.ip("link", "add", "eth1", "type", "veth", "peer", "name", port, "netns", lan)
		nstest.Run(t, "ip", "-n", lan, "link", "set", port, "master", "br0", "up")
		n.ip("addr", "add", addr+"/64", "dev", "eth1", "nodad")
		n.ip("link", "set", "eth1", "up")
		_, _ = n.local()
	}
	join(a, "port1", "fe80::1")
	b, c := newNode(t, "b"), newNode(t, "c")
	join(b, "port2", "fe80::2")
	a.finds("fe80::2", "fe80::1")
	join(c, "port3", "fe80::3")
	a.says("several routers advertise themselves on eth1: fe80::2, fe80::3; an unnumbered session wants a point-to-point link")

	// Both go, which a cannot see, and another one comes: that those before it are silent is found out soon.
	b.ip("link", "del", "eth1")
	c.ip("link", "set", "eth1", "down")
	start := time.Now()
	d := newNode(t, "d")
	join(d, "port4", "fe80::4")
	a.finds("fe80::4", "fe80::1")
	t.Logf("the routers before were forgotten %s after another one came", time.Since(start).Round(time.Millisecond))
}
