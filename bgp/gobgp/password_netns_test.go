package gobgp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
)

// nodes are our addresses on the sessions of peers(), in their order.
var nodes = []string{"10.0.1.1", "2001:db8:1::1", "10.0.2.1", "2001:db8:2::1"}

// secured is the lab with a password on each of its sessions. That of the i-th of peers() is to change.
func (l *lab) secured(t *testing.T, p *process, i int) secure {
	t.Helper()
	all := peers()
	for j := range all {
		all[j].Password = bgp.Password("constant" + all[j].Name)
		all[j].HoldTime = 9 * time.Second // a session that is lost without a word is lost soon
	}
	for j := range all {
		l.password(t, all, j)
	}
	x := secure{peer: all[i].Name, status: p.status}
	for j := range all {
		if j != i {
			x.others = append(x.others, all[j].Name)
		}
	}
	x.set = func(password bgp.Password, routes ...bgp.Route) {
		t.Helper()
		all[i].Password = password
		p.set(all, routes...)
	}
	routers := peers()
	for j := range routers {
		routers[j].Password = all[j].Password
	}
	x.router = func(password bgp.Password) {
		t.Helper()
		routers[i].Password = password
		l.password(t, routers, i)
	}
	protocol := map[string]string{"bird4": "four", "bird6": "six"}[x.peer]
	x.lose = func() {
		t.Helper()
		if protocol != "" {
			l.bird.Ask("restart", protocol)
		} else if _, err := l.frr.Ask("bgpd", "clear bgp "+nodes[i]); err != nil {
			t.Fatal(err)
		}
	}
	x.heard = func(prefix string) (bool, any) {
		seen := l.bird.Routes(protocol)
		if protocol == "" {
			seen = l.frr.Routes("ipv4", nodes[i])
		}
		_, has := seen[prefix]
		return has, seen
	}
	return x
}

// password configures the router of the i-th peer with its password.
func (l *lab) password(t *testing.T, all []bgp.Peer, i int) {
	t.Helper()
	if strings.HasPrefix(all[i].Name, "bird") {
		config := birdConfig
		for j, p := range all {
			if line := "neighbor " + nodes[j] + " as 64512;"; p.Password != "" {
				config = strings.Replace(config, line, fmt.Sprintf("%s password %q;", line, string(p.Password)), 1)
			}
		}
		l.bird.Reconfigure(config)
		return
	}
	change := fmt.Sprintf("neighbor %s password %s", nodes[i], string(all[i].Password))
	if all[i].Password == "" {
		change = "no neighbor " + nodes[i] + " password"
	}
	if _, err := l.frr.Ask("bgpd", "configure terminal", "router bgp 65001", change); err != nil {
		t.Fatal(err)
	}
}

// TestNetnsPasswords has a password on all four sessions. On one of FRR's and one of BIRD's everything happens to
// it, and the other three stand untouched.
func TestNetnsPasswords(t *testing.T) {
	for i, name := range map[int]string{0: "frr4", 3: "bird6"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DEBUG", "1")
			l := newLab(t)
			p := startSpeaker(t, l.node, false)
			l.secured(t, p, i).passwords(t)
			for line := range strings.Lines(p.stderr.String()) {
				for _, password := range []string{"constant", "first", "second", "third", "fourth", "xxxx"} {
					if contains(line, password) {
						t.Errorf("the log shows the password %s: %s", password, line)
					}
				}
			}
		})
	}
}
