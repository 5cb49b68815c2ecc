package controller

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/reports"
)

// reportInterval is the least time between two reports that nothing depends on.
const reportInterval = 5 * time.Second

// reportPatience is how long statuses wait for a report. One that was not written in that time is not waited for any
// more, nor are those after it, until one has been written in that time again.
const reportPatience = time.Second

// reporter writes the AddressPools of the leading replica: releases at once, the rest every reportInterval at most.
type reporter struct {
	c     *Controller
	pools dynamic.ResourceInterface
	owner []metav1.OwnerReference
	store cache.Store
	wake  chan struct{}

	// For run alone.
	begun bool                           // what the predecessor has remembered was read
	now   map[string]reports.AddressPool // the reports as they should be, by their pools
	dirty map[string]bool                // the pools whose reports may be others

	mu       sync.Mutex
	off      bool                                  // there are no reports
	broken   bool                                  // reports are not waited for
	asked    uint64                                // counts what has to be written at once
	tried    uint64                                // up to which of these there was a report, or a failure to report
	turned   chan struct{}                         // closed when tried or broken changes
	stale    bool                                  // something has changed that the reports do not say
	all      bool                                  // that has to be written at once, whatever it is
	releases []ipam.Remembered                     // what has to be written at once
	behind   bool                                  // a report waits for the cache to know what is there
	hold     time.Time                             // until then at most
	expiry   time.Time                             // when a release in the reports is forgotten; zero: there is none
	written  map[string]*unstructured.Unstructured // what the cache does not know yet
	force    *document.Version                     // what keeps is about
	keeps    map[string]config.Pool                // the pools that remember releases
}

// remembered returns the releases in the reports, and has the addresses that are in quarantine there stay so. What a hand
// has spoilt is left out.
func (r *reporter) remembered(list *unstructured.UnstructuredList) []ipam.Remembered {
	var all []ipam.Remembered
	for i := range list.Items {
		if !r.ours(&list.Items[i]) {
			continue
		}
		pool, err := reports.ToAddressPool(&list.Items[i])
		if err != nil {
			r.c.log.Warn("what was remembered is lost", zap.Error(err))
			continue
		}
		r.c.quarantine.restore(pool.Status.Quarantine)
		for _, m := range pool.Status.Remembered {
			if addr, err := netip.ParseAddr(m.Address); err == nil {
				all = append(all, ipam.Remembered{Owner: ipam.Owner(m.Service), Address: addr, Released: m.Time.Time})
			}
		}
	}
	return all
}

// ask has a report written: at once, or in its time.
func (r *reporter) ask(atOnce bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = true
	if atOnce {
		r.all = true
		r.asked++
	}
	r.rouse()
}

// rouse lets run look at what there is to do.
func (r *reporter) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// changed has a report written of changes: at once of the releases that are remembered, in its time of all else.
func (r *reporter) changed(changes []ipam.Change) {
	allocator, force := r.c.current(), r.c.known().force
	taken := map[netip.Addr]bool{}
	for _, ch := range changes {
		for _, a := range ch.After.Addrs() {
			taken[a] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = true
	defer r.rouse()
	if r.off || allocator == nil {
		return
	}
	if r.force != force {
		r.force, r.keeps = force, map[string]config.Pool{}
		for _, p := range force.Config.Pools {
			if p.StickyTTL > 0 || p.Cooldown > 0 {
				r.keeps[p.Name] = p
			}
		}
	}
	before := len(r.releases)
	for _, ch := range changes {
		for _, a := range ch.Before.Addrs() {
			name, _ := allocator.PoolOf(a)
			p, ok := r.keeps[name]
			if !ok || slices.Contains(ch.After.Addrs(), a) {
				continue
			}
			if p.StickyTTL > 0 {
				r.releases = append(r.releases, ipam.Remembered{Owner: ch.Owner, Address: a, Released: time.Now()})
			}
			if p.Cooldown > 0 && !taken[a] {
				r.releases = append(r.releases, ipam.Remembered{Address: a, Released: time.Now()})
			}
		}
	}
	if len(r.releases) > before {
		r.asked++
	}
	if len(r.releases) > 2*mostReleases { // nobody has written for long
		r.releases, r.all = nil, true
	}
}

// wait returns when there was a report, or a failure to report, of all that had to be written at once by now.
func (r *reporter) wait(ctx context.Context) {
	r.c.handing.Lock() // what has changed hands already is asked for
	r.mu.Lock()
	target := r.asked
	r.mu.Unlock()
	r.c.handing.Unlock()
	var late <-chan time.Time
	for {
		r.mu.Lock()
		done, turned := r.off || r.broken || r.tried >= target, r.turned
		r.mu.Unlock()
		if done {
			return
		}
		if late == nil {
			late = time.After(reportPatience)
		}
		select {
		case <-ctx.Done():
			return
		case <-turned:
		case <-late:
			r.mu.Lock()
			r.broken = true
			r.tell()
			r.mu.Unlock()
		}
	}
}

// tell wakes those who wait.
func (r *reporter) tell() {
	close(r.turned)
	r.turned = make(chan struct{})
}

// run writes reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	if !r.begun {
		r.c.current().Remember(r.begin(ctx))
		r.c.rangesChanged() // for what is in quarantine
	}
	if !r.begun {
		return
	}
	r.watch(ctx)
	r.ask(false)
	last := time.Time{} // when all reports were looked at
	for ctx.Err() == nil {
		now := time.Now()
		all, due := r.next(now, last)
		if due.After(now) {
			timer := time.NewTimer(due.Sub(now))
			select {
			case <-ctx.Done():
			case <-r.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		if all {
			last = now
		}
		r.turn(ctx, all)
	}
}

// forever is longer than anybody leads.
const forever = 365 * 24 * time.Hour

// next says when there is something to write, and whether all reports are to be looked at.
func (r *reporter) next(now, last time.Time) (all bool, due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	regular := now.Add(forever)
	if !r.expiry.IsZero() {
		regular = r.expiry
	}
	if r.stale {
		regular = now
	}
	if earliest := last.Add(reportInterval); regular.Before(earliest) {
		regular = earliest
	}
	due = regular
	if r.asked != r.tried || r.behind {
		due = now
	}
	if due.Before(r.hold) {
		due = r.hold
	}
	return r.all || !regular.After(now), due
}

// turn brings reports up to date: all of them, or those of pools that have a release.
func (r *reporter) turn(ctx context.Context, all bool) {
	began := time.Now()
	r.mu.Lock()
	target, releases := r.asked, r.releases
	r.releases = nil
	if all = all || r.all; all {
		r.all, r.stale = false, false
	}
	r.mu.Unlock()
	expiry := time.Time{}
	if all {
		expiry = r.look()
	} else {
		r.add(releases)
	}
	err := r.publish(ctx, all)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.c.log.Warn("reporting", zap.Error(err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if all {
		r.expiry = expiry
	}
	failed := errors.Is(err, errWriting)
	r.stale = r.stale || failed
	r.behind, r.hold = errors.Is(err, errBehind), time.Time{}
	if r.behind {
		r.hold = time.Now().Add(retryPeriod)
	} else {
		r.tried = target
	}
	if failed || !r.behind {
		r.broken = failed || time.Since(began) > reportPatience
	}
	r.tell()
}

// look notes how all reports should be, and returns when a release in them is forgotten.
func (r *reporter) look() (expiry time.Time) {
	all, expiry := r.c.poolReports()
	r.now, r.dirty = map[string]reports.AddressPool{}, map[string]bool{}
	for _, p := range all {
		r.now[p.Name], r.dirty[p.Name] = p, true
	}
	return expiry
}

// add notes releases. That of a pool which is new is in the report that is asked for of all.
func (r *reporter) add(releases []ipam.Remembered) {
	byPool := map[string][]reports.Release{}
	for _, m := range releases {
		if name, ok := r.c.current().PoolOf(m.Address); ok {
			byPool[name] = append(byPool[name], released(m))
		}
	}
	for name, more := range byPool {
		if p, ok := r.now[name]; ok {
			p.Status.Remembered = latest(slices.Concat(p.Status.Remembered, more))
			r.now[name], r.dirty[name] = p, true
		}
	}
}
