package members

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// mend is how long an update that is missing may still be under way before the whole state is asked for. Updates that
// come together are delivered in any order.
const mend = 200 * time.Millisecond

// maxPending is how many differences wait for one that is missing.
const maxPending = 64

// replica is what is known of the state of one speaker.
type replica struct {
	head                     // of what is known
	newest head              // heard of
	since  time.Time         // when newest and head began to differ
	held   []netip.Addr      // never changed, only replaced
	regs   registers         // likewise
	state  State             // the same, to be handed out
	left   bool              // it said that it leaves
	ending time.Time         // when it first told of the present restart, see State.Restarting
	wait   map[uint64]record // differences by their base
	wire   []byte            // the complete record; nil until it is needed
}

// table holds the states of all speakers, this one's own among them. It is pure bookkeeping: whoever uses it sends
// what it returns, and asks for what is behind.
type table struct {
	self     string
	replicas map[string]*replica
}

// newTable begins with an own state of nothing.
func newTable(self string, instance uint64) *table {
	own := &replica{head: head{instance, 1}, regs: registersOf(State{}, false)}
	own.newest = own.head
	return &table{self: self, replicas: map[string]*replica{self: own}}
}

func (t *table) own() *replica { return t.replicas[t.self] }

// set replaces the own state, and returns what to tell the others; ok is false when nothing changes.
func (t *table) set(s State, leaving bool) (r record, ok bool) {
	own := t.own()
	held, regs := addresses(s.Held), registersOf(s, leaving)
	r = record{node: t.self, head: head{own.instance, own.version + 1}, content: difference, base: own.version, registers: registers{}}
	r.added, r.removed = compare(own.held, held)
	for tag, value := range regs {
		if old, had := own.regs[tag]; !had || old != value {
			r.registers[tag] = value
		}
	}
	if len(r.added)+len(r.removed)+len(r.registers) == 0 {
		return record{}, false
	}
	own.replace(r.head, held, regs)
	return r, true
}

func (p *replica) replace(h head, held []netip.Addr, regs registers) {
	p.head, p.held, p.regs, p.wire = h, held, regs, nil
	if p.newest.less(h) {
		p.newest = h
	}
	p.state, p.left, _ = regs.state() // records whose registers cannot be read are refused
	p.state.Held = held
}

// outcome is what became of a record.
type outcome struct {
	news    bool // it was not known: the others may not know it either
	changed bool // a state has changed
	outdone bool // an earlier run of this speaker's node is still remembered: the own state was made newer
}

// take puts a record in.
func (t *table) take(r record, now time.Time) outcome {
	if r.node == t.self {
		return t.takeOwn(r)
	}
	p := t.of(r.node)
	if p == nil || !p.head.less(r.head) {
		return outcome{}
	}
	news := p.hear(r.head, now)
	run, restart := p.instance, p.regs[tagRestarting]
	defer func() {
		if p.instance != run || p.regs[tagRestarting] != restart {
			p.ending = now.Add(-r.age)
		}
	}()
	switch {
	case r.content == complete:
		p.replace(r.head, r.held, r.registers)
	case r.content == difference && p.head == head{r.instance, r.base}:
		p.apply(r)
	case r.content == difference:
		if w, waits := p.wait[r.base]; waits && !w.head.less(r.head) || !waits && len(p.wait) >= maxPending {
			return outcome{news: news}
		}
		if p.wait == nil {
			p.wait = map[uint64]record{}
		}
		p.wait[r.base] = r
		return outcome{news: true}
	default: // it will not come by itself
		p.since = now.Add(-mend)
		return outcome{news: news}
	}
	p.catchUp(now)
	return outcome{news: true, changed: true}
}

// takeOwn makes the own state newer than what others have of an earlier run.
func (t *table) takeOwn(r record) outcome {
	own := t.own()
	if !own.head.less(r.head) || r.instance == maxInstance { // such a run is made up, and cannot be outdone
		return outcome{}
	}
	own.replace(head{r.instance + 1, 1}, own.held, own.regs)
	return outcome{outdone: true}
}

// hear notes that there is a state of that head, and reports whether that is news.
func (p *replica) hear(h head, now time.Time) bool {
	if !p.newest.less(h) {
		return false
	}
	if p.newest == p.head {
		p.since = now
	}
	p.newest = h
	return true
}

func (p *replica) apply(r record) {
	regs := maps.Clone(p.regs)
	maps.Copy(regs, r.registers)
	p.replace(r.head, merge(p.held, r.added, r.removed), regs)
}

// catchUp applies the differences that waited for the present state, and drops those that come too late.
func (p *replica) catchUp(now time.Time) {
	for {
		r, ok := p.wait[p.version]
		if !ok || r.instance != p.instance {
			break
		}
		p.apply(r)
	}
	maps.DeleteFunc(p.wait, func(_ uint64, r record) bool { return !p.head.less(r.head) })
	p.since = now
}

// of returns the speaker's replica, a new one if need be; nil where there are too many.
func (t *table) of(node string) *replica {
	p := t.replicas[node]
	if p == nil && len(t.replicas) < maxSpeakers {
		p = &replica{}
		t.replicas[node] = p
	}
	return p
}

// hearOf notes that a speaker has a state of that head, or a newer one.
func (t *table) hearOf(node string, h head, now time.Time) {
	if p := t.of(node); p != nil && node != t.self {
		p.hear(h, now)
	}
}

// known reports whether a state of the speaker has arrived.
func (p *replica) known() bool { return p != nil && p.instance != 0 }

// behind are the speakers of which a newer state is known to be about, for so long that it does not come by itself.
func (t *table) behind(now time.Time) []string {
	var out []string
	for node, p := range t.replicas {
		if p.head.less(p.newest) && now.Sub(p.since) >= mend {
			out = append(out, node)
		}
	}
	slices.Sort(out)
	return out
}

// record is everything known of a speaker's state.
func (p *replica) record(node string) record {
	return record{node: node, head: p.head, content: complete, held: p.held, registers: p.regs}
}

// exchange is a message with the states of all speakers; age is how long ago each was last alive.
func (t *table) exchange(age func(node string) time.Duration) []byte {
	b := message(kindExchange)
	for _, node := range sortedKeys(t.replicas) {
		p := t.replicas[node]
		if p.head.less(p.newest) { // so that a speaker hears of an older self of which nobody knows more
			b = appendField(b, 1, record{node: node, head: p.newest}.append(nil))
		}
		if !p.known() {
			continue
		}
		r, gone := p.record(node), age(node)
		if gone < time.Second {
			if p.wire == nil {
				p.wire = r.append(nil)
			}
			b = appendField(b, 1, p.wire)
			continue
		}
		r.age = gone
		b = appendField(b, 1, r.append(nil))
	}
	return b
}

// newer are the records of an exchange's content that say more than is known; the others are not even read whole. One
// that cannot be read costs only itself. The error is the first.
func (t *table) newer(b []byte) (out []record, err error) {
	in := reader{b: b}
	for range maxSpeakers {
		tag, value, ok := in.field()
		if !ok {
			break
		}
		if tag != 1 {
			continue
		}
		node, h, bad := readHead(value)
		if p := t.replicas[node]; bad == nil && p != nil && !p.head.less(h) {
			continue
		}
		var r record
		if bad == nil {
			r, bad = readRecord(value)
		}
		if bad == nil {
			out = append(out, r)
		}
		err = cmp.Or(err, bad)
	}
	return out, cmp.Or(err, in.err)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
