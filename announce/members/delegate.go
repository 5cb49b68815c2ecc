package members

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

// delegate is what memberlist calls. It holds locks of its own meanwhile, so nothing here calls it, except where that
// is said.
type delegate struct{ m *Membership }

var (
	_ memberlist.Delegate         = delegate{}
	_ memberlist.EventDelegate    = delegate{}
	_ memberlist.ConflictDelegate = delegate{}
	_ memberlist.PingDelegate     = delegate{}
)

// update is a record on its way to all.
type update struct {
	node    string
	content content
	message []byte
}

// Invalidates says which older message need not be sent any more: the same speaker's, unless this one builds on it.
func (u update) Invalidates(b memberlist.Broadcast) bool {
	old, ok := b.(update)
	return ok && old.node == u.node && u.content == complete
}
func (u update) Message() []byte { return u.message }
func (u update) Finished()       {}

// broadcast sends what has changed here to all: the difference, or everything where that is hardly more; or where
// neither fits into a packet, that there is something to be asked for.
func (m *Membership) broadcast(r record) {
	own := m.table.own()
	if own.wire == nil {
		own.wire = own.record(m.opts.Node).append(nil)
	}
	u := update{r.node, r.content, r.append(message(kindUpdate))}
	const little = 400
	if len(own.wire) <= max(len(u.message), little) {
		u = update{r.node, complete, append(message(kindUpdate), own.wire...)}
	}
	if len(u.message) > inMessage {
		u = update{r.node, notice, record{node: r.node, head: r.head}.append(message(kindUpdate))}
	}
	m.queue.QueueBroadcast(u)
	m.queue.Prune(maxQueue)
}

// maxQueue is how many messages wait to be sent; who misses one asks for everything.
const maxQueue = 4096

// NodeMeta is empty: 512 bytes are too few.
func (d delegate) NodeMeta(int) []byte { return nil }

// GetBroadcasts gives what there is to be told, as far as a packet has room.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.m.queue.GetBroadcasts(overhead, limit)
}

// LocalState is everything known, for an exchange.
func (d delegate) LocalState(bool) []byte {
	m, now := d.m, time.Now()
	m.watchClocks(now) // what this speaker held before it stood still it does not tell of any more
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.exchanges.Add(1)
	return m.table.exchange(func(node string) time.Duration {
		if p := m.peers[node]; p != nil && !p.alive {
			return now.Sub(p.last)
		}
		return 0
	})
}

// MergeRemoteState takes everything that another one knows.
func (d delegate) MergeRemoteState(b []byte, _ bool) {
	m := d.m
	k, content, err := open(b)
	if err != nil || k != kindExchange {
		m.undecodable(err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	records, err := m.table.newer(content)
	if err != nil {
		m.undecodable(err)
	}
	now := time.Now()
	for _, r := range records {
		m.take(r, nil, now)
	}
	if m.jumped.IsZero() { // what a connection held before this speaker stood still is old
		m.met = now
	}
	m.poke()
}

// take puts a record in, and passes on what was news; message is how it came. m.mu is held.
func (m *Membership) take(r record, message []byte, now time.Time) {
	if r.node != m.opts.Node {
		if !m.admits(r.node) || r.age > memory && m.peers[r.node] == nil { // the other one is about to forget it
			return
		}
		p := m.peer(r.node, now)
		if last := now.Add(-r.age); r.age > 0 && last.After(p.last) {
			p.last = last
		}
	}
	o := m.table.take(r, now)
	if o.outdone {
		m.broadcast(record{node: m.opts.Node, head: m.table.own().head})
	}
	if o.news && message != nil {
		m.queue.QueueBroadcast(update{r.node, r.content, bytes.Clone(message)})
		m.queue.Prune(maxQueue)
	}
	if o.changed || o.outdone {
		m.touch()
	}
	m.poke()
}

func (m *Membership) undecodable(err error) {
	m.counts.decodeErrors.Add(1)
	if m.lines.shows("message of a speaker: undecodable") {
		m.log.Warn("what a speaker has sent cannot be read; its version may be newer", zap.Error(err))
	}
}

// NotifyMsg takes a message. It is called without locks.
func (d delegate) NotifyMsg(b []byte) {
	m := d.m
	k, content, err := open(b)
	now := time.Now()
	switch {
	case err != nil:
	case k == kindUpdate:
		var r record
		if r, err = readRecord(content); err == nil {
			m.mu.Lock()
			m.take(r, b, now)
			m.mu.Unlock()
		}
	case k == kindHello, k == kindAnswer:
		var h hello
		if h, err = readHello(content); err == nil {
			m.greeted(k, h, now)
		}
	}
	if err != nil {
		m.undecodable(err)
	}
}

// greeted answers a speaker that asks whether it is heard. It has found this one, so it is looked for too.
func (m *Membership) greeted(k kind, h hello, now time.Time) {
	m.mu.Lock()
	if h.node == m.opts.Node || !m.admits(h.node) {
		m.mu.Unlock()
		return
	}
	list := m.list
	p := m.peer(h.node, now)
	p.heard = now
	if k == kindAnswer {
		p.acked = now
	}
	if !p.alive {
		if !p.given.IsValid() {
			p.seen = h.addr
			m.names[h.addr.Addr()] = h.node
		}
		p.dial, p.next = true, now
	}
	m.mu.Unlock()
	if list != nil && k == kindHello {
		m.send(list, kindAnswer, h.addr)
	}
	m.poke()
}

// send greets or answers a speaker; m.mu is not held.
func (m *Membership) send(list *memberlist.Memberlist, k kind, to netip.AddrPort) {
	b := hello{m.opts.Node, netip.AddrPortFrom(m.opts.Addr, m.opts.Port)}.append(message(k))
	if err := list.SendToAddress(memberlist.Address{Addr: to.String()}, b); err != nil {
		m.log.Debug("greeting a speaker", zap.Stringer("address", to), zap.Error(err))
	}
}

// NotifyJoin is told that a speaker is alive.
func (d delegate) NotifyJoin(n *memberlist.Node) {
	m := d.m
	if n.Name == m.opts.Node {
		return
	}
	addr, _ := netip.AddrFromSlice(n.Addr)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	p := m.peer(n.Name, now)
	if !p.alive && m.table.replicas[n.Name].known() {
		p.doubt, p.stated, p.sync, p.next = now, head{}, true, now
	}
	p.alive, p.dial, p.seen, p.met = true, true, netip.AddrPortFrom(addr.Unmap(), n.Port), now
	m.names[p.seen.Addr()] = n.Name
	m.table.hearOf(n.Name, head{instance: 1}, now) // there is some state: it is asked for if it does not come
	m.poke()
}

// NotifyLeave is told that a speaker is not, as memberlist sees it.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	m := d.m
	if n.Name == m.opts.Node {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	p := m.peer(n.Name, now)
	p.alive, p.verdict, p.missing, p.next, p.lost = false, now, now, now, now
	m.poke()
	time.AfterFunc(recheck, m.poke)
}

// NotifyUpdate is told of other metadata, which nobody has.
func (d delegate) NotifyUpdate(*memberlist.Node) {}

// NotifyConflict is told of a speaker that bears another one's name.
func (d delegate) NotifyConflict(_, other *memberlist.Node) {
	m := d.m
	addr, _ := netip.AddrFromSlice(other.Addr)
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[other.Name]; p != nil {
		p.conflict, p.other = time.Now(), netip.AddrPortFrom(addr.Unmap(), other.Port)
	}
}

// AckPayload is how new the own state is, so that whoever missed something finds out with the next probe.
func (d delegate) AckPayload() []byte {
	m := d.m
	m.watchClocks(time.Now())
	m.mu.Lock()
	defer m.mu.Unlock()
	return record{node: m.opts.Node, head: m.table.own().head}.append(message(kindUpdate))
}

// NotifyPingComplete is told that a speaker has answered a packet, and what it answered.
func (d delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, payload []byte) {
	m := d.m
	var r record
	k, content, err := open(payload)
	if err == nil && k == kindUpdate {
		r, err = readRecord(content)
	}
	if err != nil {
		m.undecodable(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[n.Name]; p != nil {
		p.acked = time.Now()
	}
	if err == nil && r.node == n.Name {
		m.table.hearOf(r.node, r.head, time.Now())
		if p := m.peers[n.Name]; p != nil {
			p.stated = r.head
		}
	}
}

// heard notes that something has come from an address: a packet, or a connection.
func (m *Membership) heard(from netip.Addr, connection bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[m.names[from]]
	switch {
	case p == nil:
	case connection:
		p.called = time.Now()
	default:
		p.heard = time.Now()
	}
}

// dialled notes whether a connection has come about.
func (m *Membership) dialled(to netip.AddrPort, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[m.names[to.Addr()]]; p != nil {
		p.evidence.dialled(err, time.Now())
	}
}

// cannotRead notes that what comes from an address cannot be decrypted.
func (m *Membership) cannotRead(from netip.Addr) {
	m.counts.wrongKey.Add(1)
	m.mu.Lock()
	p := m.peers[m.names[from]]
	if p != nil {
		p.unread = time.Now()
	}
	m.mu.Unlock()
	if p == nil && m.lines.shows("undecryptable packets") {
		m.log.Warn("what comes from an address where no speaker is expected cannot be decrypted", zap.Stringer("address", from))
	}
}

// notEncrypted notes that what comes from an address is not encrypted.
func (m *Membership) notEncrypted(from netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[m.names[from]]; p != nil {
		p.plain = time.Now()
	}
}
