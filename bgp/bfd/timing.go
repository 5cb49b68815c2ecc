package bfd

import "time"

// due tells the packet that is to be sent now, if there is one. It is called until there is none.
func (m *machine) due(now time.Time) (Packet, bool) {
	m.expire(now)
	if m.silent {
		m.final = false
		return Packet{}, false
	}
	if m.final { // at once, and whatever the intervals say (RFC 5880 section 6.8.7)
		m.final, m.changed = false, m.polling && m.changed
		p := m.packet()
		p.Poll, p.Final = false, true
		return p, true
	}
	if !m.periodic() || now.Before(m.nextSend()) {
		return Packet{}, false
	}
	m.sent, m.jitter, m.changed = now, m.drawJitter(), false
	p := m.packet()
	m.pollAfter = false
	return p, true
}

// next is when due is to be called again; zero when only a packet can change anything.
func (m *machine) next() time.Time {
	var next time.Time
	if !m.silent && m.periodic() {
		next = m.nextSend()
	}
	if deadline := m.deadline(); !deadline.IsZero() && (next.IsZero() || deadline.Before(next)) {
		next = deadline
	}
	return next
}

// nextSend follows every change of the intervals at once: FRR takes in a packet a second until it is Up, and expects
// three and more of them from then on.
func (m *machine) nextSend() time.Time {
	if m.changed || m.sent.IsZero() {
		return m.sent
	}
	return m.sent.Add(time.Duration(m.jitter * float64(m.interval())))
}

// periodic is whether packets are sent at all (RFC 5880 section 6.8.7).
func (m *machine) periodic() bool {
	switch {
	case m.want.Passive && m.remote == 0, m.remoteMinRx == 0:
		return false
	case m.remoteDemand && m.state == Up && m.remoteState == Up:
		return m.polling || m.changed
	}
	return true
}

// drawJitter takes up to a quarter off the interval, and a tenth at least where a single missed packet counts.
func (m *machine) drawJitter() float64 {
	if m.want.Multiplier == 1 {
		return 0.90 - 0.15*m.random()
	}
	return 1 - 0.25*m.random()
}

func (m *machine) packet() Packet {
	return Packet{
		Diagnostic:        m.diag,
		State:             m.state,
		Poll:              m.polling && !m.pollAfter,
		Multiplier:        m.want.Multiplier,
		MyDiscriminator:   m.local,
		YourDiscriminator: m.remote,
		DesiredMinTx:      m.desired(),
		RequiredMinRx:     m.want.Receive,
	}
}

// deadline is when silence has lasted for the detection time; zero while nothing is awaited.
func (m *machine) deadline() time.Time {
	if m.heard.IsZero() || m.state == AdminDown {
		return time.Time{}
	}
	if m.looked {
		return m.look
	}
	return m.heard.Add(m.detection())
}

// expire takes the neighbour for dead when its time is up, unless this process was held up so long that it may just
// not have heard: then detection starts anew. One that was held up for less looks again after a moment, in which what
// waits in the socket is read, and again while it is still held up, for half the detection time at most.
func (m *machine) expire(now time.Time) {
	deadline, detection := m.deadline(), m.detection()
	if deadline.IsZero() || now.Before(deadline) {
		return
	}
	moment := min(detection/8, 10*time.Millisecond)
	late, longest := now.Sub(deadline), time.Millisecond
	if m.looked {
		longest = moment
	}
	switch {
	case late >= detection/2:
		m.late++
		m.heard, m.look, m.looked = now, time.Time{}, false
		return
	case late > longest && now.Sub(m.heard) < detection+detection/2:
		m.look, m.looked = now.Add(moment), true
		return
	}
	m.forget()
	if m.state == Init || m.state == Up {
		dead := m.state == Up && m.confirmed
		m.move(Down, DetectionTimeExpired, now)
		m.dead = dead
	}
}
