package ipam

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// record is what the allocator knows about an owner. There is one for each, so it is kept small: what plain owners do
// not have is behind a pointer.
type record struct {
	owner    Owner
	have     Assignment
	choice   *choice  // the pools that may serve it
	details  *details // nil: none
	problem  *problem // nil: none
	group    *group   // where it waits, nil: nowhere
	turn     turn
	slot     int32 // its place in group
	entry    int32 // 1 + its place in the running transaction
	families Families
}

// details is the part of a request that a plain one does not have. It is never changed.
type details struct {
	pool                    string
	pins                    [2]netip.Addr // by Family
	namespace               string
	share                   Share
	labels, namespaceLabels map[string]string
}

// problem is why an owner is not served.
type problem struct {
	invalid error // the last request was refused: it keeps what it has, and gets nothing
	told    error // the last Err that a Change carried
}

// turn is an owner's place in the queue, without the pointers that a time.Time has.
type turn struct {
	since, created           int64 // seconds
	sinceNanos, createdNanos int32
}

func newTurn(since, created time.Time) turn {
	return turn{since.Unix(), created.Unix(), int32(since.Nanosecond()), int32(created.Nanosecond())}
}

func (t turn) compareCreated(o turn) int {
	return cmp.Or(cmp.Compare(t.created, o.created), cmp.Compare(t.createdNanos, o.createdNanos))
}

// compareTurns orders owners as they are served.
func compareTurns(a, b *record) int {
	return cmp.Or(cmp.Compare(a.turn.since, b.turn.since), cmp.Compare(a.turn.sinceNanos, b.turn.sinceNanos), compareAges(a, b))
}

// compareAges orders owners as they keep an address that several claim.
func compareAges(a, b *record) int {
	return cmp.Or(a.turn.compareCreated(b.turn), cmp.Compare(a.owner, b.owner))
}

// wish is a checked request.
type wish struct {
	families Families
	details  *details
	turn     turn
}

// newWish checks a request; with an error the wish asks for nothing in particular.
func newWish(r Request) (wish, error) {
	w := wish{turn: newTurn(r.Since, r.Created)}
	d := details{namespace: r.Namespace, share: r.Share, labels: r.Labels, namespaceLabels: r.NamespaceLabels}
	if len(r.Share.Ports) > 0 {
		d.share.Ports = slices.Compact(slices.SortedFunc(slices.Values(r.Share.Ports), comparePorts))
	}
	pins, err := r.pins()
	if err == nil {
		w.families, d.pool, d.pins = r.Families, r.Pool, pins
	}
	plain := d.pool == "" && d.pins == [2]netip.Addr{} && d.namespace == "" && d.share.equal(Share{}) &&
		d.labels == nil && d.namespaceLabels == nil
	if !plain {
		kept := d
		w.details = &kept
	}
	return w, err
}

// pins returns the requested addresses by family.
func (r Request) pins() (pins [2]netip.Addr, err error) {
	if !r.Families.isValid() {
		return pins, &InvalidRequestError{Problem: "it says no families"}
	}
	for _, addr := range r.Addresses {
		if err := checkAddr(addr); err != nil {
			return pins, &InvalidRequestError{Problem: err.Error()}
		}
		f := familyOf(addr)
		if pins[f].IsValid() && pins[f] != addr {
			return pins, &InvalidRequestError{Problem: fmt.Sprintf("it asks for two %s addresses, %s and %s", f, pins[f], addr)}
		}
		if !r.Families.want(f) {
			return pins, &InvalidRequestError{Problem: fmt.Sprintf("it asks for %s but wants %s only", addr, r.Families)}
		}
		pins[f] = addr
	}
	return pins, nil
}

var noDetails details

func (r *record) more() *details {
	if r.details == nil {
		return &noDetails
	}
	return r.details
}

func (r *record) pool() string            { return r.more().pool }
func (r *record) pin(f Family) netip.Addr { return r.more().pins[f] }
func (r *record) namespace() string       { return r.more().namespace }
func (r *record) share() *Share           { return &r.more().share }
func (r *record) pinned() bool            { return r.pin(IPv4).IsValid() || r.pin(IPv6).IsValid() }

// request returns the last valid request, for selectors.
func (r *record) request() Request {
	d := r.more()
	request := Request{
		Owner: r.owner, Families: r.families, Pool: d.pool, Namespace: d.namespace, Share: d.share,
		Created: time.Unix(r.turn.created, int64(r.turn.createdNanos)), Since: time.Unix(r.turn.since, int64(r.turn.sinceNanos)),
		Labels: d.labels, NamespaceLabels: d.namespaceLabels,
	}
	for _, pin := range d.pins {
		if pin.IsValid() {
			request.Addresses = append(request.Addresses, pin)
		}
	}
	return request
}

// serves reports whether the pool's Selector lets it serve the owner.
func (p *pool) serves(r *record) bool { return p.Selector == nil || p.Selector.Matches(r.request()) }

func (r *record) invalid() error {
	if r.problem == nil {
		return nil
	}
	return r.problem.invalid
}

func (r *record) told() error {
	if r.problem == nil {
		return nil
	}
	return r.problem.told
}

func (r *record) setProblem(invalid, told error) {
	switch {
	case invalid == nil && told == nil:
		r.problem = nil
	default:
		r.problem = &problem{invalid, told}
	}
}

// complete reports whether the owner has everything it wants.
func (r *record) complete() bool {
	for _, f := range families {
		if r.families.want(f) && !r.have.addr(f).IsValid() {
			return false
		}
	}
	return true
}

// missing returns the family that a dual-stack owner with one address lacks.
func (r *record) missing() Family {
	if r.have.V4.IsValid() {
		return IPv6
	}
	return IPv4
}

// sortHoldings orders owners by age.
func sortHoldings(holdings []Holding) []Holding {
	return slices.SortedStableFunc(slices.Values(holdings), func(a, b Holding) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Owner, b.Owner))
	})
}
