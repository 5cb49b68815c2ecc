package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/reports"
)

// reportInterval is the least time between two reports that nothing depends on.
const reportInterval = 5 * time.Second

// mostReleases and mostLosses bound what a report lists: an object of the cluster has room for about 10,000 releases.
const (
	mostReleases = 8000
	mostLosses   = 100
)

// reporter writes the AddressPools of the leading replica: what becomes known of releases at once, the rest every
// reportInterval at most. Where it has no client it does nothing.
type reporter struct {
	c     *Controller
	pools dynamic.ResourceInterface
	owner []metav1.OwnerReference
	store cache.Store
	wake  chan struct{}

	mu     sync.Mutex
	asked  uint64        // counts what has to be written at once
	tried  uint64        // up to which of these there was a report
	turned chan struct{} // closed when tried changes
}

// beginReports reads what the predecessor has remembered, and prepares to write. Without the resource in the cluster, or
// the right to it, there are no reports.
func (c *Controller) beginReports(ctx context.Context) (*reporter, []ipam.Remembered) {
	r := &reporter{c: c, wake: make(chan struct{}, 1), turned: make(chan struct{})}
	if c.opts.Reports == nil {
		return r, nil
	}
	pools := c.opts.Reports.Resource(reports.AddressPools)
	for ctx.Err() == nil {
		list, err := pools.List(ctx, metav1.ListOptions{})
		switch {
		case err == nil:
			r.pools = pools
			r.own(ctx)
			return r, r.remembered(list)
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
			c.log.Warn("there will be no reports, and releases are not remembered when the leader changes; see crds.install of the chart", zap.Error(err))
			return r, nil
		}
		c.log.Warn("reading the AddressPools", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(retryPeriod):
		}
	}
	return r, nil
}

// remembered returns the releases in the reports. One that a hand has spoilt is left out.
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
	if r.pools == nil {
		return
	}
	if atOnce {
		r.mu.Lock()
		r.asked++
		r.mu.Unlock()
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// wait returns when there was a report, or a failure to report, of all that had to be written at once.
func (r *reporter) wait(ctx context.Context) {
	for {
		r.mu.Lock()
		asked, tried, turned := r.asked, r.tried, r.turned
		r.mu.Unlock()
		if asked == tried {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-turned:
		}
	}
}

// run writes reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	if r.pools == nil {
		return
	}
	r.watch(ctx)
	last := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		for !r.due(last) {
			select {
			case <-ctx.Done():
				return
			case <-r.wake: // perhaps something that does not wait
			case <-time.After(time.Until(last.Add(reportInterval))):
			}
		}
		last = time.Now()
		if err := r.turn(ctx); err != nil && ctx.Err() == nil {
			r.c.log.Warn("reporting", zap.Error(err))
			r.ask(false)
		}
	}
}

// due says that a report may be written now.
func (r *reporter) due(last time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked != r.tried || time.Since(last) >= reportInterval
}

// own finds the object that the reports go with.
func (r *reporter) own(ctx context.Context) {
	name := r.c.opts.ClusterRole
	if name == "" {
		return
	}
	role, err := r.c.opts.Client.RbacV1().ClusterRoles().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		r.c.log.Warn("the AddressPools will outlive the installation", zap.Error(err))
		return
	}
	r.owner = []metav1.OwnerReference{{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: name, UID: role.UID}}
}

// watch learns what the reports are now, also when a hand has changed one.
func (r *reporter) watch(ctx context.Context) {
	factory := dynamicinformer.NewDynamicSharedInformerFactory(r.c.opts.Reports, 0)
	informer := factory.ForResource(reports.AddressPools).Informer()
	changed := func(any) { r.ask(false) }
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails only where an informer has ended
		AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed,
	})
	r.store = informer.GetStore()
	factory.Start(ctx.Done())
	cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
}

// turn writes what has changed of the reports, and deletes those of pools that are gone.
func (r *reporter) turn(ctx context.Context) error {
	r.mu.Lock()
	asked := r.asked
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tried = asked
		close(r.turned)
		r.turned = make(chan struct{})
	}()
	wanted := map[string]bool{}
	var errs []error
	for _, pool := range r.c.poolReports() {
		wanted[pool.Name] = true
		errs = append(errs, r.write(ctx, pool))
	}
	for _, o := range r.store.List() {
		if u, ok := o.(*unstructured.Unstructured); ok && !wanted[u.GetName()] && r.ours(u) {
			err := r.pools.Delete(ctx, u.GetName(), metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				errs = append(errs, fmt.Errorf("deleting AddressPool %s: %w", u.GetName(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// ours says that a report belongs to this installation.
func (r *reporter) ours(u *unstructured.Unstructured) bool {
	return reflect.DeepEqual(u.GetOwnerReferences(), r.owner)
}

// write brings one report up to date. One of another installation is left alone.
func (r *reporter) write(ctx context.Context, pool reports.AddressPool) error {
	pool.OwnerReferences = r.owner
	u, err := pool.Unstructured()
	if err != nil {
		return err
	}
	o, there, err := r.store.GetByKey(pool.Name)
	if err != nil {
		return fmt.Errorf("reading the cache: %w", err)
	}
	before, ok := o.(*unstructured.Unstructured)
	switch {
	case !there || !ok:
		_, err = r.pools.Create(ctx, u, metav1.CreateOptions{})
	case len(before.GetOwnerReferences()) > 0 && !r.ours(before):
		return fmt.Errorf("AddressPool %s belongs to %s: give the pool another name", pool.Name, before.GetOwnerReferences()[0].Name)
	case r.ours(before) && reflect.DeepEqual(before.Object["status"], u.Object["status"]):
		return nil
	default:
		u.SetResourceVersion(before.GetResourceVersion())
		_, err = r.pools.Update(ctx, u, metav1.UpdateOptions{})
	}
	_ = r.c.counts.failed(writingReport, err)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) { // the cache is about to learn what is there
		r.ask(true)
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing AddressPool %s: %w", pool.Name, err)
	}
	return nil
}

// protocols names how a pool is announced.
func protocols(p config.Pool) string {
	switch {
	case p.Layer2 && p.BGP:
		return "layer2, bgp"
	case p.BGP:
		return "bgp"
	}
	return "layer2"
}

// latest returns the last of the releases, as many as there is room for.
func latest(all []reports.Release) []reports.Release {
	if len(all) <= mostReleases {
		return all
	}
	all = slices.SortedStableFunc(slices.Values(all), func(a, b reports.Release) int { return b.Time.Compare(a.Time.Time) })
	return all[:mostReleases]
}

// poolReports returns the reports as they should be.
func (c *Controller) poolReports() []reports.AddressPool {
	c.mu.Lock()
	allocator, force, losses := c.allocator, c.documents.force, c.documents.losses
	c.mu.Unlock()
	byName := map[string]*reports.AddressPool{}
	all := make([]reports.AddressPool, len(force.Config.Pools))
	for i, p := range force.Config.Pools {
		all[i].Name = p.Name
		all[i].Status = reports.AddressPoolStatus{Protocol: protocols(p), Generation: force.Generation}
		byName[p.Name] = &all[i]
	}
	for _, u := range allocator.Usage() {
		n := &reports.Addresses{Size: u.Size.String(), InUse: u.InUse, Reserved: u.Reserved, Free: u.Free().String()}
		if u.Family == ipam.IPv4 {
			byName[u.Pool].Status.IPv4 = n
		} else {
			byName[u.Pool].Status.IPv6 = n
		}
	}
	for _, s := range c.all(force.Config.LoadBalancerClass) {
		_, err := allocator.Lookup(ipam.Owner(s.Key()))
		for _, name := range ipam.PoolsOf(err) {
			if r := byName[name]; r != nil {
				r.Status.Pending++
			}
		}
	}
	for _, m := range allocator.Remembered() {
		name, _ := allocator.PoolOf(m.Address)
		if r := byName[name]; r != nil {
			r.Status.Remembered = append(r.Status.Remembered, reports.Release{
				Service: string(m.Owner), Address: m.Address.String(), Time: metav1.NewMicroTime(m.Released),
			})
		}
	}
	for _, l := range losses {
		if r := byName[l.Pool]; r != nil && len(r.Status.Refused) < mostLosses {
			r.Status.Refused = append(r.Status.Refused, reports.Loss{Service: string(l.Owner), Address: l.Address.String(), Why: l.Err.Error()})
		}
	}
	for i := range all {
		all[i].Status.Remembered = latest(all[i].Status.Remembered)
	}
	return all
}
