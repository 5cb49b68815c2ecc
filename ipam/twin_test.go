package ipam

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// twin is an Allocator that is too simple to be wrong: it lists addresses, loops over owners, and asks everybody who
// waits again after every call.
type twin struct {
	pools  []Pool
	owners map[Owner]*twinOwner
}

type twinOwner struct {
	req     Request // the last valid one; times of the last one
	have    Assignment
	invalid error
	told    string
}

func newTwin(pools []Pool) *twin { return &twin{pools, map[Owner]*twinOwner{}} }

// list returns all addresses of a family in a pool, ascending.
func list(p Pool, f Family) []netip.Addr {
	var all []netip.Addr
	for _, r := range p.Ranges {
		if familyOf(r.From) != f {
			continue
		}
		for addr := r.From; ; addr = addr.Next() {
			all = append(all, addr)
			if addr == r.To {
				break
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

func (t *twin) poolAt(addr netip.Addr) *Pool {
	for i, p := range t.pools {
		if slices.Contains(list(p, IPv4), addr) || slices.Contains(list(p, IPv6), addr) {
			return &t.pools[i]
		}
	}
	return nil
}

func (t *twin) holder(addr netip.Addr) (Owner, bool) {
	for owner, o := range t.owners {
		if o.have.V4 == addr || o.have.V6 == addr {
			return owner, true
		}
	}
	return "", false
}

func (t *twin) free(p Pool, f Family) netip.Addr {
	for _, addr := range list(p, f) {
		if _, held := t.holder(addr); !held {
			return addr
		}
	}
	return netip.Addr{}
}

func wanted(f Families) []Family {
	switch f {
	case SingleIPv4:
		return []Family{IPv4}
	case SingleIPv6:
		return []Family{IPv6}
	case PreferDualIPv6:
		return []Family{IPv6, IPv4}
	default:
		return []Family{IPv4, IPv6}
	}
}

func prefers(f Families) bool { return f == PreferDualIPv4 || f == PreferDualIPv6 }

func pinOf(r Request, f Family) netip.Addr {
	for _, addr := range r.Addresses {
		if familyOf(addr) == f {
			return addr
		}
	}
	return netip.Addr{}
}

// choose finds what an owner without addresses gets.
func (t *twin) choose(r Request) (Assignment, error) {
	var pools []Pool
	var names []string
	for _, p := range t.pools {
		if r.Pool == p.Name || r.Pool == "" && (!p.Manual || len(r.Addresses) > 0) {
			pools, names = append(pools, p), append(names, p.Name)
		}
	}
	if r.Pool != "" && len(pools) == 0 || r.Pool == "" && len(r.Addresses) == 0 && len(pools) == 0 {
		return Assignment{}, &NoMatchingPoolError{r.Pool}
	}
	if len(r.Addresses) > 0 {
		return t.choosePinned(r)
	}
	var got Assignment
	try := func(families []Family) bool {
		for _, p := range pools {
			got = Assignment{Pool: p.Name}
			all := true
			for _, f := range families {
				addr := t.free(p, f)
				got.set(f, addr)
				all = all && addr.IsValid()
			}
			if all {
				return true
			}
		}
		return false
	}
	want := wanted(r.Families)
	if try(want) || prefers(r.Families) && (try(want[:1]) || try(want[1:])) {
		return got, nil
	}
	var able []string
	for _, p := range pools {
		has := 0
		for _, f := range want {
			if len(list(p, f)) > 0 {
				has++
			}
		}
		if has == len(want) || has > 0 && prefers(r.Families) {
			able = append(able, p.Name)
		}
	}
	if len(able) > 0 {
		return Assignment{}, &PoolExhaustedError{able, r.Families}
	}
	return Assignment{}, &FamilyUnavailableError{names, r.Families}
}

func (t *twin) choosePinned(r Request) (Assignment, error) {
	var got Assignment
	for _, f := range []Family{IPv4, IPv6} {
		addr := pinOf(r, f)
		if !addr.IsValid() {
			continue
		}
		p := t.poolAt(addr)
		if p == nil || r.Pool != "" && p.Name != r.Pool {
			return Assignment{}, &AddressNotInPoolError{addr, r.Pool}
		}
		if got.Pool != "" && got.Pool != p.Name {
			return Assignment{}, &InvalidRequestError{fmt.Sprintf(
				"it asks for addresses of two pools, %q and %q, and both have to come from one", got.Pool, p.Name)}
		}
		if holder, held := t.holder(addr); held {
			return Assignment{}, &AddressInUseError{addr, p.Name, holder}
		}
		got.Pool = p.Name
		got.set(f, addr)
	}
	for _, f := range wanted(r.Families) {
		if got.addr(f).IsValid() {
			continue
		}
		p := t.pools[slices.IndexFunc(t.pools, func(p Pool) bool { return p.Name == got.Pool })]
		addr := t.free(p, f)
		if !addr.IsValid() && r.Families == RequireDual {
			if len(list(p, f)) == 0 {
				return Assignment{}, &FamilyUnavailableError{[]string{p.Name}, RequireDual}
			}
			return Assignment{}, &PoolExhaustedError{[]string{p.Name}, map[Family]Families{IPv4: SingleIPv4, IPv6: SingleIPv6}[f]}
		}
		got.set(f, addr)
	}
	return got, nil
}

func (o *twinOwner) complete() bool {
	for _, f := range wanted(o.req.Families) {
		if !o.have.addr(f).IsValid() {
			return false
		}
	}
	return true
}

// second adds the second address of a dual-stack owner that has one.
func (t *twin) second(o *twinOwner) bool {
	if o.have.isZero() || o.complete() {
		return true
	}
	f := IPv4
	if o.have.V4.IsValid() {
		f = IPv6
	}
	p := t.poolAt(o.have.addr(f.other()))
	addr := t.free(*p, f)
	if pin := pinOf(o.req, f); pin.IsValid() {
		addr = pin
		if at := t.poolAt(pin); at == nil || at.Name != p.Name {
			return false
		}
		if _, held := t.holder(pin); held {
			return false
		}
	}
	if addr.IsValid() {
		o.have.set(f, addr)
	}
	return addr.IsValid()
}

func (t *twin) drop(o *twinOwner, f Family) {
	o.have.set(f, netip.Addr{})
	t.relabel(o)
}

func (t *twin) relabel(o *twinOwner) {
	o.have.Pool = ""
	for _, addr := range o.have.Addrs()[:min(1, len(o.have.Addrs()))] {
		o.have.Pool = t.poolAt(addr).Name
	}
}

// turns returns the owners with a valid request, in the order in which they are served.
func (t *twin) turns(only ...Owner) []*twinOwner {
	var turns []*twinOwner
	for owner, o := range t.owners {
		if o.invalid == nil && (len(only) == 0 || slices.Contains(only, owner)) {
			turns = append(turns, o)
		}
	}
	slices.SortFunc(turns, func(a, b *twinOwner) int {
		if c := a.req.Since.Compare(b.req.Since); c != 0 {
			return c
		}
		if c := a.req.Created.Compare(b.req.Created); c != 0 {
			return c
		}
		if a.req.Owner < b.req.Owner {
			return -1
		}
		return 1
	})
	return turns
}

// settle gives everything that can be given, to some owners or all.
func (t *twin) settle(only ...Owner) {
	for _, o := range t.turns(only...) {
		if o.req.Families == RequireDual && !t.second(o) {
			o.have = Assignment{}
		}
	}
	for _, o := range t.turns(only...) {
		if o.have.isZero() {
			o.have, _ = t.choose(o.req)
		}
	}
	for _, o := range t.turns(only...) {
		t.second(o)
	}
}

func (t *twin) renew(r Request) *twinOwner {
	o := t.owners[r.Owner]
	if o == nil {
		o = &twinOwner{req: Request{Owner: r.Owner}}
		t.owners[r.Owner] = o
	}
	o.req.Created, o.req.Since = r.Created, r.Since
	if _, o.invalid = newWish(r); o.invalid != nil {
		return o
	}
	moved := r.Pool != "" && r.Pool != o.req.Pool && r.Pool != o.have.Pool
	o.req = r
	for _, f := range []Family{IPv4, IPv6} {
		pin := pinOf(r, f)
		if o.have.addr(f).IsValid() &&
			(moved || !slices.Contains(wanted(r.Families), f) || pin.IsValid() && pin != o.have.addr(f)) {
			t.drop(o, f)
		}
	}
	return o
}

// assign is Allocator.Assign; changes maps each changed owner to the text of its change.
func (t *twin) assign(r Request) map[Owner]string {
	before := t.snapshot()
	t.renew(r)
	t.settle(r.Owner)
	t.settle()
	return t.changes(before, r.Owner)
}

func (t *twin) release(owner Owner) map[Owner]string {
	before := t.snapshot()
	delete(t.owners, owner)
	t.settle()
	return t.changes(before)
}

func (t *twin) setPools(pools []Pool) map[Owner]string {
	before := t.snapshot()
	t.pools = pools
	for _, o := range t.owners {
		for _, f := range []Family{IPv4, IPv6} {
			if addr := o.have.addr(f); addr.IsValid() && t.poolAt(addr) == nil {
				o.have.set(f, netip.Addr{})
			}
		}
		t.relabel(o)
	}
	t.settle()
	return t.changes(before, slices.Collect(maps.Keys(t.owners))...)
}

// adopt is Allocator.Adopt on a twin without owners, for addresses that nobody disputes.
func (t *twin) adopt(holdings []Holding) {
	for _, h := range holdings {
		o := t.renew(h.Request)
		for _, addr := range h.Addrs {
			o.have.set(familyOf(addr), addr)
		}
		t.relabel(o)
		if err := t.err(o); err != nil {
			o.told = err.Error()
		}
	}
	t.settle()
}

func (t *twin) err(o *twinOwner) error {
	if o.invalid != nil || !o.have.isZero() {
		return o.invalid
	}
	_, err := t.choose(o.req)
	return err
}

func (t *twin) snapshot() map[Owner]Assignment {
	have := map[Owner]Assignment{}
	for owner, o := range t.owners {
		have[owner] = o.have
	}
	return have
}

// changes compares with before; of the asked owners also what they are told.
func (t *twin) changes(before map[Owner]Assignment, asked ...Owner) map[Owner]string {
	changes := map[Owner]string{}
	for owner, was := range before {
		if t.owners[owner] == nil && !was.isZero() {
			changes[owner] = describe(Change{Before: was})
		}
	}
	for owner, o := range t.owners {
		c := Change{Before: before[owner], After: o.have, Err: t.err(o)}
		told := text(c.Err)
		if c.Before != c.After || slices.Contains(asked, owner) && told != o.told {
			changes[owner] = describe(c)
			o.told = told
		}
	}
	return changes
}

func describe(c Change) string { return fmt.Sprintf("%v to %v, err %v", c.Before, c.After, c.Err) }

func (t *twin) lookup(owner Owner) (Assignment, error) {
	o := t.owners[owner]
	if o == nil {
		return Assignment{}, ErrUnknownOwner
	}
	if !o.have.isZero() {
		return o.have, nil
	}
	return o.have, errors.Join(t.err(o))
}
