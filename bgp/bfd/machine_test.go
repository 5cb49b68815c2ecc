package bfd

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func half() float64 { return 0.5 }

// in makes a machine that is in a state, with a neighbour whose discriminator is 7.
func in(s State) *machine {
	m := newMachine(1, Parameters{}.withDefaults(), half, start)
	hear := func(remote State) { m.receive(packet(remote), start) }
	switch s {
	case Init:
		hear(Down)
	case Up:
		hear(Down)
		hear(Init)
	case AdminDown:
		m.close(start)
	}
	for _, ok := m.due(start); ok; _, ok = m.due(start) { // a Poll Sequence begins
		continue
	}
	return m
}

func packet(s State) Packet {
	return Packet{State: s, Multiplier: 3, MyDiscriminator: 7, YourDiscriminator: 1, DesiredMinTx: 300 * time.Millisecond, RequiredMinRx: 300 * time.Millisecond}
}

// TestStateMachine is RFC 5880 section 6.2, and the text of 6.8.6.
func TestStateMachine(t *testing.T) {
	tests := []struct {
		state, remote, want State
		diag                Diagnostic
		dead                bool
	}{
		{Down, AdminDown, Down, NoDiagnostic, false},
		{Down, Down, Init, NoDiagnostic, false},
		{Down, Init, Up, NoDiagnostic, false},
		{Down, Up, Down, NoDiagnostic, false},
		{Init, AdminDown, Down, NeighbourSignalledDown, false},
		{Init, Down, Init, NoDiagnostic, false},
		{Init, Init, Up, NoDiagnostic, false},
		{Init, Up, Up, NoDiagnostic, false},
		{Up, AdminDown, Down, NeighbourSignalledDown, false},
		{Up, Down, Down, NeighbourSignalledDown, true},
		{Up, Init, Up, NoDiagnostic, false},
		{Up, Up, Up, NoDiagnostic, false},
		{AdminDown, AdminDown, AdminDown, AdministrativelyDown, false},
		{AdminDown, Down, AdminDown, AdministrativelyDown, false},
		{AdminDown, Init, AdminDown, AdministrativelyDown, false},
		{AdminDown, Up, AdminDown, AdministrativelyDown, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v hears %v", tt.state, tt.remote), func(t *testing.T) {
			m := in(tt.state)
			if m.state != tt.state {
				t.Fatalf("begins %v", m.state)
			}
			now := start.Add(100 * time.Millisecond)
			m.receive(packet(tt.remote), now)
			s := m.status()
			if s.State != tt.want || s.Diagnostic != tt.diag || s.Dead != tt.dead {
				t.Errorf("is %v (%v), dead %v; want %v (%v), %v", s.State, s.Diagnostic, s.Dead, tt.want, tt.diag, tt.dead)
			}
			p, told := m.due(now)
			if moved := tt.state != tt.want; told != moved {
				t.Errorf("sent %v %+v, want the change told at once and nothing else", told, p)
			} else if moved && (p.State != tt.want || p.Diagnostic != tt.diag || p.YourDiscriminator != 7) {
				t.Errorf("sent %+v", p)
			}
		})
	}
}

func TestSilenceInEachState(t *testing.T) {
	for state, want := range map[State]Status{
		Down: {State: Down}, Init: {State: Down, Diagnostic: DetectionTimeExpired},
		Up: {State: Down, Diagnostic: DetectionTimeExpired, Dead: true}, AdminDown: {State: AdminDown, Diagnostic: AdministrativelyDown},
	} {
		m := in(state)
		if state == Down {
			m.receive(packet(AdminDown), start) // heard, but going nowhere
		}
		now := start.Add(900 * time.Millisecond)
		m.expire(now.Add(-1))
		if m.state != state {
			t.Errorf("%v is %v before the detection time", state, m.state)
		}
		m.expire(now)
		if s := m.status(); s.State != want.State || s.Diagnostic != want.Diagnostic || s.Dead != want.Dead {
			t.Errorf("%v becomes %v (%v), dead %v", state, s.State, s.Diagnostic, s.Dead)
		}
		if state != AdminDown && (m.remote != 0 || m.remoteMinRx != time.Microsecond) {
			t.Errorf("%v remembers the neighbour it has lost: %+v", state, m)
		}
	}
}

func TestPollIsAnsweredAtOnceInEveryStateButAdminDown(t *testing.T) {
	for _, state := range []State{Down, Init, Up, AdminDown} {
		m := in(state)
		p := packet(AdminDown)
		if state == Up {
			p = packet(Up)
		}
		p.Poll = true
		now := start.Add(time.Millisecond)
		m.receive(p, now)
		out, ok := m.due(now)
		if ok != (state != AdminDown) || ok && (!out.Final || out.Poll) {
			t.Errorf("%v answers a Poll with %v %+v", state, ok, out)
		}
	}
}

// TestLateTimers is about a process that was held up: what came in meanwhile is not read yet.
func TestLateTimers(t *testing.T) {
	deadline := start.Add(900 * time.Millisecond)
	tests := []struct {
		name  string
		looks []time.Duration // after the deadline
		want  State
		late  uint64
	}{
		{"on time", []time.Duration{0}, Down, 0},
		{"as timers are", []time.Duration{time.Millisecond}, Down, 0},
		{"a little late: it looks again", []time.Duration{2 * time.Millisecond}, Up, 0},
		{"later", []time.Duration{100 * time.Millisecond}, Up, 0},
		{"it has looked again", []time.Duration{100 * time.Millisecond, 110 * time.Millisecond}, Down, 0},
		{"it has looked again, late", []time.Duration{100 * time.Millisecond, 121 * time.Millisecond}, Up, 0},
		{"and again", []time.Duration{100 * time.Millisecond, 121 * time.Millisecond, 131 * time.Millisecond}, Down, 0},
		{"but not for ever", []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond}, Down, 0},
		{"just under half", []time.Duration{449 * time.Millisecond, 459 * time.Millisecond}, Down, 0},
		{"half the detection time", []time.Duration{450 * time.Millisecond}, Up, 1},
		{"it starts anew", []time.Duration{450 * time.Millisecond, 1349 * time.Millisecond}, Up, 1},
		{"and expires", []time.Duration{450 * time.Millisecond, 1350 * time.Millisecond}, Down, 1},
		{"very late twice", []time.Duration{time.Hour, 3 * time.Hour}, Up, 2},
		{"held up again while looking again", []time.Duration{100 * time.Millisecond, 600 * time.Millisecond}, Up, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := in(Up)
			for _, l := range tt.looks {
				m.expire(deadline.Add(l))
			}
			if m.state != tt.want || m.late != tt.late {
				t.Errorf("is %v, %d late; want %v, %d", m.state, m.late, tt.want, tt.late)
			}
		})
	}
	m := in(Up)
	m.expire(deadline.Add(100 * time.Millisecond))
	m.receive(packet(Up), deadline.Add(101*time.Millisecond)) // it was in the socket
	m.expire(deadline.Add(110 * time.Millisecond))
	if m.state != Up || !m.deadline().Equal(deadline.Add(1001*time.Millisecond)) {
		t.Errorf("is %v, and waits until %v", m.state, m.deadline())
	}
}

func TestJitterBounds(t *testing.T) {
	for multiplier, bounds := range map[uint8][2]float64{1: {0.75, 0.90}, 2: {0.75, 1}, 3: {0.75, 1}, 255: {0.75, 1}} {
		m := newMachine(1, Parameters{Multiplier: multiplier}.withDefaults(), rand.Float64, start)
		least, most := 2.0, 0.0
		for range 10000 {
			j := m.drawJitter()
			least, most = min(least, j), max(most, j)
		}
		if least < bounds[0] || most > bounds[1] || least > bounds[0]+0.01 || most < bounds[1]-0.01 {
			t.Errorf("multiplier %d: %v to %v of the interval, want %v", multiplier, least, most, bounds)
		}
	}
}

// TestASecondChangeIsPolledForAfterTheFirst has a Final answer only what was asked with it.
func TestASecondChangeIsPolledForAfterTheFirst(t *testing.T) {
	m := in(Up)
	final := packet(Up)
	final.Final = true
	m.receive(final, start) // the Poll on coming Up
	if m.polling {
		t.Fatal("a Final does not end the Poll Sequence")
	}
	now := start
	send := func() Packet {
		t.Helper()
		now = now.Add(time.Second)
		m.heard = now
		p, ok := m.due(now)
		if !ok {
			t.Fatal("nothing sent")
		}
		return p
	}
	slower := func(tx time.Duration) { p := m.want; p.Transmit = tx; m.set(p, now) }
	slower(2 * time.Second)
	if p := send(); !p.Poll || p.DesiredMinTx != 2*time.Second || m.interval() != 300*time.Millisecond {
		t.Fatalf("%+v, sending every %v", p, m.interval())
	}
	slower(4 * time.Second)
	if p := send(); !p.Poll || p.DesiredMinTx != 4*time.Second {
		t.Fatalf("%+v", p)
	}
	m.receive(final, now)
	m.receive(final, now) // of the second packet of the first sequence, maybe
	if p := send(); p.Poll || m.interval() != 300*time.Millisecond {
		t.Fatalf("%+v, sending every %v: the sequences have to be told apart", p, m.interval())
	}
	if p := send(); !p.Poll || m.interval() != 300*time.Millisecond {
		t.Fatalf("%+v, sending every %v", p, m.interval())
	}
	m.receive(final, now)
	if m.polling || m.interval() != 4*time.Second {
		t.Fatalf("polling %v, sending every %v", m.polling, m.interval())
	}
}

func TestWhoMustNotSend(t *testing.T) {
	passive := newMachine(1, Parameters{Passive: true}.withDefaults(), half, start)
	if _, ok := passive.due(start.Add(time.Hour)); ok || !passive.next().IsZero() {
		t.Error("the passive end sends before it has heard anything")
	}
	deaf := in(Up)
	p := packet(Up)
	p.RequiredMinRx = 0
	deaf.receive(p, start)
	if _, ok := deaf.due(start.Add(800 * time.Millisecond)); ok {
		t.Error("sends to a neighbour that wants no packets")
	}
	m := in(Up)
	p = packet(Up)
	p.Demand = true
	m.receive(p, start)
	if out, ok := m.due(start.Add(800 * time.Millisecond)); !ok || !out.Poll {
		t.Error("the Poll Sequence ends because the neighbour wants no other packets")
	}
	p.Final = true
	m.receive(p, start.Add(800*time.Millisecond))
	if _, ok := m.due(start.Add(1600 * time.Millisecond)); ok {
		t.Error("sends periodically to a neighbour in Demand mode")
	}
}
