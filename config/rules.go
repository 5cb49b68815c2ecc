package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kontena/network-lb/ipam"
)

const (
	excludeRemedy     = "list what is in addresses of this pool, in the same forms"
	reservationRemedy = "write an address of this pool, such as 10.20.0.5"
	namespaceRemedy   = "write the namespace of the Service"
	serviceRemedy     = "write the name of the Service"
	durationRemedy    = "write a number with a unit, such as 90s, 10m or 24h, or 0"
)

// Defaults of how long a released address is remembered, and the most that can be.
const (
	defaultStickyTTL = 24 * time.Hour
	defaultCooldown  = time.Minute
	maxMemory        = 365 * 24 * time.Hour
)

// Reservation keeps an address for one Service.
type Reservation struct {
	Address            netip.Addr
	Namespace, Service string
}

// words are the values of a key that has one of a few.
type words[T any] []struct {
	word  string
	means T
}

var assignments = words[ipam.Strategy]{{"lowest", ipam.Lowest}, {"stable", ipam.Stable}}

var requests = words[ipam.Requests]{
	{"any", ipam.RequestsOfAll}, {"reserved", ipam.RequestsIfReserved}, {"none", ipam.NoRequests},
}

// rules reads the keys of a pool that say how its addresses are assigned. Without all of its addresses nothing is
// compared with them.
func (r *reader) rules(f fields, p *Pool, complete bool) {
	for key, to := range map[string]*bool{
		"auto_assign": &p.AutoAssign, "disabled": &p.Disabled, "avoid_buggy_ips": &p.AvoidBuggyIPs,
	} {
		if v, ok := f.get(key); ok {
			if b, ok := r.boolean(v); ok {
				*to = b
			}
		}
	}
	if v, ok := f.get("priority"); ok {
		n, _ := r.number(v, math.MinInt32, math.MaxInt32, "write a whole number; the pool with the higher one is tried first")
		p.Priority = int(n)
	}
	if v, ok := f.get("assignment"); ok {
		p.Assignment = oneOf(r, v, "a way to assign", assignments)
	}
	if v, ok := f.get("requests"); ok {
		p.Requests = oneOf(r, v, "whose requests are granted", requests)
	}
	for key, to := range map[string]*time.Duration{"sticky_ttl": &p.StickyTTL, "cooldown": &p.Cooldown} {
		if v, ok := f.get(key); ok {
			*to, _ = r.duration(v, 0, maxMemory, durationRemedy)
		}
	}
	r.audience(f, p)
	if v, ok := f.get("exclude"); ok {
		for _, element := range r.list(v) {
			if a, ok := r.addresses(element); ok && complete && !covers(p.Ranges, a) {
				r.reject(element, "is not in this pool", excludeRemedy)
			} else if ok {
				p.Exclude = append(p.Exclude, a)
			}
		}
	}
	if v, ok := f.get("reservations"); ok {
		for _, element := range r.list(v) {
			r.reservation(element, p, complete)
		}
	}
}

// oneOf reads one of a few words.
func oneOf[T any](r *reader, v value, what string, of words[T]) (means T) {
	text, ok := r.text(v, what)
	if !ok {
		return means
	}
	known := make([]string, 0, len(of))
	for _, w := range of {
		if w.word == text {
			return w.means
		}
		known = append(known, w.word)
	}
	last := len(known) - 1
	remedy := "use " + strings.Join(known[:last], ", ") + " or " + known[last]
	if near := nearest(text, known); near != "" {
		remedy = "did you mean " + near + "?"
	}
	r.reject(v, "is not known", remedy)
	return means
}

// covers reports whether every address of a range is in one of the ranges.
func covers(ranges []ipam.Range, a ipam.Range) bool {
	for {
		i := slices.IndexFunc(ranges, func(in ipam.Range) bool { return in.Contains(a.From) })
		if i < 0 {
			return false
		}
		if ranges[i].Contains(a.To) {
			return true
		}
		a.From = ranges[i].To.Next()
	}
}

// reservation reads one element of reservations.
func (r *reader) reservation(v value, p *Pool, complete bool) {
	f := r.fields(v, aReservation)
	var one Reservation
	address, ok := r.require(f, "address", reservationRemedy)
	if ok {
		one.Address, ok = r.reserved(address, p, complete)
	}
	for _, part := range []struct {
		key, remedy string
		to          *string
	}{{"namespace", namespaceRemedy, &one.Namespace}, {"service", serviceRemedy, &one.Service}} {
		name, there := r.require(f, part.key, part.remedy)
		if there {
			*part.to, there = r.text(name, "a name")
		}
		if there && !dnsLabel.MatchString(*part.to) {
			r.reject(name, "is not a DNS label", part.remedy)
			there = false
		}
		ok = ok && there
	}
	if ok {
		p.Reservations = append(p.Reservations, one)
	}
}

// reserved reads the address of a reservation.
func (r *reader) reserved(v value, p *Pool, complete bool) (netip.Addr, bool) {
	text, ok := r.text(v, "an address")
	if !ok {
		return netip.Addr{}, false
	}
	a, err := ipam.ParseRange(text)
	same := func(o Reservation) bool { return o.Address == a.From }
	excluded := func(e ipam.Range) bool { return e.Contains(a.From) }
	switch {
	case err != nil:
		r.reject(v, "is not valid: "+err.Error(), reservationRemedy)
	case a.From != a.To || strings.Contains(text, "/"):
		r.reject(v, "is not one address", reservationRemedy)
	case complete && !p.Contains(a.From):
		r.reject(v, "is not in this pool", reservationRemedy)
	case slices.ContainsFunc(p.Exclude, excluded):
		r.reject(v, "is excluded", "reserve another address, or take it out of exclude")
	case slices.ContainsFunc(p.Reservations, same):
		i := slices.IndexFunc(p.Reservations, same)
		r.reject(v, fmt.Sprintf("is reserved for %s/%s already", p.Reservations[i].Namespace, p.Reservations[i].Service), "keep one of them")
	default:
		return a.From, true
	}
	return netip.Addr{}, false
}

// allocator returns the pool as the allocator takes it.
func (p Pool) allocator() ipam.Pool {
	pool := ipam.Pool{
		Name: p.Name, Ranges: p.Ranges, Exclude: p.Exclude, Manual: !p.AutoAssign, Disabled: p.Disabled,
		AvoidBuggyIPs: p.AvoidBuggyIPs, Priority: p.Priority, Assignment: p.Assignment, Requests: p.Requests,
		StickyTTL: p.StickyTTL, Cooldown: p.Cooldown,
		Sharing: p.Sharing, MaxPerNamespace: p.MaxPerNamespace, Selector: p.selector(),
	}
	for _, r := range p.Reservations {
		pool.Reservations = append(pool.Reservations,
			ipam.Reservation{Address: r.Address, Owner: ipam.Owner(r.Namespace + "/" + r.Service)})
	}
	return pool
}
