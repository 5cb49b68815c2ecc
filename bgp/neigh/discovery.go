package neigh

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Times of router discovery. Those of RFC 4861 section 10 are for links with many hosts; here two ends of a cable
// wait for each other.
const (
	searching  = time.Second            // between advertisements, and solicitations, while no router is known
	settled    = 10 * time.Second       // between advertisements to a router that is known
	promptly   = 250 * time.Millisecond // between an advertisement and one that answers something
	echo       = 3 * time.Second        // between advertisements that answer one (MIN_DELAY_BETWEEN_RAS)
	patience   = 5 * time.Second        // what a router is given to answer a solicitation; it may take 3.5 s
	usual      = 600 * time.Second      // between a router's advertisements (MaxRtrAdvInterval) until we know better
	least      = 3 * time.Second        // between them, at least (MinRtrAdvInterval)
	gapsToKnow = 3                      // so many gaps between a router's advertisements show its interval
	mostKept   = 8                      // routers remembered of one link, where there should be one
)

// router is one that advertises itself on a link.
type router struct {
	addr  netip.Addr
	heard time.Time
	gaps  int           // between its advertisements, so far
	gap   time.Duration // the longest of them
	doubt time.Time     // from then on it is solicited
	gone  time.Time     // from then on it is forgotten
}

// discovery is what is known of one link's routers, and when to advertise and to solicit there. It holds no clock and
// no socket. The zero value knows nothing and is due to say so.
type discovery struct {
	routers    []router // in the order in which they appeared
	lost       netip.Addr
	advertised time.Time
	solicited  time.Time
	answer     bool // an advertisement is due before its time
}

// hear takes in a router's advertisement. A lifetime of 0 says that it is no default router, as one for BGP need not
// be; it is then believed as long as it goes on advertising: for three of its intervals.
//
// An advertisement is answered with one, since the router may have just started; but not if one was sent within 3 s, so
// that two that answer each other do not go on for ever.
func (d *discovery) hear(now time.Time, from netip.Addr, lifetime time.Duration) {
	i := slices.IndexFunc(d.routers, func(r router) bool { return r.addr == from })
	switch {
	case i >= 0:
		r := &d.routers[i]
		r.gaps, r.gap = r.gaps+1, max(r.gap, now.Sub(r.heard))
		d.answer = d.answer || now.Sub(d.advertised) >= echo
	case len(d.routers) >= mostKept:
		return
	default:
		// Those known before may be gone without a word: they have to show that they are not.
		for j := range d.routers {
			d.routers[j].question(now)
		}
		d.routers = append(d.routers, router{addr: from})
		i = len(d.routers) - 1
		d.answer = true
	}
	d.routers[i].believe(now, lifetime)
}

// believe notes that the router was heard, and how long that holds.
func (r *router) believe(now time.Time, lifetime time.Duration) {
	if lifetime == 0 {
		interval := usual
		if r.gaps >= gapsToKnow {
			interval = max(r.gap, least)
		}
		lifetime = 3 * interval
	}
	r.heard, r.gone = now, now.Add(lifetime)
	r.doubt = r.gone.Add(-min(patience, lifetime/3))
}

// question has the router forgotten unless it is heard soon.
func (r *router) question(now time.Time) {
	r.doubt = now
	if soon := now.Add(patience); soon.Before(r.gone) {
		r.gone = soon
	}
}

// asked takes in a solicitation, which is answered promptly.
func (d *discovery) asked() { d.answer = true }

// due says what has to be sent now, and takes it for sent. Routers that are gone are forgotten.
func (d *discovery) due(now time.Time) (advertise, solicit bool) {
	d.routers = slices.DeleteFunc(d.routers, func(r router) bool {
		gone := !now.Before(r.gone)
		if gone {
			d.lost = r.addr
		}
		return gone
	})
	if advertise = !now.Before(d.nextAdvertisement()); advertise {
		d.advertised, d.answer = now, false
	}
	if at := d.nextSolicitation(); !at.IsZero() && !now.Before(at) {
		d.solicited, solicit = now, true
	}
	return advertise, solicit
}

// next is when due has to be called again.
func (d *discovery) next() time.Time {
	at := d.nextAdvertisement()
	if s := d.nextSolicitation(); !s.IsZero() && s.Before(at) {
		at = s
	}
	for _, r := range d.routers {
		if r.gone.Before(at) {
			at = r.gone
		}
	}
	return at
}

func (d *discovery) nextAdvertisement() time.Time {
	switch {
	case d.answer:
		return d.advertised.Add(promptly)
	case len(d.routers) == 0:
		return d.advertised.Add(searching)
	default:
		return d.advertised.Add(settled)
	}
}

// nextSolicitation is the zero time when there is nothing to ask: one router is known and has been heard lately.
func (d *discovery) nextSolicitation() time.Time {
	earliest := d.solicited.Add(searching)
	if len(d.routers) == 0 {
		return earliest
	}
	first := d.routers[0].doubt
	for _, r := range d.routers[1:] {
		if r.doubt.Before(first) {
			first = r.doubt
		}
	}
	if first.After(earliest) {
		return first
	}
	return earliest
}

// router is the link's only router.
func (d *discovery) router(link string) (netip.Addr, error) {
	switch len(d.routers) {
	case 0:
		if d.lost.IsValid() {
			return netip.Addr{}, fmt.Errorf("no router advertises itself on %s any more (RFC 4861); the last was %s", link, d.lost)
		}
		return netip.Addr{}, fmt.Errorf("no router has advertised itself on %s (RFC 4861)", link)
	case 1:
		return d.routers[0].addr, nil
	}
	names := make([]string, len(d.routers))
	for i, r := range d.routers {
		names[i] = r.addr.String()
	}
	return netip.Addr{}, fmt.Errorf("several routers advertise themselves on %s: %s; an unnumbered session wants a "+
		"point-to-point link", link, strings.Join(names, ", "))
}
