package speaker

import (
	"context"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/kube/api"
)

// watch learns what the report is now, also when a hand has changed it. Where the resource is not there, or not allowed,
// it goes on asking now and then. It returns false when ctx has ended.
func (r *reporter) watch(ctx context.Context) bool {
	for !r.there(ctx) {
		if ctx.Err() != nil {
			return false
		}
	}
	informer := api.Informer(r.s.opts.Reports, r.objects, &unstructured.Unstructured{}, api.Named(r.s.opts.Node))
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails only where an informer has ended
		AddFunc: r.learn, UpdateFunc: func(_, o any) { r.learn(o) }, DeleteFunc: r.learn,
	})
	r.store = informer.GetStore()
	go informer.RunWithContext(ctx)
	return cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
}

// there says that the API server has the resource. Otherwise it returns when it is time to ask again.
func (r *reporter) there(ctx context.Context) bool {
	asking, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	_, err := r.objects.List(asking, metav1.ListOptions{FieldSelector: "metadata.name=" + r.s.opts.Node})
	if err == nil || ctx.Err() != nil {
		return err == nil
	}
	wait := urgentInterval
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		wait = absentInterval
	}
	r.mu.Lock()
	told := r.state.Problem != ""
	r.state.Problem = err.Error()
	r.mu.Unlock()
	if !told {
		r.s.log.Warn("there is no Speaker report yet; see crds.install of the chart", zap.Error(err))
	}
	pauseUntil(ctx, time.Now().Add(wait))
	return false
}

// learn takes what the cache knows now, unless it is older than what was written.
func (r *reporter) learn(o any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err != nil || key != r.s.opts.Node {
		return
	}
	r.mu.Lock()
	if u, there := o.(*unstructured.Unstructured); !there || !newer(r.written, u) {
		r.written = nil
	}
	r.mu.Unlock()
	r.rouse()
}

// note takes the answer to a write, until the cache has it.
func (r *reporter) note(u *unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written = nil
	if u != nil && newer(u, r.cached()) {
		r.written = u
	}
}

// seen returns the report as it is now, as far as is known; nil: there is none.
func (r *reporter) seen() *unstructured.Unstructured {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.written != nil {
		return r.written
	}
	return r.cached()
}

func (r *reporter) cached() *unstructured.Unstructured {
	o, _, err := r.store.GetByKey(r.s.opts.Node)
	if u, ok := o.(*unstructured.Unstructured); ok && err == nil {
		return u
	}
	return nil
}

// newer says that one version of the report is known to be newer than another.
func newer(a, b *unstructured.Unstructured) bool {
	if a == nil || b == nil {
		return a != nil
	}
	order, err := resourceversion.CompareResourceVersion(a.GetResourceVersion(), b.GetResourceVersion())
	return err == nil && order > 0
}
