package gobgp_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

// secure is a node and a router whose session has a password, on the wire or simulated.
type secure struct {
	peer   string // the name of the node's peer
	set    func(password bgp.Password, routes ...bgp.Route)
	status func(name string) bgp.PeerStatus
	router func(password bgp.Password) // the router's new one, which ends its session
	lose   func()                      // the router ends the session
	heard  func(prefix string) (bool, any)
	others []string // peers whose password is right and stays so
}

const hint = "; a wrong or missing password looks like this too"

func (x secure) up(t *testing.T, flaps int) {
	t.Helper()
	took := nstest.Eventually(t, x.peer+" is Established", func() (bool, any) {
		s := x.status(x.peer)
		return s.State == bgp.Established && s.Flaps == flaps, s
	})
	t.Logf("Established after %s", took)
}

// unanswered waits until the router takes us for a stranger.
func (x secure) unanswered(t *testing.T, end string) {
	t.Helper()
	took := nstest.Eventually(t, x.peer+" is not answered", func() (bool, any) {
		s := x.status(x.peer)
		return s.State == bgp.Connect && strings.HasPrefix(s.Reason, "no answer from ") && strings.HasSuffix(s.Reason, end), s
	})
	t.Logf("%s (after %s)", x.status(x.peer).Reason, took)
}

// kept changes our password, and makes sure that the session stands all the same: a new route arrives by it.
func (x secure) kept(t *testing.T, password bgp.Password, prefix string) {
	t.Helper()
	before := x.status(x.peer)
	x.set(password, route(prefix))
	nstest.Eventually(t, "the router has heard "+prefix, func() (bool, any) { return x.heard(prefix) })
	if after := x.status(x.peer); after.State != bgp.Established || !after.Since.Equal(before.Since) || after.Flaps != before.Flaps {
		t.Errorf("the session did not survive our change of the password: %+v, before %+v", after, before)
	}
}

// passwords is what may happen to the password of a session.
func (x secure) passwords(t *testing.T) {
	since := map[string]time.Time{}
	x.router("second")
	x.set("first")
	for _, name := range x.others {
		nstest.Eventually(t, name+" is Established", func() (bool, any) {
			s := x.status(name)
			since[name] = s.Since
			return s.State == bgp.Established, s
		})
	}
	x.unanswered(t, hint)
	x.set("second")
	x.up(t, 0)

	t.Log("ours changes first, then the router's")
	x.kept(t, "third", "10.9.0.3/32")
	x.router("third")
	x.up(t, 1)

	t.Log("the router's changes first, then ours")
	x.router("fourth")
	x.unanswered(t, hint)
	x.set("fourth")
	x.up(t, 2)

	t.Log("ours is missing, then the router's")
	x.kept(t, "", "10.9.0.4/32")
	x.lose()
	x.unanswered(t, " (TCP)")
	x.router("")
	x.up(t, 3)
	x.kept(t, bgp.Password(strings.Repeat("x", bgp.MaxPassword)), "10.9.0.5/32")
	x.lose()
	x.unanswered(t, hint)
	x.router(bgp.Password(strings.Repeat("x", bgp.MaxPassword)))
	x.up(t, 4)

	for name, at := range since {
		if s := x.status(name); s.State != bgp.Established || s.Flaps != 0 || !s.Since.Equal(at) {
			t.Errorf("another peer was touched: %+v", s)
		}
	}
}

func TestPasswordsInMemory(t *testing.T) {
	network := new(bgp.Memory)
	speaker := bgp.NewSpeaker(network, bgp.Options{})
	defer speaker.Close(false)
	all := peers()
	at := all[0].Address
	secure{
		peer: "frr4", others: []string{"frr6", "bird4", "bird6"},
		lose: func() { network.Lose(at, "reset by the router", true) },
		set: func(p bgp.Password, routes ...bgp.Route) {
			all[0].Password = p
			if err := speaker.Set(all, routes); err != nil {
				t.Fatal(err)
			}
		},
		status: func(name string) bgp.PeerStatus {
			for _, s := range speaker.Status() {
				if s.Peer.Name == name {
					return s
				}
			}
			return bgp.PeerStatus{}
		},
		router: func(p bgp.Password) { network.SetPassword(at, p) },
		heard: func(prefix string) (bool, any) {
			seen := network.Routes(at)
			return slices.Contains(seen, netip.MustParsePrefix(prefix)), seen
		},
	}.passwords(t)
}
