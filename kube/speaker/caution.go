package speaker

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/layer2"
)

const (
	vetoed     = time.Second             // how long an address is left alone for which another speaker answered, ...
	vetoedMost = 1500 * time.Millisecond // ... and at most, when it does again
	cleared    = 3 * time.Second         // how long an address may be taken that was found silent
	lapsed     = 5 * time.Second         // how long after this speaker stood still it looks twice at all it takes
	patient    = 150 * time.Millisecond  // between probes for an address for which another speaker did answer: it may be busy
	forwarding = 2 * time.Second         // how long a switch may take to carry frames of an interface that has carrier

	// together is how many addresses are asked for together: the responder sends a probe each millisecond, and the next one
	// for the same address 50 ms later. Of very many there are mostParts parts, since each is followed by a decision.
	together, mostParts = 50, 20
)

// caution keeps this node from answering for an address for which another speaker answers that is not known to: one that
// was lost, or never met, is not dead for that. Before such an address is taken the neighbours are asked for it.
type caution struct {
	neighbours Neighbours
	wake       func()
	log        *zap.Logger
	vetoes     atomic.Uint64 // addresses that were not taken, since somebody answered

	mu      sync.Mutex
	company *company              // of the last turn
	asking  map[netip.Addr]string // addresses that are asked for, and whose they were thought to be
	veto    map[netip.Addr]veto
	silent  map[netip.Addr]time.Time // addresses that may be taken, until then
	strict  time.Time                // until then every address is asked for
	all     bool                     // every address is asked for, and left to whoever answers, a speaker or not
	carrier map[string]bool          // the interfaces that had it in the last turn
	deaf    time.Time                // until then nothing is taken: it proves nothing that nobody answers
	waiting map[netip.Addr]string    // addresses that are asked for after that, and whose they were thought to be
	shared  map[netip.Addr]bool      // addresses that another speaker answers for as well
	apart   []layer2.Claim           // the nodes' addresses of lost speakers that held what this node holds
	seeking bool                     // these are asked for

	fresh    map[netip.Addr]config.Probe // addresses that were never announced, at the last turn
	occupied map[netip.Addr]Occupied     // of these, those that another machine has
	seen     map[netip.Addr]bool         // addresses that are announced, although their Services do not say so
}

// veto is an address that another speaker answers for.
type veto struct {
	node  string // "" when nobody knows whose speaker it is
	until time.Time
	times int
}

func newCaution(neighbours Neighbours, wake func(), log *zap.Logger) *caution {
	return &caution{neighbours: neighbours, wake: wake, log: log, company: &company{},
		asking: map[netip.Addr]string{}, veto: map[netip.Addr]veto{}, silent: map[netip.Addr]time.Time{}, waiting: map[netip.Addr]string{},
		occupied: map[netip.Addr]Occupied{}}
}

// look takes note of what is known of the other speakers, of the node's own interfaces, and of the addresses that were
// never announced.
func (c *caution) look(company *company, links []layer2.Link, fresh map[netip.Addr]config.Probe, held []netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.company = company
	c.refresh(fresh, held)
	if company.lapsed { // answers that came meanwhile were not heard
		c.strict = time.Now().Add(lapsed)
		clear(c.silent)
	}
	before := c.carrier
	c.carrier = map[string]bool{}
	for _, l := range links {
		if !l.Up || !l.Carrier {
			continue
		}
		c.carrier[l.Name] = true
		if before != nil && !before[l.Name] {
			c.deaf = time.Now().Add(forwarding)
			clear(c.silent)
			time.AfterFunc(forwarding, c.wake)
		}
	}
	if !time.Now().Before(c.deaf) {
		clear(c.waiting)
	}
}

// doubt has every address asked for that is to be taken, and left alone whoever answers; or no longer.
func (c *caution) doubt(all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = all
}

// follow has the network hear once more of addresses that another speaker answered for as well until now, as after two
// halves of a network were joined: who heard that one last still sends there.
func (c *caution) follow(company *company, held []netip.Addr) {
	c.mu.Lock()
	before := c.shared
	c.shared = map[netip.Addr]bool{}
	share := func(theirs []netip.Addr) {
		for _, addr := range theirs {
			if _, holds := slices.BinarySearchFunc(held, addr, netip.Addr.Compare); holds {
				c.shared[addr] = true
			}
		}
	}
	for _, m := range company.alive {
		share(m.Held)
	}
	for _, m := range company.suspects { // it may be heard to have let go before it counts as alive again
		share(m.State.Held)
	}
	var alone []netip.Addr
	for addr := range before {
		if _, holds := slices.BinarySearchFunc(held, addr, netip.Addr.Compare); holds && !c.shared[addr] {
			alone = append(alone, addr)
		}
	}
	c.mu.Unlock()
	slices.SortFunc(alone, netip.Addr.Compare)
	for _, addr := range alone {
		c.neighbours.Defend(addr)
	}
}

// answered are the addresses to be left alone for now.
func (c *caution) answered() map[netip.Addr]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	out := c.asked()
	for addr, v := range c.veto {
		switch {
		case now.Before(v.until):
			out[addr] = v.node
		case now.After(v.until.Add(time.Minute)): // nobody wanted it since
			delete(c.veto, addr)
		}
	}
	for addr, o := range c.occupied {
		if now.Before(o.Until) {
			out[addr] = ""
		}
	}
	for addr, until := range c.silent {
		if now.After(until) {
			delete(c.silent, addr)
		}
	}
	return out
}

// asked are the addresses that are asked for, or are about to be. c.mu is held.
func (c *caution) asked() map[netip.Addr]string {
	out := maps.Clone(c.asking)
	maps.Copy(out, c.waiting)
	return out
}

// undecided are those.
func (c *caution) undecided() map[netip.Addr]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked()
}

// again asks for addresses of which another speaker has let go, before they are taken.
func (c *caution) again(ctx context.Context, claims []layer2.Claim) {
	doubted := map[netip.Addr]bool{}
	for _, claim := range claims {
		doubted[claim.Addr] = true
	}
	c.ask(ctx, layer2.ProbeOptions{}, claims, doubted)
}

// vetoed are the addresses that are left alone, also while they are asked for again. It may be called from anywhere.
func (c *caution) vetoed() []Veto {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []Veto{}
	for addr, v := range c.veto {
		if _, asked := c.asking[addr]; asked || time.Now().Before(v.until) {
			out = append(out, Veto{addr, v.node, v.times})
		}
	}
	slices.SortFunc(out, func(a, b Veto) int { return a.Address.Compare(b.Address) })
	return out
}

// left are the addresses that another speaker answered for when they were last asked for, and whose it is; "" where
// nobody knows. One that was wanted no more a while ago is not among them. It may be called from anywhere.
func (c *caution) left() map[netip.Addr]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[netip.Addr]string{}
	for addr, v := range c.veto {
		if _, asked := c.asking[addr]; asked || time.Now().Before(v.until.Add(vetoedMost)) {
			out[addr] = v.node
		}
	}
	return out
}

// hold asks for the addresses among the claims that are not held yet, where somebody else may answer for them, and
// reports whether there are any: they are answered then. Addresses that were asked for may be taken.
func (c *caution) hold(ctx context.Context, claims []layer2.Claim, held []netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	deaf := now.Before(c.deaf) // and what is known of the others may be from before
	wary := deaf || c.all || now.Before(c.strict) || len(c.company.suspects) > 0
	var ask, again []layer2.Claim
	doubted := map[netip.Addr]bool{} // a speaker may answer for it, and not only a stranger
	for _, claim := range claims {
		if claim.MAC != (layer2.MAC{}) { // the one in whose place it is answered has said so
			continue
		}
		_, before := c.veto[claim.Addr]
		_, silent := c.silent[claim.Addr]
		doubt := before || wary
		if _, holds := slices.BinarySearchFunc(held, claim.Addr, netip.Addr.Compare); holds || silent || !doubt && !c.unheard(claim.Addr) {
			continue
		}
		if deaf {
			c.waiting[claim.Addr] = c.company.lastHolder(claim.Addr)
			continue
		}
		c.asking[claim.Addr], doubted[claim.Addr] = c.company.lastHolder(claim.Addr), doubt
		if before {
			again = append(again, claim)
		} else {
			ask = append(ask, claim)
		}
	}
	// Part by part: of many addresses the first need not wait for the last.
	size, after := max(together, len(ask)/mostParts), time.Duration(0)
	for part := range slices.Chunk(ask, size) {
		go func(after time.Duration) {
			pauseUntil(ctx, now.Add(after))
			c.ask(ctx, layer2.ProbeOptions{}, part, doubted)
		}(after)
		after += time.Duration(len(part)) * time.Millisecond
	}
	if len(again) > 0 {
		go c.ask(ctx, layer2.ProbeOptions{Interval: patient}, again, doubted)
	}
	return len(ask)+len(again)+len(c.waiting) > 0
}

// ask probes for addresses, and takes note of who answers. A speaker that does where there is no doubt about the speakers
// is about to be silent.
func (c *caution) ask(ctx context.Context, o layer2.ProbeOptions, claims []layer2.Claim, doubted map[netip.Addr]bool) {
	results, err := c.neighbours.Probe(ctx, o, claims...)
	c.mu.Lock()
	defer c.wake()
	defer c.mu.Unlock()
	for _, claim := range claims {
		delete(c.asking, claim.Addr)
	}
	if err != nil {
		return // this process ends
	}
	now := time.Now()
	for _, r := range results {
		if node, answers := c.company.answers(r); (answers || c.all && len(r.Answers) > 0) && doubted[r.Addr] {
			c.leave(r.Addr, node, now)
			continue
		}
		c.meet(r, now)
		delete(c.veto, r.Addr)
		c.silent[r.Addr] = now.Add(cleared)
	}
}

// leave notes that another speaker answers for an address; c.mu is held.
func (c *caution) leave(addr netip.Addr, node string, now time.Time) {
	v := c.veto[addr]
	rest := min(vetoed<<min(v.times, 4), vetoedMost)
	c.veto[addr] = veto{node, now.Add(rest), v.times + 1}
	c.vetoes.Add(1)
	delete(c.silent, addr)
	if v.times == 0 {
		c.log.Warn("an address is not taken: another speaker, or machine, answers for it", zap.Stringer("address", addr), zap.String("node", node))
	}
	time.AfterFunc(rest, c.wake)
}

// conflict is told that a fellow speaker claims what this one answers for. Where the membership knows that, it decides;
// where it does not, the one that comes second by hash is silent, and looks again from time to time.
func (c *caution) conflict(self string, x layer2.Conflict) {
	if x.Speaker == "" {
		return
	}
	c.mu.Lock()
	m, met := c.company.alive[x.Speaker]
	c.mu.Unlock()
	switch {
	case met && (m.Holds(x.Addr) || x.Last.Sub(x.First) < vetoed/2):
	case layer2.Owner(x.Addr, []string{self, x.Speaker}) == self:
		c.neighbours.Defend(x.Addr)
	default:
		c.mu.Lock()
		c.leave(x.Addr, x.Speaker, time.Now())
		c.mu.Unlock()
		c.wake()
	}
}
