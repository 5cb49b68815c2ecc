package bfd

// deliver gives a datagram to its session (RFC 5880 section 6.8.6, RFC 5881 section 3, RFC 5883 section 4).
func (m *Manager) deliver(d datagram) {
	p, err := Parse(d.payload)
	if err != nil {
		m.malformed.Add(1)
		return
	}
	s := m.find(p, d)
	if s == nil {
		m.unknown.Add(1)
		return
	}
	s.receive(p, d.ttl)
}

// find tells whose packet it is: by the discriminator, from whatever address, since routers with several answer from
// any; without one by its addresses and, over a single hop, where it came in.
func (m *Manager) find(p Packet, d datagram) *Session {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if p.YourDiscriminator != 0 {
		if s := m.sessions[p.YourDiscriminator]; s != nil && s.expects(d) {
			return s
		}
		return nil
	}
	var other *Session
	others := 0
	for _, s := range m.remotes[d.from] {
		switch {
		case !s.expects(d):
		case s.config.Local == d.to:
			return s
		case !s.config.Multihop:
			other = s
			others++
		}
	}
	if others != 1 {
		return nil
	}
	return other
}

// expects is whether the datagram came to the session's port, over its interface. A Session's config and link never
// change.
func (s *Session) expects(d datagram) bool {
	return s.config.socket() == d.socket && (s.link == 0 || s.link == d.link)
}
