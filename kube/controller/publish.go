package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/reports"
)

// reportTimeout is how long a request for a report may take.
const reportTimeout = 3 * time.Second

var (
	// errWriting is the error of a report that the API server did not take.
	errWriting = errors.New("it is tried again")
	// errBehind is the error of a report that is another by now than the cache knows.
	errBehind = errors.New("it was changed meanwhile")
)

// beginReports reads what the predecessor has remembered, and prepares to write. Without the resource in the cluster, or
// the right to it, there are no reports. Where reading takes long it goes on while the reporter runs.
func (c *Controller) beginReports(ctx context.Context) (*reporter, []ipam.Remembered) {
	r := &reporter{
		c: c, wake: make(chan struct{}, 1), turned: make(chan struct{}),
		dirty: map[string]bool{}, written: map[string]*unstructured.Unstructured{},
	}
	if c.opts.Reports == nil {
		r.off = true
		return r, nil
	}
	r.pools = c.opts.Reports.Resource(reports.AddressPools)
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	remembered := r.begin(ctx)
	r.broken = !r.begun
	return r, remembered
}

// begin reads what the predecessor has remembered. Afterwards the reporter has begun, or is off, or ctx has ended.
func (r *reporter) begin(ctx context.Context) []ipam.Remembered {
	for !r.off && ctx.Err() == nil {
		remembered, err := r.read(ctx)
		switch {
		case err == nil:
			r.begun = true
			return remembered
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
			r.c.log.Warn("there will be no reports, and releases are not remembered when the leader changes; see crds.install of the chart", zap.Error(err))
			r.mu.Lock()
			r.off = true
			r.mu.Unlock()
			return nil
		}
		r.c.log.Warn("reading the AddressPools", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(retryPeriod):
		}
	}
	return nil
}

func (r *reporter) read(ctx context.Context) ([]ipam.Remembered, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*reportTimeout)
	defer cancel()
	list, err := r.pools.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	if err := r.own(ctx); err != nil {
		return nil, err
	}
	return r.remembered(list), nil
}

// own finds the object that the reports go with.
func (r *reporter) own(ctx context.Context) error {
	name := r.c.opts.ClusterRole
	if name == "" {
		return nil
	}
	role, err := r.c.opts.Client.RbacV1().ClusterRoles().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		r.c.log.Warn("the AddressPools will outlive the installation", zap.Error(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading ClusterRole %s: %w", name, err)
	}
	r.owner = []metav1.OwnerReference{{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: name, UID: role.UID}}
	return nil
}

// watch learns what the reports are now, also when a hand has changed one.
func (r *reporter) watch(ctx context.Context) {
	factory := dynamicinformer.NewDynamicSharedInformerFactory(r.c.opts.Reports, 0)
	informer := factory.ForResource(reports.AddressPools).Informer()
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails only where an informer has ended
		AddFunc: r.learn, UpdateFunc: func(_, o any) { r.learn(o) }, DeleteFunc: r.learn,
	})
	r.store = informer.GetStore()
	factory.Start(ctx.Done())
	cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
}

// learn takes what the cache knows of a report now, unless it is older than what was written.
func (r *reporter) learn(o any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
		r.mu.Lock()
		u, there := o.(*unstructured.Unstructured)
		if !there || !newer(r.written[key], u) {
			delete(r.written, key)
		}
		r.hold = time.Time{}
		r.mu.Unlock()
	}
	r.ask(false)
}

// newer says that one version of a report is known to be newer than another.
func newer(a, b *unstructured.Unstructured) bool {
	if a == nil || b == nil {
		return a != nil
	}
	order, err := resourceversion.CompareResourceVersion(a.GetResourceVersion(), b.GetResourceVersion())
	return err == nil && order > 0
}

// seen returns a report as it is now, as far as is known; nil: there is none.
func (r *reporter) seen(name string) *unstructured.Unstructured {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := r.written[name]; u != nil {
		return u
	}
	return r.cached(name)
}

func (r *reporter) cached(name string) *unstructured.Unstructured {
	o, _, err := r.store.GetByKey(name)
	if u, ok := o.(*unstructured.Unstructured); ok && err == nil {
		return u
	}
	return nil
}

// note takes the answer to a write, until the cache has it.
func (r *reporter) note(name string, u *unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.written, name)
	if newer(u, r.cached(name)) {
		r.written[name] = u
	}
}

// publish writes what has changed of the reports. With all it also deletes those of pools that are gone.
func (r *reporter) publish(ctx context.Context, all bool) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.dirty)) {
		err := r.write(ctx, r.now[name])
		if !errors.Is(err, errWriting) && !errors.Is(err, errBehind) {
			delete(r.dirty, name)
		}
		errs = append(errs, err)
	}
	if !all {
		return errors.Join(errs...)
	}
	for _, o := range r.store.List() {
		u, ok := o.(*unstructured.Unstructured)
		if !ok || !r.ours(u) {
			continue
		}
		if _, wanted := r.now[u.GetName()]; !wanted {
			errs = append(errs, r.remove(ctx, u.GetName()))
		}
	}
	return errors.Join(errs...)
}

func (r *reporter) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	err := r.pools.Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting AddressPool %s: %w: %w", name, errWriting, r.c.counts.failed(writingReport, err))
	}
	return nil
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
	before := r.seen(pool.Name)
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var after *unstructured.Unstructured
	switch {
	case before == nil:
		after, err = r.pools.Create(ctx, u, metav1.CreateOptions{})
	case len(before.GetOwnerReferences()) > 0 && !r.ours(before):
		return fmt.Errorf("AddressPool %s belongs to %s: give the pool another name", pool.Name, before.GetOwnerReferences()[0].Name)
	case r.ours(before) && reflect.DeepEqual(before.Object["status"], u.Object["status"]):
		return nil
	default:
		u.SetResourceVersion(before.GetResourceVersion())
		after, err = r.pools.Update(ctx, u, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) { // the cache is about to lose it
			u.SetResourceVersion("")
			after, err = r.pools.Create(ctx, u, metav1.CreateOptions{})
		}
	}
	if r.c.counts.failed(writingReport, err) != nil {
		after = nil
	}
	r.note(pool.Name, after)
	switch {
	case err == nil:
		return nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fmt.Errorf("writing AddressPool %s: %w: %w", pool.Name, errBehind, err)
	}
	return fmt.Errorf("writing AddressPool %s: %w: %w", pool.Name, errWriting, err)
}
