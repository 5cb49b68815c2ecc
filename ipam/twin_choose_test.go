package ipam

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
)

func wanted(f Families) []Family {
	switch f {
	case SingleIPv4:
		return []Family{IPv4}
	case SingleIPv6:
		return []Family{IPv6}
	case PreferDualIPv6:
		return []Family{IPv6, IPv4}
	case PreferDualIPv4, RequireDual:
		return []Family{IPv4, IPv6}
	default:
		return nil
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

func selects(p *Pool, r Request) bool { return p.Selector == nil || p.Selector.Matches(r) }

// line returns all addresses that a pool may assign, reserved or not, ascending.
func (t *twin) line(p *Pool, f Family) []netip.Addr {
	return slices.DeleteFunc(list(p.Ranges, f), func(addr netip.Addr) bool {
		buggy := addr.Is4() && (addr.As4()[3] == 0 || addr.As4()[3] == 255)
		return p.AvoidBuggyIPs && buggy || contains(p.Exclude, addr) || contains(t.never, addr)
	})
}

func reservedFor(p *Pool, addr netip.Addr) Owner {
	for _, r := range p.Reservations {
		if r.Address == addr {
			return r.Owner
		}
	}
	return ""
}

// clash says whether two owners may not share, whatever the pool says.
func (t *twin) clash(a, b *twinOwner) bool {
	x, y := a.req.Share, b.req.Share
	if x.Key == "" || x.Key != y.Key || x.Local != y.Local || x.Local && (x.Backends == "" || x.Backends != y.Backends) {
		return true
	}
	return slices.ContainsFunc(x.Ports, func(p Port) bool { return slices.Contains(y.Ports, p) })
}

// conflict says why an owner may not have an address because of those who have it.
func (t *twin) conflict(o *twinOwner, p *Pool, addr netip.Addr) error {
	holders := t.holders(addr)
	for _, h := range holders {
		if h.req.Share.Key == "" || h.req.Share.Key != o.req.Share.Key {
			return &AddressInUseError{addr, p.Name, holders[0].req.Owner}
		}
	}
	for _, h := range holders {
		problem := o.req.Share.clash(h.req.Share)
		switch {
		case problem != "":
		case p.Sharing == NotShared:
			problem = fmt.Sprintf("pool %q lets nobody share", p.Name)
		case p.Sharing == SharedInNamespace && h.req.Namespace != o.req.Namespace:
			problem = fmt.Sprintf("pool %q lets only owners of one namespace share", p.Name)
		}
		if problem != "" {
			return &SharingConflictError{addr, p.Name, h.req.Owner, problem}
		}
	}
	return nil
}

// cost is what an address takes from a quota.
func (t *twin) cost(o *twinOwner, p *Pool, addr netip.Addr) int {
	if reservedFor(p, addr) != "" {
		return 0
	}
	for _, h := range t.holders(addr) {
		if h.req.Namespace == o.req.Namespace {
			return 0
		}
	}
	return 1
}

func (t *twin) room(o *twinOwner, p *Pool) int {
	if p.MaxPerNamespace == 0 {
		return 1000
	}
	room := p.MaxPerNamespace
	for _, f := range []Family{IPv4, IPv6} {
		for _, addr := range list(p.Ranges, f) {
			same := func(h *twinOwner) bool { return h.req.Namespace == o.req.Namespace }
			if reservedFor(p, addr) == "" && slices.ContainsFunc(t.holders(addr), same) {
				room--
			}
		}
	}
	return max(room, 0)
}

// offer returns the address that suits best; the lower the suit, the better.
func (t *twin) offer(o *twinOwner, p *Pool, f Family, room int) (got netip.Addr, suit int) {
	fits := func(addr netip.Addr) bool {
		return addr.IsValid() && slices.Contains(t.line(p, f), addr) && reservedFor(p, addr) == "" &&
			t.conflict(o, p, addr) == nil && t.cost(o, p, addr) <= room
	}
	for _, addr := range list(p.Ranges, f) {
		if reservedFor(p, addr) == o.req.Owner && len(t.holders(addr)) == 0 {
			return addr, 0
		}
	}
	if m := t.memories[o.req.Owner][f]; t.sticks(m) && fits(m.Address) {
		return m.Address, 1
	}
	for _, addr := range list(p.Ranges, f) {
		if len(t.holders(addr)) > 0 && fits(addr) {
			return addr, 2
		}
	}
	var free, cool []netip.Addr
	line := t.line(p, f)
	for i := range line {
		if p.Assignment == Stable {
			sum := sha256.Sum256([]byte(o.req.Owner))
			start := new(big.Int).SetBytes(sum[:16])
			i = (i + int(start.Mod(start, big.NewInt(int64(len(line)))).Int64())) % len(line)
		}
		if addr := line[i]; len(t.holders(addr)) > 0 || !fits(addr) {
			continue
		} else if t.cools(addr) {
			cool = append(cool, addr)
		} else {
			free = append(free, addr)
		}
	}
	slices.SortFunc(cool, func(a, b netip.Addr) int {
		if c := t.released[a].Compare(t.released[b]); c != 0 {
			return c
		}
		return a.Compare(b)
	})
	if free = append(free, cool...); len(free) > 0 {
		return free[0], 3
	}
	return netip.Addr{}, 4
}

// candidates returns the pools for an owner that requests no address, in order.
func (t *twin) candidates(o *twinOwner) (pools []*Pool) {
	for i := range t.pools {
		p := &t.pools[i]
		reserved := slices.ContainsFunc(p.Reservations, func(r Reservation) bool { return r.Owner == o.req.Owner })
		if !p.Disabled && selects(p, o.req) && (p.Name == o.req.Pool || o.req.Pool == "" && (!p.Manual || reserved)) {
			pools = append(pools, p)
		}
	}
	slices.SortStableFunc(pools, func(a, b *Pool) int {
		if (a.Selector != nil) != (b.Selector != nil) {
			if a.Selector != nil {
				return -1
			}
			return 1
		}
		return b.Priority - a.Priority
	})
	return pools
}

// try has one pool offer addresses of the families.
func (t *twin) try(o *twinOwner, p *Pool, want []Family, room int) (got Assignment, suit int) {
	got, suit = Assignment{Pool: p.Name}, 4
	for _, f := range []Family{IPv4, IPv6} {
		if !slices.Contains(want, f) {
			continue
		}
		addr, s := t.offer(o, p, f, room)
		if s == 4 {
			return Assignment{}, 4
		}
		room -= t.cost(o, p, addr)
		got.set(f, addr)
		suit = min(suit, s)
	}
	if p.Manual && o.req.Pool == "" && suit > 0 {
		return Assignment{}, 4
	}
	return got, suit
}

func attemptsOf(f Families) [][]Family {
	want := wanted(f)
	if prefers(f) {
		return [][]Family{want, want[:1], want[1:]}
	}
	return [][]Family{want}
}

// choose finds what an owner without addresses gets.
func (t *twin) choose(o *twinOwner) (Assignment, error) {
	if !slices.ContainsFunc(t.pools, func(p Pool) bool { return o.req.Pool == "" || p.Name == o.req.Pool }) && o.req.Pool != "" {
		return Assignment{}, &NoMatchingPoolError{Pool: o.req.Pool}
	}
	if len(o.req.Addresses) > 0 {
		return t.choosePinned(o)
	}
	for _, want := range attemptsOf(o.req.Families) {
		best, bestSuit := Assignment{}, 4
		for _, p := range t.candidates(o) {
			if got, suit := t.try(o, p, want, t.room(o, p)); suit < bestSuit {
				best, bestSuit = got, suit
			}
		}
		if bestSuit < 4 {
			return best, nil
		}
	}
	return Assignment{}, t.reason(o)
}

func (t *twin) reason(o *twinOwner) error {
	var all, able []string
	var quota error
	for _, p := range t.candidates(o) {
		has, want := 0, wanted(o.req.Families)
		for _, f := range want {
			if len(list(p.Ranges, f)) > 0 {
				has++
			}
		}
		if !p.Manual || o.req.Pool != "" {
			all = append(all, p.Name)
			if has == len(want) || has > 0 && prefers(o.req.Families) {
				able = append(able, p.Name)
			}
		}
		for _, want := range attemptsOf(o.req.Families) {
			if _, suit := t.try(o, p, want, 1000); suit < 4 && quota == nil {
				quota = &QuotaExceededError{p.Name, o.req.Namespace, p.MaxPerNamespace}
			}
		}
	}
	switch {
	case len(all) == 0 && o.req.Pool != "":
		p := t.pools[slices.IndexFunc(t.pools, func(p Pool) bool { return p.Name == o.req.Pool })]
		return t.refused(o, &p)
	case len(all) == 0 && slices.ContainsFunc(t.pools, func(p Pool) bool { return !p.Manual && !p.Disabled }):
		return &NoMatchingPoolError{Why: NotSelected}
	case len(all) == 0:
		return &NoMatchingPoolError{}
	case quota != nil:
		return quota
	case len(able) > 0:
		return &PoolExhaustedError{able, o.req.Families}
	default:
		return &FamilyUnavailableError{all, o.req.Families}
	}
}

func (t *twin) refused(o *twinOwner, p *Pool) error {
	if p.Disabled {
		return &NoMatchingPoolError{Pool: p.Name, Why: PoolDisabled}
	}
	if !selects(p, o.req) {
		return &NoMatchingPoolError{Pool: p.Name, Why: NotSelected}
	}
	return nil
}

// pinned says why a requested address is not granted.
func (t *twin) pinned(o *twinOwner, addr netip.Addr, want *Pool) error {
	p := t.poolAt(addr)
	if p == nil || o.req.Pool != "" && p.Name != o.req.Pool {
		return &AddressNotInPoolError{Address: addr, Pool: o.req.Pool}
	}
	if want != nil && want.Name != p.Name {
		return &InvalidRequestError{fmt.Sprintf(
			"it asks for addresses of two pools, %q and %q, and both have to come from one", want.Name, p.Name)}
	}
	if err := t.refused(o, p); err != nil {
		return err
	}
	owner := reservedFor(p, addr)
	switch {
	case p.Requests == NoRequests:
		return &InvalidRequestError{fmt.Sprintf("pool %q grants no requests for addresses", p.Name)}
	case owner != "" && owner != o.req.Owner:
		return &AddressReservedError{addr, p.Name, owner}
	case p.Requests == RequestsIfReserved && owner == "":
		return &AddressReservedError{Address: addr, Pool: p.Name}
	case owner == "" && !slices.Contains(t.line(p, familyOf(addr)), addr):
		return &AddressNotInPoolError{Address: addr, Pool: p.Name, Never: true}
	}
	return t.conflict(o, p, addr)
}

func (t *twin) choosePinned(o *twinOwner) (Assignment, error) {
	var got Assignment
	var p *Pool
	room := 0
	for _, f := range []Family{IPv4, IPv6} {
		addr := pinOf(o.req, f)
		if !addr.IsValid() {
			continue
		}
		if err := t.pinned(o, addr, p); err != nil {
			return Assignment{}, err
		}
		if p == nil {
			p = t.poolAt(addr)
			room = t.room(o, p)
		}
		if room -= t.cost(o, p, addr); room < 0 {
			return Assignment{}, &QuotaExceededError{p.Name, o.req.Namespace, p.MaxPerNamespace}
		}
		got.Pool = p.Name
		got.set(f, addr)
	}
	for _, f := range wanted(o.req.Families) {
		if got.addr(f).IsValid() {
			continue
		}
		addr, suit := t.offer(o, p, f, room)
		if suit == 4 && o.req.Families == RequireDual {
			return Assignment{}, t.noSecond(o, p, f)
		}
		got.set(f, addr)
	}
	return got, nil
}

func (t *twin) noSecond(o *twinOwner, p *Pool, f Family) error {
	if len(list(p.Ranges, f)) == 0 {
		return &FamilyUnavailableError{[]string{p.Name}, RequireDual}
	}
	if _, suit := t.offer(o, p, f, 1000); suit < 4 {
		return &QuotaExceededError{p.Name, o.req.Namespace, p.MaxPerNamespace}
	}
	return &PoolExhaustedError{[]string{p.Name}, map[Family]Families{IPv4: SingleIPv4, IPv6: SingleIPv6}[f]}
}

// first gives addresses to an owner that has none.
func (t *twin) first(o *twinOwner) bool {
	got, err := t.choose(o)
	if err != nil {
		return false
	}
	for _, f := range []Family{IPv4, IPv6} {
		if got.addr(f).IsValid() {
			t.hold(o, f, got.addr(f))
		}
	}
	_ = t.second(o)
	return true
}

// second adds the second address of a dual-stack owner that has one, or says why not.
func (t *twin) second(o *twinOwner) error {
	if o.have.isZero() || o.complete() {
		return nil
	}
	f := IPv4
	if o.have.V4.IsValid() {
		f = IPv6
	}
	p := t.poolAt(o.have.addr(f.other()))
	if pin := pinOf(o.req, f); pin.IsValid() {
		err := t.pinned(o, pin, p)
		if err == nil && t.cost(o, p, pin) > t.room(o, p) {
			err = &QuotaExceededError{p.Name, o.req.Namespace, p.MaxPerNamespace}
		}
		if err == nil {
			t.hold(o, f, pin)
		}
		return err
	}
	if err := t.refused(o, p); err != nil {
		return err
	}
	addr, suit := t.offer(o, p, f, t.room(o, p))
	if suit == 4 {
		return t.noSecond(o, p, f)
	}
	t.hold(o, f, addr)
	return nil
}
