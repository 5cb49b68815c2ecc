package neigh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// cable is a kernel with one interface, and what is at its other end.
type cable struct {
	mu      sync.Mutex
	view    view
	missing error // the interface cannot be used
	refused error // no socket can be opened
	mute    error // nothing can be sent
	routers []netip.Addr
	plugs   []*plug // open sockets
	opened  int
	adverts int
}

// plug is a socket on the cable.
type plug struct {
	cable *cable
	in    chan message
	done  chan struct{}
}

var (
	_ kernel = (*cable)(nil)
	_ wire   = (*plug)(nil)
)

func (c *cable) look(string, netip.Addr) (view, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view, c.missing
}

func (c *cable) open(view) (wire, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	if c.refused != nil {
		return nil, c.refused
	}
	p := &plug{c, make(chan message, 16), make(chan struct{})}
	c.plugs = append(c.plugs, p)
	return p, nil
}

// advertised is a router's advertisement.
func (c *cable) advertised(router netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.plugs {
		p.in <- message{from: router, advertisement: true, lifetime: 30 * time.Second}
	}
}

func (p *plug) receive() (message, error) {
	select {
	case m := <-p.in:
		return m, nil
	case <-p.done:
		return message{}, net.ErrClosed
	}
}

func (p *plug) advertise() error {
	p.cable.mu.Lock()
	defer p.cable.mu.Unlock()
	p.cable.adverts++
	return p.cable.mute
}

func (p *plug) solicit() error {
	p.cable.mu.Lock()
	routers := p.cable.routers
	p.cable.mu.Unlock()
	for _, r := range routers {
		p.cable.advertised(r)
	}
	return nil
}

func (p *plug) Close() error {
	p.cable.mu.Lock()
	defer p.cable.mu.Unlock()
	p.cable.plugs = slices.DeleteFunc(p.cable.plugs, func(o *plug) bool { return o == p })
	close(p.done)
	return nil
}

// set changes the cable.
func (c *cable) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// searchOver runs body with a search over a cable that has a router at its other end.
func searchOver(t *testing.T, body func(c *cable, s *search)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cable{view: view{"eth1", 7, "\x02\x00\x00\x00\x00\x01", netip.MustParseAddr("fe80::1")}, routers: []netip.Addr{routerA}}
		s := newSearch(c)
		ctx, stop := context.WithCancel(t.Context())
		if err := s.begin(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.begin(ctx); err == nil {
			t.Error("begins twice")
		}
		body(c, s)
		stop()
		s.end()
		if len(c.plugs) > 0 {
			t.Errorf("%d sockets are open at the end", len(c.plugs))
		}
		if _, err := s.way("eth1"); fmt.Sprint(err) != "routers are not looked for on interface eth1" {
			t.Errorf("after the end: %v", err)
		}
	})
}

// says checks what is known of eth1, and whether that was news.
func says(t *testing.T, s *search, news bool, want netip.Addr, complaint string) {
	t.Helper()
	synctest.Wait()
	select {
	case <-s.news:
		if !news {
			t.Error("news without need")
		}
	default:
		if news {
			t.Error("nobody was told")
		}
	}
	got, err := s.way("eth1")
	if got.router != want || err != nil && err.Error() != complaint || err == nil && complaint != "" {
		t.Errorf("got %+v, %v, want %v, %q", got, err, want, complaint)
	}
}

func TestSearchFindsARouter(t *testing.T) {
	searchOver(t, func(c *cable, s *search) {
		_, _ = s.way("eth1")
		says(t, s, true, routerA, "")
		if got, _ := s.way("eth1"); got != (way{"eth1", 7, netip.MustParseAddr("fe80::1"), routerA}) {
			t.Errorf("got %+v", got)
		}
		for range 10 {
			time.Sleep(10 * time.Second)
			says(t, s, false, routerA, "")
		}
		if c.adverts < 10 || c.adverts > 20 || c.opened != 1 {
			t.Errorf("%d advertisements in 100 s, %d sockets opened", c.adverts, c.opened)
		}
		c.set(func() { c.routers = nil })
		time.Sleep(31 * time.Second)
		says(t, s, true, netip.Addr{}, "no router advertises itself on eth1 any more (RFC 4861); the last was fe80::a")
		c.advertised(routerB)
		says(t, s, true, routerB, "")
	})
}

func TestSearchFollowsTheInterface(t *testing.T) {
	searchOver(t, func(c *cable, s *search) {
		c.set(func() { c.missing = lacks("there is no interface eth1") })
		_, _ = s.way("eth1")
		says(t, s, true, netip.Addr{}, "there is no interface eth1")
		time.Sleep(time.Hour)
		if c.opened > 0 {
			t.Errorf("%d sockets opened without an interface", c.opened)
		}
		c.set(func() { c.missing = nil })
		says(t, s, false, netip.Addr{}, "there is no interface eth1") // until netlink tells of a change
		s.look()
		says(t, s, true, routerA, "")
		s.look()
		says(t, s, false, routerA, "")

		// Another interface of that name, with another router behind it.
		c.set(func() { c.view.index, c.routers = 8, []netip.Addr{routerB} })
		s.look()
		says(t, s, true, routerB, "")
		// Another address of ours.
		c.set(func() { c.view.addr = netip.MustParseAddr("fe80::2") })
		s.look()
		says(t, s, true, routerB, "")
		if got, _ := s.way("eth1"); got.from != netip.MustParseAddr("fe80::2") {
			t.Errorf("got %+v", got)
		}
		if c.opened != 3 || len(c.plugs) != 1 {
			t.Errorf("%d sockets opened, %d still open", c.opened, len(c.plugs))
		}
		c.set(func() { c.missing = lacks("interface eth1 has no carrier") })
		s.look()
		says(t, s, true, netip.Addr{}, "interface eth1 has no carrier")

		// What could not be found out is asked again, without news.
		c.set(func() { c.missing = errors.New("looking up interface eth1: interrupted") })
		s.look()
		says(t, s, true, netip.Addr{}, "looking up interface eth1: interrupted")
		time.Sleep(time.Minute)
		c.set(func() { c.missing = nil })
		time.Sleep(retry)
		says(t, s, true, routerB, "")
	})
}

func TestSearchTriesAgain(t *testing.T) {
	searchOver(t, func(c *cable, s *search) {
		c.set(func() { c.refused = errors.New("a raw socket wants the capability NET_RAW") })
		_, _ = s.way("eth1")
		says(t, s, true, netip.Addr{}, "a raw socket wants the capability NET_RAW")
		time.Sleep(10 * time.Second)
		says(t, s, false, netip.Addr{}, "a raw socket wants the capability NET_RAW")
		if c.opened > 11 {
			t.Errorf("tried %d times in 10 s", c.opened)
		}
		c.set(func() { c.refused = nil })
		time.Sleep(retry)
		says(t, s, true, routerA, "")

		// What was heard holds where only the socket is another one.
		c.set(func() { c.mute = errors.New("sending a router advertisement: no buffer space") })
		time.Sleep(settled + promptly)
		says(t, s, true, netip.Addr{}, "sending a router advertisement: no buffer space")
		c.set(func() { c.mute, c.routers = nil, nil })
		time.Sleep(retry)
		says(t, s, true, routerA, "")
		c.set(func() { close(c.plugs[0].done); c.plugs[0].done = make(chan struct{}) }) // the reader's end
		synctest.Wait()
		says(t, s, true, netip.Addr{}, net.ErrClosed.Error())
		time.Sleep(retry)
		says(t, s, true, routerA, "")
	})
}

func TestSearchLeavesAloneWhatNobodyNeeds(t *testing.T) {
	searchOver(t, func(c *cable, s *search) {
		_, _ = s.way("eth1")
		says(t, s, true, routerA, "")
		for range 5 {
			time.Sleep(lease - time.Second)
			if !s.sweep(time.Now()) {
				t.Fatal("swept away what was asked about")
			}
			says(t, s, false, routerA, "")
		}
		time.Sleep(lease)
		if s.sweep(time.Now()) {
			t.Error("something is left")
		}
		synctest.Wait()
		sent := c.adverts
		time.Sleep(time.Minute)
		if len(c.plugs) > 0 || c.adverts != sent {
			t.Errorf("%d sockets are open, %d advertisements sent", len(c.plugs), c.adverts-sent)
		}
	})
}
