package bfd

import (
	"net/netip"
	"slices"
	"time"
)

// Saved is a suspended session, or a snapshot of one, for the next process to resume: see Options.Resume. It is JSON,
// with intervals in nanoseconds.
type Saved struct {
	Local     netip.Addr `json:"local"`
	Remote    netip.Addr `json:"remote"`
	Interface string     `json:"interface,omitempty"`
	Multihop  bool       `json:"multihop,omitempty"`

	LocalDiscriminator  uint32        `json:"local_discriminator"`
	RemoteDiscriminator uint32        `json:"remote_discriminator"`
	RemoteReceive       time.Duration `json:"remote_receive"`
	RemoteTransmit      time.Duration `json:"remote_transmit"`
	RemoteMultiplier    uint8         `json:"remote_multiplier"`
	SourcePort          uint16        `json:"source_port"`

	// At is when the session was suspended, and Until when the neighbour takes it for dead if nobody resumes it; zero: that
	// is not known.
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"`
}

func (s *Session) save(now time.Time) Saved {
	return Saved{
		Local: s.config.Local, Remote: s.config.Remote, Interface: s.config.Interface, Multihop: s.config.Multihop,
		LocalDiscriminator: s.machine.local, RemoteDiscriminator: s.machine.remote,
		RemoteReceive: s.machine.remoteMinRx, RemoteTransmit: s.machine.remoteTx, RemoteMultiplier: s.machine.remoteMultiplier,
		SourcePort: s.sender.port(), At: now.Round(0), Until: now.Add(s.machine.patience()).Round(0),
	}
}

// usable is whether the session can still be Up at the neighbour, which waits for a limited time. In doubt it is: to
// resume a session that the neighbour has given up costs nothing, to begin one anew that it has not is an alarm.
func (v Saved) usable(now time.Time) bool {
	return v.LocalDiscriminator != 0 && v.RemoteDiscriminator != 0 && v.RemoteMultiplier != 0 &&
		(v.Until.IsZero() || now.Round(0).Before(v.Until))
}

// take gives the saved session of a pair away, once. The caller holds the lock.
func (m *Manager) take(c Config, now time.Time) (Saved, bool) {
	i := slices.IndexFunc(m.saved, func(v Saved) bool {
		return v.Local == c.Local && v.Remote == c.Remote && v.Interface == c.Interface && v.Multihop == c.Multihop
	})
	if i < 0 {
		return Saved{}, false
	}
	v := m.saved[i]
	m.saved = slices.Delete(m.saved, i, i+1)
	return v, v.usable(now) && m.sessions[v.LocalDiscriminator] == nil
}
