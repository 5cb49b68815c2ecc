//go:build linux

package members_test

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/kontena/network-lb/announce/members"
)

// guard does for a speaker what is layer 2's business: it answers who asks, while the speaker may answer; and when
// another speaker is lost, it asks that one before it takes over.
type guard struct {
	m     *members.Membership
	conn  *net.UDPConn
	found chan finding
}

// finding is one of two things that guards tell.
type finding struct {
	Probed *probed
	Gap    *span // in which the guard's process was not given a processor, or stood still
}

// span is a time.
type span struct{ From, To time.Time }

// guardPort is where guards answer. What is said there is no packet of the membership.
const guardPort = 17947

// probed is what a guard has found out about a lost speaker.
type probed struct {
	Node         string
	Lost         time.Time // since when it is lost
	Began, Ended time.Time
	Answered     bool
	TakenOver    bool // it did not answer, is still lost, and the asking speaker is fit to answer itself
}

// guardOf guards a speaker until the process ends.
func guardOf(m *members.Membership, addr netip.Addr) (chan finding, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, guardPort)))
	if err != nil {
		return nil, err
	}
	g := guard{m, conn, make(chan finding)}
	go g.answer()
	go g.watch()
	go g.pulse()
	return g.found, nil
}

// pulse finds out whether it runs as it should: the answers to probes are awaited for 150 ms in all.
func (g guard) pulse() {
	ticker := time.NewTicker(20 * time.Millisecond)
	last := time.Now()
	for range ticker.C {
		now := time.Now()
		if now.Sub(last) > 100*time.Millisecond {
			g.found <- finding{Gap: &span{last, now}}
		}
		last = now
	}
}

func (g guard) answer() {
	b := make([]byte, 64)
	for {
		n, from, err := g.conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && g.m.Ready() == nil {
			_, _ = g.conn.WriteToUDPAddrPort(b[:n], from)
		}
	}
}

// watch asks each speaker that is lost, at once and then each second.
func (g guard) watch() {
	type loss struct {
		node  string
		since time.Time
	}
	asked := map[loss]time.Time{}
	for {
		v, changed := g.m.View()
		for _, one := range v.Members {
			l := loss{one.Node, one.Since}
			if one.Presence == members.Lost && v.Silent == nil && time.Since(asked[l]) >= time.Second {
				asked[l] = time.Now()
				go g.probe(one, v.Lapses)
			}
		}
		select {
		case <-changed:
		case <-time.After(time.Second):
		}
	}
}

func (g guard) probe(lost members.Member, lapses uint64) {
	p := probed{Node: lost.Node, Lost: lost.Since, Began: time.Now()}
	p.Answered = ask(lost.Addr.Addr())
	v, _ := g.m.View()
	p.Ended = time.Now()
	for _, one := range v.Members {
		if one.Node == lost.Node && one.Presence == members.Lost && one.Since.Equal(lost.Since) {
			p.TakenOver = !p.Answered && v.Silent == nil && v.Lapses == lapses
		}
	}
	g.found <- finding{Probed: &p}
}

// ask probes three times, 50 ms apart.
func ask(addr netip.Addr) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, guardPort)))
	if err != nil {
		return false
	}
	defer conn.Close()
	answer := make(chan struct{})
	go func() {
		b := make([]byte, 64)
		for {
			_, err := conn.Read(b) // that nobody listens is an error each time
			if err == nil {
				close(answer)
			}
			if err == nil || errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	// If this process stands still meanwhile, what has come by then has to be read: hence a little longer at the end.
	for _, wait := range []time.Duration{50, 50, 50 + 10} {
		_, _ = conn.Write([]byte{1})
		select {
		case <-answer:
			return true
		case <-time.After(wait * time.Millisecond):
		}
	}
	return false
}
