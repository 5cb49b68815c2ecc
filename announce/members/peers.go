package members

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

const (
	rejoinEvery = 300 * time.Millisecond
	rejoinMost  = 10 * time.Second
	maxFlying   = 16             // attempts under way at a time
	memory      = 24 * time.Hour // how long a speaker is remembered that is not alive
)

// peer is another speaker, or where one is expected.
type peer struct {
	name  string
	given netip.Addr     // where it is expected; invalid: it is not
	seen  netip.AddrPort // where it was last a member
	gone  bool           // by the caller's word
	dial  bool           // it is to be brought back when it is missing

	alive    bool      // as memberlist sees it
	verdict  time.Time // since when memberlist says otherwise, and it is still to be checked; zero: nothing is
	presence Presence
	since    time.Time
	last     time.Time // when it was last alive
	missing  time.Time // since when it is not alive
	doubt    time.Time // when it was alive again, and what is known of its state may be from before; zero: it is not
	stated   head      // of the state that it has itself told of since

	flying bool      // an attempt is under way
	tried  time.Time // when the last one began
	next   time.Time // not before
	sync   bool      // states are to be exchanged with it although it is alive

	evidence
	complaint
}

// at is where it is, or is expected.
func (p *peer) at(port uint16) netip.AddrPort {
	if p.seen.IsValid() && (p.alive || !p.given.IsValid()) {
		return p.seen
	}
	return netip.AddrPortFrom(p.given, port)
}

// peer returns the speaker of that name, a new one if need be; m.mu is held.
func (m *Membership) peer(name string, now time.Time) *peer {
	p := m.peers[name]
	if p == nil {
		p = &peer{name: name, since: now, missing: now}
		m.peers[name] = p
	}
	return p
}

// admits reports whether there is room for a speaker; m.mu is held.
func (m *Membership) admits(name string) bool {
	return m.peers[name] != nil || len(m.peers) < maxSpeakers
}

// SetPeers says where speakers are expected: all of them, this one's own does not matter. One that is missing is tried
// until it is there. A speaker that is not among them and comes by itself is welcome, and is brought back too if it is
// lost, until the next call. One that is not alive and not given any more is not looked for.
func (m *Membership) SetPeers(peers []Peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	given := map[string]Peer{}
	for _, p := range peers {
		if p.Node != m.opts.Node && p.Node != "" && len(p.Node) <= maxName {
			given[p.Node] = p
		}
	}
	for name, g := range given {
		p := m.peer(name, now)
		if addr := g.Addr.Unmap().WithZone(""); p.given != addr || p.gone != g.Gone {
			p.given, p.gone, p.next, p.missing = addr, g.Gone, now, later(p.missing, now, p.alive)
		}
	}
	for name, p := range m.peers {
		if _, ok := given[name]; !ok {
			p.given, p.gone = netip.Addr{}, false
		}
		p.dial = p.given.IsValid() || p.alive
	}
	m.warnOfTooMany()
	m.forget(now)
	m.settle(now)
	m.poke()
}

// later keeps since when a member is missing that is alive, and begins anew for one that is not.
func later(missing, now time.Time, alive bool) time.Time {
	if alive {
		return missing
	}
	return now
}

func (m *Membership) warnOfTooMany() {
	many := m.opts.Detection == Fast && len(m.peers)+1 > FastLimit
	if many && !m.tooMany {
		m.log.Warn("fast failure detection is for few speakers: they may be taken for lost wrongly",
			zap.Int("speakers", len(m.peers)+1), zap.Int("at_most", FastLimit))
	}
	m.tooMany = many
}

// forget drops whom nobody has to know any more, and puts the addresses of the others in order; m.mu is held.
func (m *Membership) forget(now time.Time) {
	m.forgot = now
	clear(m.names)
	for name, p := range m.peers {
		over := !p.given.IsValid() || p.gone && now.Sub(p.since) > memory
		if !p.alive && over && now.Sub(p.last) > memory && !p.flying {
			delete(m.peers, name)
			delete(m.table.replicas, name)
			m.touch()
			continue
		}
		at := p.at(m.opts.Port).Addr()
		other := m.peers[m.names[at]] // of two nodes with one address, one is no more
		if at.IsValid() && (other == nil || p.alive || other.gone && !other.alive) {
			m.names[at] = name
		}
	}
}

// Known are the speakers that are expected or came by themselves, to be kept: given to SetPeers at the next start,
// they let it find the others without anybody's help.
func (m *Membership) Known() []Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Peer
	for name, p := range m.peers {
		if at := p.at(m.opts.Port).Addr(); p.dial && !p.gone && at.IsValid() {
			out = append(out, Peer{Node: name, Addr: at})
		}
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// due are the speakers with which states are to be exchanged now, marked as under way; m.mu is held.
func (m *Membership) due(now time.Time) []*peer {
	var out []*peer
	for _, name := range sortedKeys(m.peers) {
		p := m.peers[name]
		wanted := p.sync && p.alive || p.dial && !p.alive
		if !wanted || p.gone || p.flying || now.Before(p.next) || now.Sub(p.tried) < rejoinEvery || !p.at(m.opts.Port).IsValid() {
			continue
		}
		out = append(out, p)
	}
	// Those that waited longest come first.
	slices.SortStableFunc(out, func(a, b *peer) int { return a.tried.Compare(b.tried) })
	out = out[:min(len(out), maxFlying-m.flying)]
	for _, p := range out {
		p.flying, p.tried = true, now
	}
	m.flying += len(out)
	return out
}

// pause is how long to wait until the next attempt at a speaker that is missing. It is short for one that held what this
// one holds now, as in the two halves of a network: when that is whole again, both answer until they meet. Of several such
// one is tried each rejoinEvery, since the first that is met tells of the others; m.mu is held.
func (m *Membership) pause(p *peer, now time.Time) time.Duration {
	d := delay(now.Sub(p.missing))
	if d < 2*rejoinEvery || !m.contested(p) {
		return d
	}
	many := time.Duration(0)
	for _, other := range m.peers {
		if m.contested(other) {
			many++
		}
	}
	return min(d, many*rejoinEvery)
}

// contested reports whether a speaker that is missing held an address, when it last told, that this one holds now.
func (m *Membership) contested(p *peer) bool {
	r := m.table.replicas[p.name]
	return !p.alive && !p.gone && p.dial && r.known() && !r.left && common(m.table.own().held, r.held)
}

// delay until the next attempt at a speaker that is missing for so long: a tenth of that time, so that it is back
// soon after what was short, and costs little after what was long.
func delay(missing time.Duration) time.Duration {
	d := min(max(missing/10, rejoinEvery), rejoinMost)
	return d + time.Duration(rand.Int64N(int64(d)/4))
}
