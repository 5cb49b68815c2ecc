package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/kontena/network-lb/announce"
)

// overlap is for how long a node goes on advertising an address by BGP that enough others are to advertise now: these
// have just heard of it too, and so have the routers a moment later.
const overlap = time.Second

// overlaps keeps addresses with routers while their nodes change. Its methods are the loop's own.
type overlaps struct {
	wake  func()
	until map[netip.Addr]time.Time // of the addresses that others go before this node for
}

// decide decides with the addresses that are still to be advertised; last is the plan that was carried out, nil: none.
func (o *overlaps) decide(v announce.View, last *announce.Plan, now time.Time) announce.Plan {
	limited := slices.ContainsFunc(v.Pools, func(p announce.Pool) bool {
		return slices.ContainsFunc(p.Advertisements, func(a announce.Advertisement) bool { return a.MaxNodes > 0 })
	})
	if !limited {
		o.until = nil
		return announce.Decide(v)
	}
	v.Lingering = o.lingering(now)
	plan := announce.Decide(v)
	if o.follow(plan, last, now) {
		v.Lingering = o.lingering(now)
		plan = announce.Decide(v)
	}
	return plan
}

// lingering are the addresses for which the time has not passed.
func (o *overlaps) lingering(now time.Time) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for addr, until := range o.until {
		if now.Before(until) {
			out[addr] = true
		}
	}
	return out
}

// follow takes note of what a plan no longer advertises, and says whether there is anything new.
func (o *overlaps) follow(plan announce.Plan, last *announce.Plan, now time.Time) (more bool) {
	before, beyond := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	if last != nil {
		before = byBGP(last.Verdicts, "")
	}
	is := byBGP(plan.Verdicts, "")
	for addr := range byBGP(plan.Verdicts, announce.BeyondMaxNodes) {
		beyond[addr] = !is[addr]
	}
	for addr, until := range o.until {
		if !beyond[addr] && !now.Before(until) {
			delete(o.until, addr)
		}
	}
	for addr := range beyond {
		if _, known := o.until[addr]; known || !beyond[addr] || !before[addr] {
			continue
		}
		if o.until == nil {
			o.until = map[netip.Addr]time.Time{}
		}
		o.until[addr], more = now.Add(overlap), true
	}
	if more {
		time.AfterFunc(overlap, o.wake)
	}
	return more
}

// byBGP are the addresses for which one of the Services has a reason by BGP.
func byBGP(verdicts []announce.Verdict, why announce.Reason) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, v := range verdicts {
		if v.Protocol == announce.BGP && v.Reason == why {
			out[v.Addr] = true
		}
	}
	return out
}
