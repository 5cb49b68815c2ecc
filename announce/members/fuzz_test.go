package members

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"

	"github.com/kontena/network-lb/layer2"
)

// FuzzRecord: whatever comes is refused or understood, and what is understood is passed on as it was.
func FuzzRecord(f *testing.F) {
	f.Add(full("a", head{1 << 62, 3}, addrs("10.0.0.1", "10.0.0.9", "2001:db8::1")...).append(nil))
	f.Add(record{node: "b", head: head{7, 8}, content: difference, base: 7, added: addrs("10.0.0.1"), registers: registers{99: "x"}, age: time.Hour}.append(nil))
	f.Add(record{node: "b", head: head{7, 8}}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRecord(b)
		node, h, errHead := readHead(b)
		if err != nil {
			return
		}
		if errHead != nil || node != r.node || h != r.head {
			t.Fatalf("the head of %x is %q %v (%v), of the whole %q %v", b, node, h, errHead, r.node, r.head)
		}
		again := r.append(nil)
		if got, err := readRecord(again); err != nil || text(got) != text(r) {
			t.Fatalf("%x became %x (%v)", b, again, err)
		}
	})
}

// FuzzState: interfaces and flags are refused or understood, and what is understood can be told as it was.
func FuzzState(f *testing.F) {
	for _, s := range []State{{Interfaces: links, Starting: true}, {Draining: true}, {Interfaces: links[1:]}} {
		r := registersOf(s, s.Draining)
		f.Add([]byte(r[tagFlags]), []byte(r[tagInterfaces]))
	}
	claim := layer2.Claim{Addr: netip.MustParseAddr("10.0.0.240")}
	f.Fuzz(func(t *testing.T, flags, interfaces []byte) {
		s, leaving, err := registers{tagFlags: string(flags), tagInterfaces: string(interfaces)}.state()
		if err != nil {
			return
		}
		_, _ = layer2.Choose(s.Interfaces, claim, nil) // it is who reads them
		got, leavingAgain, err := registersOf(s, leaving).state()
		if err != nil || leavingAgain != leaving || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v became %+v (%v)", s, got, err)
		}
	})
}

// FuzzRestart: the same of what is said of restarts.
func FuzzRestart(f *testing.F) {
	for _, s := range []State{{Restarting: time.Minute}, {Restarting: time.Millisecond, Standing: addrs("10.0.0.1", "2001:db8::1")}} {
		r := registersOf(s, false)
		f.Add([]byte(r[tagRestarting]), []byte(r[tagStanding]))
	}
	f.Fuzz(func(t *testing.T, restarting, standing []byte) {
		s, _, err := registers{tagRestarting: string(restarting), tagStanding: string(standing)}.state()
		if err != nil {
			return
		}
		if s.Restarting < 0 || s.Restarting > mostRestarting {
			t.Fatalf("a restart of %v", s.Restarting)
		}
		got, _, err := registersOf(s, false).state()
		if err != nil || got.Restarting != s.Restarting || !slices.Equal(got.Standing, s.Standing) {
			t.Fatalf("%+v became %+v (%v)", s, got, err)
		}
	})
}

// FuzzHello: a greeting is refused or understood, and can be sent as it was.
func FuzzHello(f *testing.F) {
	for _, at := range []string{"10.0.0.1:17946", "[2001:db8::1]:5", "[fe80::1%eth0]:5"} {
		f.Add(hello{"a", netip.MustParseAddrPort(at)}.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHello(b)
		if err != nil {
			return
		}
		if got, err := readHello(h.append(nil)); err != nil || got != h {
			t.Fatalf("%+v became %+v (%v)", h, got, err)
		}
	})
}

// deaf is a speaker without a network.
func deaf(node string) *Membership {
	m := &Membership{
		opts: Options{Node: node, Port: DefaultPort, Clocks: hostClocks}, log: zap.NewNop(), lines: &logger{log: zap.NewNop()}, wake: make(chan struct{}, 1),
		table: newTable(node, 5), peers: map[string]*peer{}, names: map[netip.Addr]string{}, changed: make(chan struct{}),
	}
	m.queue.RetransmitMult, m.queue.NumNodes = retransmit, func() int { return 3 }
	return m
}

// FuzzMessage: nothing that a member sends breaks a speaker, or what it passes on, whichever way it comes.
func FuzzMessage(f *testing.F) {
	seed := newTable("other", 5)
	seed.set(State{Held: addrs("10.0.0.1"), Interfaces: links}, false)
	f.Add(seed.exchange(func(string) time.Duration { return time.Hour }))
	f.Add(full("self", head{9, 9}).append(message(kindUpdate)))
	f.Add(full("self", head{maxInstance, 9}).append(message(kindUpdate)))
	f.Add(record{node: "other", head: head{7, 8}}.append(message(kindUpdate)))
	f.Add(hello{"a", netip.MustParseAddrPort("[2001:db8::1]:5")}.append(message(kindHello)))
	own := addrs("10.9.9.9")
	f.Fuzz(func(t *testing.T, b []byte) {
		m := deaf("self")
		m.Set(State{Held: own})
		d := delegate{m}
		d.NotifyMsg(b)
		d.MergeRemoteState(b, false)
		d.NotifyPingComplete(&memberlist.Node{Name: "other"}, 0, b)
		now := time.Now()
		m.table.behind(now)
		m.settle(now)
		v, _ := m.View()
		for _, one := range v.Members {
			if !slices.IsSortedFunc(one.State.Held, netip.Addr.Compare) {
				t.Fatalf("%s holds %v", one.Node, one.State.Held)
			}
		}
		if self := m.table.own(); !slices.Equal(self.state.Held, own) || self.head.less(head{5, 2}) || self.head.less(self.newest) {
			t.Fatalf("the own state became %+v", self)
		}
		if _, err := newTable("third", 6).newer(d.LocalState(false)[2:]); err != nil {
			t.Fatalf("what was taken cannot be exchanged: %v", err)
		}
		for _, told := range d.GetBroadcasts(0, 1<<20) {
			if _, content, err := open(told); err != nil {
				t.Fatalf("what was taken cannot be passed on: %v", err)
			} else if _, err := readRecord(content); err != nil {
				t.Fatalf("what was taken cannot be passed on: %v", err)
			}
		}
	})
}
