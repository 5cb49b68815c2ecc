package gobgp_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
)

// prefixes is how many routes each of the four sessions is given.
const prefixes = 10000

// BenchmarkLoad measures a node between two routers, with an IPv4 and an IPv6 session to each, that announces 10,000
// host routes on all four: how long it takes from Set until the routers have them all, and what the process uses.
func BenchmarkLoad(b *testing.B) {
	for _, c := range []struct {
		name string
		many [2]int
	}{{"IPv4", [2]int{prefixes, 0}}, {"both", [2]int{prefixes / 2, prefixes / 2}}} {
		b.Run(c.name, func(b *testing.B) {
			b.Run("fresh", func(b *testing.B) { load(b, c.many, false) })
			b.Run("running", func(b *testing.B) { load(b, c.many, true) })
		})
	}
}

// Routers have their own processors and forwarding tables elsewhere. Here they share ours: so that it is BGP which is
// measured, they install nothing in the kernel. BIRD does not even try to send back by one session what came by the
// other: it finds our address as the next hop, sends nothing, and writes two lines to its log for each route.
var (
	frrTables = strings.ReplaceAll(frrConfig, " unicast\n", " unicast\n  table-map none\n") + "route-map none deny 1\nexit\n"
	birdTable = strings.ReplaceAll(regexp.MustCompile("(?m)^protocol kernel .*\n").ReplaceAllString(birdConfig, ""), "export all", "export none")
)

func load(b *testing.B, many [2]int, running bool) {
	const rounds = 5
	l := newLabWith(b, frrTables, birdTable)
	f := figures{}
	for range rounds {
		l.holds(b, 0)
		p := startSpeaker(b, l.node, false)
		if running {
			p.set(peers(), one...)
			p.up("frr4", "frr6", "bird4", "bird6")
			l.holds(b, len(one))
		}
		p.measure(f, l, command{Do: "set", Peers: peers(), Passwords: make([]string, 4), Routes: one, Many: many})
		p.kill()
	}
	f.show(b, "Set -> in both routers, ms", "resident at most, MiB", "resident afterwards, MiB", "CPU used, ms", "CPU in 10 s of rest, ms")
}

// measure adds what a Set takes and leaves behind.
func (p *process) measure(f figures, l *lab, c command) {
	begun, before := time.Now(), p.proc()
	if a := p.tell(c); a.Error != "" {
		p.t.Fatal(a.Error)
	}
	l.holds(p.t, len(c.Routes)+c.Many[0]+c.Many[1])
	f.took("Set -> in both routers", begun)
	done := p.proc()
	f.add("CPU used, ms", float64((done.cpu - before.cpu).Milliseconds()))
	time.Sleep(3 * time.Second) // what the routers send back
	rest := p.proc()
	time.Sleep(10 * time.Second)
	after := p.proc()
	f.add("CPU in 10 s of rest, ms", float64((after.cpu - rest.cpu).Milliseconds()))
	f.add("resident at most, MiB", after.peak)
	f.add("resident afterwards, MiB", after.now)
	for _, s := range p.tell(command{Do: "status"}).Status {
		if s.State != bgp.Established || s.Flaps != 0 {
			p.t.Errorf("%+v", s)
		}
	}
}
