package speaker

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/reports"
)

const (
	// mostShown is how many addresses a reason names.
	mostShown = 3
	// endReserve is what a process that ends keeps of its time for closing sessions.
	endReserve = 5 * time.Second
)

// Drain says how this node is being emptied.
type Drain struct {
	State reports.DrainState `json:"state"`
	Since time.Time          `json:"since"`
	// Reason says what it waits for; empty: for nothing.
	Reason string `json:"reason,omitempty"`
}

// passage is a drain's way, in the form in which the next process on the node finds it.
type passage struct {
	State reports.DrainState `json:"state"`
	Since time.Time          `json:"since"` // of the state
	// Began is when it had a slot; Ask is until when routers are asked to take other nodes, and Until when also that is
	// given up which no other node announces.
	Began time.Time `json:"began,omitzero"`
	Ask   time.Time `json:"ask,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// drain empties this node when somebody wants that. stage and carried are the loop's own.
type drain struct {
	file   string // where the passage is kept; empty: nowhere
	slots  *slots // nil: none are needed
	log    *zap.Logger
	wake   func() // the loop
	fresh  bool   // no speaker has announced anything on this boot
	looked bool
	timer  *time.Timer

	mu       sync.Mutex
	now      passage // the zero value: nobody wants it
	reason   string
	cfg      config.Drain
	has      bool          // a slot, as far as is known
	needs    bool          // a slot
	rouse    chan struct{} // wakes keep
	deadline time.Time     // of a process that ends: when it has to
}

func newDrain(o Options, log *zap.Logger, wake func()) *drain {
	d := &drain{log: log, wake: wake, fresh: !o.SameBoot, rouse: make(chan struct{}, 1)}
	if o.DrainSlots != "" {
		d.slots = &slots{leases: o.Client.Leases(o.Namespace), name: o.DrainSlots, node: o.Node}
	}
	if o.State != "" {
		d.file = filepath.Join(o.State, "drain.json")
	}
	return d
}

// stage says how far the drain is: wanted says that the node is to be emptied.
func (d *drain) stage(wanted bool, cfg config.Drain) announce.Stage {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.now
	if !d.looked {
		d.looked, d.cfg = true, cfg
		d.now = d.recall()
		d.has = d.now.State == reports.Draining
		if wanted && d.now.State == "" && d.fresh { // it begins nothing
			t := time.Now()
			d.now = passage{State: reports.Draining, Since: t, Began: t, Ask: t, Until: t.Add(cfg.Timeout)}
		}
	}
	ending := !d.deadline.IsZero()
	switch {
	case !wanted && !ending && d.now.State != "":
		d.log.Info("the node is not drained any more", zap.String("was", string(d.now.State)))
		d.now, d.reason = passage{}, ""
	case (wanted || ending) && d.now.State == "":
		d.log.Info("the node is to be drained")
		d.now = passage{State: reports.DrainWaiting, Since: time.Now()}
	}
	if d.now.State == reports.DrainWaiting {
		d.cfg = cfg
		if d.slots == nil || ending && !time.Now().Before(d.now.Since.Add(slotPatience(d.deadline.Sub(d.now.Since)))) {
			d.begin()
		}
	}
	d.need(d.now.State == reports.DrainWaiting || d.now.State == reports.Draining)
	d.remember(before)
	return d.at()
}

// need says whether a slot is needed.
func (d *drain) need(slot bool) {
	if slot != d.needs {
		d.needs = slot
		poke(d.rouse)
	}
}

// slotPatience is how long a process that ends waits for a slot, of the time that it has.
func slotPatience(left time.Duration) time.Duration { return min(5*time.Second, left/4) }

// begin begins to empty the node.
func (d *drain) begin() {
	t := time.Now()
	d.now = passage{State: reports.Draining, Since: t, Began: t, Ask: t.Add(d.cfg.Period), Until: t.Add(d.cfg.Timeout)}
	d.cut()
	d.reason = ""
	d.log.Info("draining the node", zap.Time("routers_are_asked_until", d.now.Ask), zap.Time("until", d.now.Until))
}

// cut makes the drain fit into the time that the process has.
func (d *drain) cut() {
	if end := d.deadline; !end.IsZero() && !d.now.Began.IsZero() {
		d.now.Ask, d.now.Until = earlier(d.now.Ask, end), earlier(d.now.Until, end)
	}
}

// depart empties the node because its speaker ends for good, in the time that is left.
func (d *drain) depart(left time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deadline = time.Now().Add(max(left-endReserve, 0))
	d.cut()
}

// departs reports whether a speaker that ends has still to wait for others to take over.
func (d *drain) departs() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.deadline.IsZero() && d.now.State != reports.Drained && time.Now().Before(d.deadline)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// at is the stage now. The loop is woken when that is another.
func (d *drain) at() announce.Stage {
	stage, next := announce.Staying, time.Time{}
	switch now := time.Now(); {
	case d.now.State == reports.DrainWaiting && !d.deadline.IsZero():
		next = d.now.Since.Add(slotPatience(d.deadline.Sub(d.now.Since)))
	case d.now.Began.IsZero():
	case now.Before(d.now.Ask):
		stage, next = announce.Leaving, d.now.Ask
	case now.Before(d.now.Until):
		stage, next = announce.Withdrawing, d.now.Until
	default:
		stage = announce.Left
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	if !next.IsZero() {
		d.timer = time.AfterFunc(time.Until(next), d.wake)
	}
	return stage
}

// carried is told of the plan that was carried out, and finds out what is left to wait for.
func (d *drain) carried(stage announce.Stage, plan announce.Plan) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if stage == announce.Staying || d.now.Began.IsZero() {
		return
	}
	before := d.now
	left := announced(plan)
	state := reports.Draining
	switch {
	case len(left) == 0:
		state, d.reason = reports.Drained, ""
	case stage == announce.Leaving && len(plan.Routes) == 0: // nobody is to be asked
		d.now.Ask = time.Now()
		d.wake()
	case stage == announce.Leaving:
		d.reason = "routers are asked to take other nodes until " + clock(d.now.Ask)
	default:
		d.reason = fmt.Sprintf("no other node announces %s, which this one gives up at %s", some(left), clock(d.now.Until))
	}
	if state != d.now.State {
		d.now.State, d.now.Since = state, time.Now()
		d.log.Info("the drain of the node", zap.String("state", string(state)), zap.String("reason", d.reason))
	}
	d.need(state != reports.Drained)
	d.remember(before)
}

// announced returns the addresses that a plan announces.
func announced(plan announce.Plan) (addrs []netip.Addr) {
	seen := map[netip.Addr]bool{}
	for _, v := range plan.Verdicts {
		if v.Reason == "" && !seen[v.Addr] {
			seen[v.Addr] = true
			addrs = append(addrs, v.Addr)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// some names the first of some addresses.
func some(addrs []netip.Addr) string {
	names := texts(addrs[:min(len(addrs), mostShown)])
	if more := len(addrs) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// status may be called from anywhere; nil: nobody wants the node emptied.
func (d *drain) status() *Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now.State == "" {
		return nil
	}
	return &Drain{d.now.State, d.now.Since, d.reason}
}

// poke wakes who waits at a channel of one place.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
