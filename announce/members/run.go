package members

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

const (
	turn      = 50 * time.Millisecond
	retryPort = time.Second
	// retryExchange is for a speaker that is alive, and cannot be connected to.
	retryExchange = time.Second
	alone         = time.Second      // without an answer a speaker that has started goes on by itself
	aloneAgain    = 10 * time.Second // one that stood still; its network may come back later than it
	recheck       = 2 * gossipRound  // before a loss counts: a contradiction is passed on meanwhile
	recheckMet    = time.Second      // where that is doubtful: not everybody may have heard of the contradiction yet
	doubtful      = 2 * time.Second  // after that one that is back need not tell its state itself: only others may reach it
)

// run is the loop. Everything that waits for time to pass waits for a turn of it.
func (m *Membership) run() {
	ticker := time.NewTicker(turn)
	defer ticker.Stop()
	for {
		m.turn(time.Now())
		select {
		case <-m.stop:
			return
		case <-ticker.C:
		case <-m.wake:
		}
	}
}

func (m *Membership) turn(now time.Time) {
	m.watchClocks(now)
	m.mu.Lock()
	if m.list == nil && !m.closed && !now.Before(m.retry) {
		m.mu.Unlock()
		m.listen()
		m.mu.Lock()
	}
	if now.Sub(m.forgot) > time.Hour {
		m.forget(now)
	}
	m.settle(now)
	if m.list == nil || m.closed {
		m.mu.Unlock()
		return
	}
	m.repair(now)
	due := m.due(now)
	list := m.list
	m.mu.Unlock()
	for _, p := range due {
		m.done.Go(func() { m.attempt(list, p, now) })
	}
}

// listen opens the port, or notes why it cannot.
func (m *Membership) listen() {
	t := &transport{
		network: m.opts.Network, at: netip.AddrPortFrom(m.opts.Addr, m.opts.Port), traffic: &m.bytes,
		heard: m.heard, dialled: m.dialled,
	}
	err := t.listen()
	var list *memberlist.Memberlist
	if err == nil {
		if list, err = memberlist.Create(m.config(t)); err != nil {
			_ = t.Shutdown()
		}
	}
	if list != nil && !m.keep(list) {
		_ = list.Shutdown() // always nil
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if err != nil {
		if m.problem == nil || m.problem.Error() != err.Error() {
			m.log.Error("no membership; trying again each second", zap.Error(err))
		}
		m.problem, m.retry = err, now.Add(retryPort)
	} else {
		m.problem, m.opened = nil, now
		m.log.Info("listening for other speakers", zap.Stringer("address", t.at), zap.Stringer("detection", m.opts.Detection))
	}
	m.silence(now)
}

// keep makes the list the membership's, unless that was closed meanwhile.
func (m *Membership) keep(list *memberlist.Memberlist) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.list = list
	}
	return !m.closed
}

// watchClocks finds out whether this process stood still for so long that others may have given it up. Then it holds
// nothing any more, and says so before they ask.
func (m *Membership) watchClocks(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clocks := m.opts.Clocks()
	by := lapse(m.clocks, clocks, turn)
	m.clocks = clocks
	if by < m.opts.Detection.least() || m.opened.IsZero() {
		return
	}
	m.log.Warn("this speaker stood still; it is silent until another one has told what it holds", zap.Duration("for", by))
	m.counts.lapses.Add(1)
	m.jumped, m.lapsed, m.lapse, m.met = now, now, by, time.Time{}
	nothing := m.table.own().state
	nothing.Held, nothing.Standing, nothing.Restarting = nil, nil, 0
	m.tell(nothing, false)
	for _, p := range m.peers {
		p.sync, p.next, p.tried = true, now, time.Time{}
		if p.alive {
			p.met = now // what was seen before is old
		}
	}
	m.silence(now)
	m.touch()
}

// settle brings up to date what depends on the time; m.mu is held.
func (m *Membership) settle(now time.Time) {
	changed := false
	alive := 1
	patience := m.opts.Detection.patience(len(m.peers) + 1)
	for name, p := range m.peers {
		if p.alive {
			p.last = now
			p.sync = p.sync || p.unconnected()
			if r := m.table.replicas[name]; r == nil || p.stated != (head{}) && !r.head.less(p.stated) || now.Sub(p.doubt) > doubtful {
				p.doubt = time.Time{}
			}
		}
		if is := p.judge(m.table.replicas[name], m.grace(p), now, &m.counts); is != p.presence {
			m.report(p, is)
			p.presence, p.since, changed = is, now, true
		}
		if p.presence == Alive {
			alive++
		}
		words := ""
		if !p.gone && p.presence != Left {
			words = p.diagnose(p.alive, p.at(m.opts.Port), patience, now)
		}
		if before := p.told; p.complaint.hear(words, now) {
			changed = true
			if p.told != "" {
				m.log.Warn("a speaker has a problem", zap.String("node", name), zap.String("problem", p.told))
			} else {
				m.log.Info("a speaker has no problem any more", zap.String("node", name), zap.String("was", before))
			}
		}
	}
	m.counts.alive.Store(int64(alive))
	m.silence(now)
	if changed {
		m.touch()
	}
}

// grace is how long a loss has to stand before it counts. There is more of it where the loss is doubtful: the speaker
// has answered since; a packet came from it later than from anyone whose loss was found out by probing, so that this
// verdict is an old one; or it was found out while this speaker stood still.
func (m *Membership) grace(p *peer) time.Duration {
	least := m.opts.Detection.least()
	if p.exchanged.After(p.verdict) || p.verdict.Sub(p.heard) < least || p.verdict.Sub(m.lapsed) < least+recheckMet {
		return recheckMet
	}
	return recheck
}

// judge says whether the speaker is there; see grace.
func (p *peer) judge(r *replica, grace time.Duration, now time.Time, counts *counts) Presence {
	switch {
	case p.gone:
		return Gone
	case r != nil && r.left && (p.alive || !p.verdict.IsZero() || p.presence == Left):
		p.verdict = time.Time{}
		return Left
	case p.alive && !p.doubt.IsZero() && p.presence != Alive: // the state that it was lost with may have come to an end since
		return p.presence
	case p.alive:
		if !p.verdict.IsZero() {
			counts.stale.Add(1)
			p.verdict = time.Time{}
		}
		return Alive
	case !p.verdict.IsZero():
		if now.Sub(p.verdict) < grace && p.presence == Alive {
			return Alive
		}
		p.verdict = time.Time{}
		return Lost
	case p.presence == Alive, p.presence == Gone && !p.last.IsZero(), p.presence == Missing && !p.last.IsZero():
		return Lost
	case p.presence == Gone:
		return Missing
	}
	return p.presence
}

// report logs what became of a speaker, and counts it.
func (m *Membership) report(p *peer, is Presence) {
	node, at := zap.String("node", p.name), zap.Stringer("address", p.at(m.opts.Port))
	switch {
	case is == Alive:
		m.counts.joins.Add(1)
		m.log.Info("speaker joined", node, at)
	case is == Left:
		m.log.Info("speaker left", node, at)
	case p.presence == Alive:
		m.counts.losses.Add(1)
		m.log.Warn("speaker lost", node, at, zap.Stringer("presence", is))
	}
}

// silence decides whether this speaker may answer; m.mu is held.
func (m *Membership) silence(now time.Time) {
	why := m.why(now)
	if why == nil && !m.jumped.IsZero() {
		m.jumped = time.Time{}
		m.log.Info("this speaker is back among the others")
	}
	if (why == nil) != (m.silent == nil) || why != nil && why.Error() != m.silent.Error() {
		m.silent = why
		m.touch()
	}
}

func (m *Membership) why(now time.Time) error {
	switch {
	case m.closed:
		return ErrClosed
	case m.problem != nil:
		return m.problem
	case !m.met.IsZero():
		return nil
	case now.Sub(m.opened) < alone:
		return ErrStarting
	case !m.jumped.IsZero() && now.Sub(m.jumped) < aloneAgain && m.reachable():
		return &ClockLapseError{m.lapse}
	}
	return nil
}

// reachable reports whether there is anybody to ask; m.mu is held.
func (m *Membership) reachable() bool {
	for _, p := range m.peers {
		if (p.alive || p.dial) && !p.gone {
			return true
		}
	}
	return false
}

// repair finds whom to ask for states that have not come by themselves: the speaker itself, or if that does not
// answer, anybody, one in each turn. Now and then it asks the one that was not asked for longest, so that nothing
// differs for good and no connection fails unnoticed; m.mu is held.
func (m *Membership) repair(now time.Time) {
	if now.Sub(m.asked) > exchangeEvery {
		m.asked = now.Add(-rand.N(exchangeEvery / 4))
		var oldest *peer
		for _, p := range m.peers {
			if p.alive && (oldest == nil || p.tried.Before(oldest.tried)) {
				oldest = p
			}
		}
		if oldest != nil {
			oldest.sync = true
		}
	}
	stale := m.table.behind(now)
	for name, p := range m.peers {
		if !p.doubt.IsZero() {
			stale = append(stale, name)
		}
	}
	for _, name := range stale {
		p := m.peers[name]
		if p == nil || !p.alive {
			continue
		}
		if p.answers() {
			p.sync = true
			continue
		}
		for other, q := range m.peers { // in random order
			if other != name && q.answers() {
				q.sync = true
				break
			}
		}
	}
}

// answers reports whether it is worth asking; a connection that failed before it came back says nothing.
func (p *peer) answers() bool {
	return p.alive && !p.unconnected()
}

// attempt greets a speaker and exchanges all states with it.
func (m *Membership) attempt(list *memberlist.Memberlist, p *peer, began time.Time) {
	m.mu.Lock()
	at, missing := p.at(m.opts.Port), !p.alive
	m.mu.Unlock()
	if missing {
		m.counts.attempts.Add(1)
		m.send(list, kindHello, at)
	}
	_, err := list.Join([]string{at.String()})
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.flying--
	p.flying = false
	switch {
	case !p.alive:
		p.next = began.Add(m.pause(p, now))
	case err != nil:
		p.next = began.Add(retryExchange)
	}
	if p.note(err, now); err == nil {
		m.exchanged(p, began, now)
	}
	m.poke()
}

// exchanged notes that a speaker has told all that it knows, in an exchange that began then; m.mu is held.
func (m *Membership) exchanged(p *peer, began, now time.Time) {
	if !began.Before(m.jumped) {
		m.met, p.sync = now, false
	}
	p.resident, p.doubt = "", time.Time{}
	for name, q := range m.peers {
		if q.alive && name != p.name && q.seen == p.at(m.opts.Port) {
			p.resident = name
		}
	}
}
