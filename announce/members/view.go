package members

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// View is what is known at one moment. It is a value that nobody changes any more.
type View struct {
	// Silent is why this speaker must not answer for any address now; nil: it knows the others well enough. It wraps
	// ErrStarting, ErrPortInUse, ErrClockLapse or ErrClosed.
	Silent error
	// Members are the speakers that are or were there, or are expected, in the order of their names; this one too.
	Members []Member
	// Lapses counts how often this speaker has stood still for so long that others may have taken over. Silent may be
	// over before anybody has looked; this tells whom it concerns to probe what it held.
	Lapses uint64
}

// Why a speaker must be silent.
var (
	// ErrStarting: states were not exchanged with anybody yet; after a second without an answer it goes on alone.
	ErrStarting = errors.New("starting: no other speaker has told yet what it holds")
	// ErrClockLapse: this process, or its machine, stood still for so long that others may have taken over.
	ErrClockLapse = errors.New("this speaker stood still, and others may have taken over")
	// ErrClosed: it takes no part any more.
	ErrClosed = errors.New("the membership is closed")
)

// ClockLapseError says for how long the speaker stood still. It is an ErrClockLapse.
type ClockLapseError struct{ Lapse time.Duration }

// Error is one sentence.
func (e *ClockLapseError) Error() string {
	return fmt.Sprintf("%v: its clocks jumped by %v, and no other speaker has told since what it holds", ErrClockLapse, e.Lapse.Round(time.Millisecond))
}

// Is makes it an ErrClockLapse.
func (e *ClockLapseError) Is(target error) bool { return target == ErrClockLapse }

// Presence says whether a speaker is there.
type Presence uint8

// The presences.
const (
	Missing Presence = iota // expected, and not met since this speaker started
	Alive                   // it answers, here or to others
	Lost                    // it has stopped answering
	Left                    // it has said that it leaves
	Gone                    // its node is deleted or out of service, whatever the speaker says
)

var presences = [...]string{"Missing", "Alive", "Lost", "Left", "Gone"}

// String is the presence in a word.
func (p Presence) String() string { return presences[p] }

// MarshalText is String.
func (p Presence) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Member is a speaker as seen from here.
type Member struct {
	// Node is the name of its node.
	Node string
	// Addr is where it is, or is expected.
	Addr netip.AddrPort
	// Presence, and since when it is so.
	Presence Presence
	Since    time.Time
	// Known says that it has told its state, and State is the last that has arrived, kept for a day after it was last
	// alive.
	Known bool
	State State
	// Until is when a restart that State tells of is over, whether or not the speaker is back.
	Until time.Time
	// Problem says in words what is wrong between it and this speaker, such as a blocked port; "" for nothing.
	Problem string
}

// Peer is a speaker that is expected.
type Peer struct {
	// Node is the name of its node, and Addr the node's address.
	Node string     `json:"node"`
	Addr netip.Addr `json:"address"`
	// Gone says that the node was deleted or is out of service: its speaker counts as lost, whatever it says.
	Gone bool `json:"gone,omitempty"`
}

// Counters are for metrics.
type Counters struct {
	Alive        int    // members that are alive, this one included
	Joins        uint64 // members that came, or came back
	Losses       uint64 // members that were lost
	StaleLosses  uint64 // losses that were heard of and proved wrong within a gossip round
	Attempts     uint64 // to reach members that are missing
	Exchanges    uint64 // of all states, with one member
	ClockLapses  uint64 // times that this speaker stood still
	DecodeErrors uint64 // messages of members that could not be read
	WrongKey     uint64 // packets and connections that could not be decrypted

	UDPSent, UDPReceived, TCPSent, TCPReceived uint64 // bytes, without the headers of IP, UDP and TCP
}

// Counters as of now.
func (m *Membership) Counters() Counters {
	c := &m.counts
	return Counters{
		Alive: int(c.alive.Load()), Joins: c.joins.Load(), Losses: c.losses.Load(), StaleLosses: c.stale.Load(),
		Attempts: c.attempts.Load(), Exchanges: c.exchanges.Load(), ClockLapses: c.lapses.Load(),
		DecodeErrors: c.decodeErrors.Load(), WrongKey: c.wrongKey.Load(),
		UDPSent: m.bytes.udpSent.Load(), UDPReceived: m.bytes.udpReceived.Load(),
		TCPSent: m.bytes.tcpSent.Load(), TCPReceived: m.bytes.tcpReceived.Load(),
	}
}

// View is what is known now, and a channel that is closed once that is no longer so.
func (m *Membership) View() (View, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.view == nil {
		m.view = m.look()
	}
	return *m.view, m.changed
}

// look makes the view; m.mu is held.
func (m *Membership) look() *View {
	own := m.table.own()
	v := &View{Silent: m.silent, Lapses: m.counts.lapses.Load()}
	members := map[string]Member{m.opts.Node: {
		Node: m.opts.Node, Addr: netip.AddrPortFrom(m.opts.Addr, m.opts.Port), Presence: Alive, Since: m.opened, Known: true, State: own.state,
	}}
	for name, p := range m.peers {
		r := m.table.replicas[name]
		one := Member{Node: name, Addr: p.at(m.opts.Port), Presence: p.presence, Since: p.since, Known: r.known(), Problem: p.told}
		if one.Known {
			one.State = r.state
			if r.state.Restarting > 0 {
				one.Until = r.ending.Add(r.state.Restarting)
			}
		}
		members[name] = one
	}
	for _, name := range sortedKeys(members) {
		v.Members = append(v.Members, members[name])
	}
	return v
}

// Members are the View's.
func (m *Membership) Members() []Member {
	v, _ := m.View()
	return v.Members
}

// Changed is a channel that is closed once the view has changed.
func (m *Membership) Changed() <-chan struct{} {
	_, changed := m.View()
	return changed
}

// Ready is the View's Silent.
func (m *Membership) Ready() error {
	v, _ := m.View()
	return v.Silent
}
