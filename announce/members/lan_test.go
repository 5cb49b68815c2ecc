//go:build linux

package members_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/internal/nstest"
)

// lan is two switches with a cable between them, and namespaces that are plugged in, the first half of them into one.
type lan struct {
	t         testing.TB
	switches  string
	nodes     []string // namespaces
	speakers  []*process
	detection members.Detection
	ipv6      bool // instead of IPv4
	guarded   bool // see guard
}

// newLAN makes a LAN of n namespaces, on which nothing runs.
func newLAN(t testing.TB, n int, d members.Detection) *lan {
	t.Helper()
	l := &lan{t: t, switches: nstest.New(t, "mbr-switch"), detection: d, speakers: make([]*process, n)}
	ip := func(args ...string) { nstest.Run(t, "ip", args...) }
	ip("-n", l.switches, "link", "add", "left", "type", "bridge")
	ip("-n", l.switches, "link", "add", "right", "type", "bridge")
	ip("-n", l.switches, "link", "add", "cable", "type", "veth", "peer", "name", "elbac")
	ip("-n", l.switches, "link", "set", "cable", "master", "left", "up")
	ip("-n", l.switches, "link", "set", "elbac", "master", "right", "up")
	ip("-n", l.switches, "link", "set", "left", "up")
	ip("-n", l.switches, "link", "set", "right", "up")
	for i := range n {
		ns := nstest.New(t, fmt.Sprintf("mbr-%d", i))
		side := "left"
		if i >= n/2 {
			side = "right"
		}
		ip("-n", l.switches, "link", "add", l.port(i), "type", "veth", "peer", "name", "eth0", "netns", ns)
		ip("-n", l.switches, "link", "set", l.port(i), "master", side, "up")
		ip("-n", ns, "addr", "add", addr(name(i)).String()+"/24", "dev", "eth0")
		ip("-n", ns, "addr", "add", addr6(i).String()+"/64", "dev", "eth0", "nodad")
		ip("-n", ns, "link", "set", "eth0", "up")
		l.nodes = append(l.nodes, ns)
	}
	return l
}

// addr6 is a node's other address.
func addr6(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x10, 15: byte(i + 1)})
}

// addr is where a node's speaker is.
func (l *lan) addr(i int) netip.Addr {
	if l.ipv6 {
		return addr6(i)
	}
	return addr(name(i))
}

func (l *lan) port(i int) string { return fmt.Sprintf("port%d", i) }

// plug sets the port of a node up or down; the node sees no carrier.
func (l *lan) plug(i int, up bool) {
	nstest.Run(l.t, "ip", "-n", l.switches, "link", "set", l.port(i), map[bool]string{true: "up", false: "down"}[up])
}

// part takes the cable between the halves out, or puts it in.
func (l *lan) part(parted bool) {
	nstest.Run(l.t, "ip", "-n", l.switches, "link", "set", "cable", map[bool]string{false: "up", true: "down"}[parted])
}

// lose has a node lose what comes in and fits a rule of nftables.
func (l *lan) lose(at int, rules ...string) (undo func()) {
	l.t.Helper()
	nft := func(command string) {
		l.t.Helper()
		nstest.Run(l.t, "ip", append([]string{"netns", "exec", l.nodes[at], "nft"}, strings.Fields(command)...)...)
	}
	nft("add table inet members")
	nft("add chain inet members input { type filter hook input priority 0 ; }")
	for _, rule := range rules {
		nft("add rule inet members input " + rule + " drop")
	}
	return func() { nft("delete table inet members") }
}

// drop has a node lose what comes from another one; rule is more of what nftables should look at.
func (l *lan) drop(at, from int, rule string) (undo func()) {
	l.t.Helper()
	return l.lose(at, "ip saddr "+addr(name(from)).String()+" "+rule)
}

// lossy has every node lose some percent of the membership's packets.
func (l *lan) lossy(percent int) {
	l.t.Helper()
	some := fmt.Sprintf(" numgen random mod 100 < %d", percent)
	for i := range l.nodes {
		l.lose(i, "udp dport 17946"+some, "tcp dport 17946"+some, "tcp sport 17946"+some)
	}
}

// start starts a speaker, which knows all the others.
func (l *lan) start(i int) {
	l.t.Helper()
	p := startProcess(l.t, l.nodes[i], setting{name(i), l.addr(i), [][]byte{key}, l.detection, l.guarded})
	var all []members.Peer
	for j := range l.nodes {
		all = append(all, members.Peer{Node: name(j), Addr: l.addr(j)})
	}
	p.tell(order{Peers: all})
	l.speakers[i] = p
}

// startAll starts speakers everywhere, and waits until they are together.
func (l *lan) startAll() {
	l.t.Helper()
	for i := range l.nodes {
		l.start(i)
	}
	l.together()
}

// running are the numbers of the speakers that run.
func (l *lan) running() []int {
	var out []int
	for i, p := range l.speakers {
		if p != nil {
			out = append(out, i)
		}
	}
	return out
}

// together waits until all that run see each other alive without a problem, and says how long it took.
func (l *lan) together() time.Duration {
	l.t.Helper()
	return l.eventually("all are together", func() bool {
		for _, i := range l.running() {
			for _, j := range l.running() {
				if s := l.speakers[i].last(); s.Silent != "" || s.Members[name(j)].Presence != "Alive" || !s.Members[name(j)].Known {
					return false
				}
			}
		}
		return true
	})
}

// lapses is how often the machine was so busy that a speaker did not run for longer than the others forgive.
func (l *lan) lapses() (n uint64) {
	for _, i := range l.running() {
		n += l.speakers[i].last().Lapses
	}
	return n
}

// eventually polls until it is so, for a minute.
func (l *lan) eventually(what string, done func() bool) time.Duration {
	l.t.Helper()
	start := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Since(start) > time.Minute {
			l.t.Fatalf("not within a minute: %s", what)
		}
		<-tick.C
	}
	return time.Since(start)
}

// sees waits until one speaker sees another one so, with a problem that has the words; since counts the time.
func (l *lan) sees(from, of int, presence, problem string) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("%s sees %s %s (%s)", name(from), name(of), presence, problem), func() bool {
		m := l.speakers[from].last().Members[name(of)]
		return m.Presence == presence && (problem == "" && m.Problem == "" || problem != "" && strings.Contains(m.Problem, problem))
	})
}
