package bfd

import "time"

const (
	// slow is how far apart packets are at least unless the session is Up, RFC 5880 section 6.8.3.
	slow = time.Second
	// The neighbour of a suspended session waits for awayMultiplier times awayInterval.
	awayInterval   = 10 * time.Second
	awayMultiplier = 3
)

// machine is one session's end: what RFC 5880 section 6.8 has it remember and do. It knows no sockets and no clock;
// whoever drives it calls receive for every packet, and due until it has nothing more to send, then and at the time
// that next tells.
type machine struct {
	want   Parameters     // as configured; advertised, but for the rule of 1 s
	random func() float64 // 0 up to 1, for the jitter

	local, remote         uint32 // discriminators; remote is 0 while the neighbour's is not known
	state, remoteState    State
	diag, remoteDiag      Diagnostic
	remoteMinRx, remoteTx time.Duration // its RequiredMinRxInterval and DesiredMinTxInterval
	remoteMultiplier      uint8
	remoteDemand          bool
	tx, rx                time.Duration // DesiredMinTxInterval and RequiredMinRxInterval in force, see set
	polling, pollAgain    bool          // a Poll Sequence runs; and another has to follow it
	pollAfter             bool          // it begins after the next packet
	final, changed        bool          // a Final is owed; the packet would differ from the last one
	silent, looked        bool          // nothing is sent; a late timer looks again, at look
	sent, heard, look     time.Time     // the last periodic packet, the last packet received, when to look again
	jitter                float64       // share of the interval between sent and the next packet

	dead      bool // was Up, and went Down for a reason to act on
	confirmed bool // the neighbour has been Up with this process
	since     time.Time
	ups       uint64
	downs     uint64
	late      uint64 // timers so late that detection started anew
}

func newMachine(local uint32, want Parameters, random func() float64, now time.Time) *machine {
	m := &machine{local: local, want: want, random: random, state: Down, since: now}
	m.forget()
	m.settle()
	return m
}

// forget is as if the neighbour had never been heard.
func (m *machine) forget() {
	m.remote, m.remoteState, m.remoteDemand = 0, Down, false
	m.remoteMinRx, m.remoteTx, m.remoteMultiplier = time.Microsecond, 0, 0
	m.heard, m.look, m.looked = time.Time{}, time.Time{}, false
}

// settle puts what is wanted into force.
func (m *machine) settle() {
	m.tx, m.rx = m.desired(), m.want.Receive
	m.polling, m.pollAgain, m.pollAfter = false, false, false
}

// desired is the DesiredMinTxInterval to advertise.
func (m *machine) desired() time.Duration {
	if m.state == Up {
		return m.want.Transmit
	}
	return max(m.want.Transmit, slow)
}

// set changes the parameters. While Up, a longer transmit interval and a shorter receive interval come into force
// when the neighbour has answered a Poll Sequence (RFC 5880 section 6.8.3), the others at once.
func (m *machine) set(want Parameters, now time.Time) {
	old := m.want
	m.want = want
	m.changed = m.changed || old.Transmit != want.Transmit || old.Receive != want.Receive || old.Multiplier != want.Multiplier
	if m.state != Up {
		m.settle()
		if !m.heard.IsZero() {
			m.heard = now // a shorter detection time begins now; nothing was late
		}
		return
	}
	m.tx, m.rx = min(m.tx, want.Transmit), max(m.rx, want.Receive)
	if old.Transmit != want.Transmit || old.Receive != want.Receive {
		m.poll()
	}
}

// poll begins a Poll Sequence. One that runs already was about other values, so that another follows it: a Final on
// its way may belong to the first.
func (m *machine) poll() {
	if m.polling {
		m.pollAgain = true
	}
	m.polling = true
}

// answered ends a Poll Sequence.
func (m *machine) answered() {
	if m.pollAfter { // not asked yet: it answers the one before
		return
	}
	if m.pollAgain {
		m.pollAgain, m.pollAfter = false, true
		return
	}
	m.settle()
}

// interval is that between periodic packets, without jitter (RFC 5880 section 6.8.7).
func (m *machine) interval() time.Duration { return max(m.tx, m.remoteMinRx) }

// expected is the interval at which the neighbour is to send.
func (m *machine) expected() time.Duration { return max(m.rx, m.remoteTx) }

// detection is after how much silence the neighbour is taken for dead (RFC 5880 section 6.8.4).
func (m *machine) detection() time.Duration { return time.Duration(m.remoteMultiplier) * m.expected() }

// receive takes a packet that belongs to this session (RFC 5880 section 6.8.6, from the state variables on).
func (m *machine) receive(p Packet, now time.Time) {
	m.remote, m.remoteState, m.remoteDiag, m.remoteDemand = p.MyDiscriminator, p.State, p.Diagnostic, p.Demand
	m.remoteMinRx, m.remoteTx, m.remoteMultiplier = p.RequiredMinRx, p.DesiredMinTx, p.Multiplier
	if p.Final && m.polling {
		m.answered()
	}
	if m.state == AdminDown {
		return
	}
	m.follow(p.State, now)
	m.confirmed = m.confirmed || m.state == Up && p.State == Up
	m.final = m.final || p.Poll
	m.heard, m.look, m.looked = now, time.Time{}, false
}

// follow is the state machine of RFC 5880 section 6.2.
func (m *machine) follow(remote State, now time.Time) {
	switch {
	case m.state == Down && remote == Down:
		m.move(Init, m.diag, now)
	case m.state == Down && remote == Init, m.state == Init && remote >= Init:
		m.move(Up, NoDiagnostic, now)
	case m.state == Init && remote == AdminDown:
		m.move(Down, NeighbourSignalledDown, now)
	case m.state == Up && remote <= Down:
		dead := remote == Down && m.confirmed
		m.move(Down, NeighbourSignalledDown, now)
		m.dead = dead
	}
}

// move goes into another state.
func (m *machine) move(to State, diag Diagnostic, now time.Time) {
	switch {
	case to == Up:
		m.ups++
	case m.state == Up && to == Down:
		m.downs++
	}
	m.state, m.diag, m.since = to, diag, now
	m.dead, m.confirmed, m.changed = false, to == Up, true
	m.settle()
	m.polling = to == Up // the neighbour is to learn the intervals, whether it missed a packet or not
}

// close has the neighbour told that this end is administratively down.
func (m *machine) close(now time.Time) { m.move(AdminDown, AdministrativelyDown, now) }

// told is whether the neighbour of a closed session is known to have gone Down.
func (m *machine) told() bool { return m.remote == 0 || m.remoteState <= Down }

// suspend asks the neighbour for patience. It has agreed when no Poll Sequence runs any more.
func (m *machine) suspend(now time.Time) {
	p := m.want
	p.Transmit, p.Multiplier = max(p.Transmit, awayInterval), awayMultiplier
	m.set(p, now)
	if !m.polling { // it is as slow as that already
		m.poll()
	}
}

// patience is how long the neighbour of a suspended session waits.
func (m *machine) patience() time.Duration {
	return time.Duration(m.want.Multiplier) * max(m.want.Transmit, m.remoteMinRx)
}

// resume continues a session as it was when it was suspended, in another process.
func (m *machine) resume(s Saved, now time.Time) {
	m.state, m.remoteState, m.remote = Up, Up, s.RemoteDiscriminator
	m.remoteMinRx, m.remoteTx, m.remoteMultiplier = s.RemoteReceive, s.RemoteTransmit, s.RemoteMultiplier
	m.heard, m.changed = now, true
	m.settle()
	m.polling = true
}
