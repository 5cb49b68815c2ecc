package controller

import (
	"context"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

// speakersPatience is how long the beginning of leading waits for the speakers' reports.
const speakersPatience = 3 * time.Second

// follow follows the reports until ctx ends, and returns when they are known, or that takes long. Where the cluster does
// not have the resource, or the right to it, there are none.
func (sp *speakers) follow(ctx context.Context) {
	if sp.c.opts.Reports == nil {
		return
	}
	began, cancel := context.WithTimeout(ctx, speakersPatience)
	defer cancel()
	some, err := sp.c.opts.Reports.Resource(reports.Speakers).List(began, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		sp.c.log.Warn("Services will have no condition Announced; see crds.install of the chart", zap.Error(err))
		return
	}
	sp.mu.Lock()
	sp.fresh = err != nil || len(some.Items) == 0
	sp.mu.Unlock()
	synced := []cache.InformerSynced{sp.followPods(ctx)}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(sp.c.opts.Reports, 0)
	informer := factory.ForResource(reports.Speakers).Informer()
	_ = informer.SetTransform(stripReport)
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: sp.learn, UpdateFunc: func(_, o any) { sp.learn(o) }, DeleteFunc: sp.forget,
	})
	if err != nil {
		return // an informer has ended: so has ctx
	}
	synced = append(synced, registration.HasSynced)
	factory.Start(ctx.Done())
	known := func() {
		if !cache.WaitForCacheSync(ctx.Done(), synced...) {
			return
		}
		sp.mu.Lock()
		sp.on = true
		sp.mu.Unlock()
		sp.rouse()
	}
	if !cache.WaitForCacheSync(began.Done(), synced...) {
		go known()
		return
	}
	known()
}

// followPods follows the speakers' Pods, and returns what tells that all are known.
func (sp *speakers) followPods(ctx context.Context) cache.InformerSynced {
	if sp.c.opts.Pods == "" {
		return func() bool { return true }
	}
	informer := coreinformers.NewFilteredPodInformer(sp.c.opts.Client, sp.c.opts.Namespace, 0, nil,
		func(o *metav1.ListOptions) { o.LabelSelector = sp.c.opts.Pods })
	_ = informer.SetTransform(stripPod)
	changed := func(o any) {
		if p, ok := o.(*corev1.Pod); ok {
			sp.ready(p.Namespace+"/"+p.Name, objects.Speaker(p))
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: func(o any) {
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
				sp.ready(key, "")
			}
		},
	})
	if err != nil {
		return func() bool { return true } // an informer has ended: so has ctx
	}
	sp.mu.Lock()
	sp.store = informer.GetStore()
	sp.mu.Unlock()
	go informer.RunWithContext(ctx)
	return registration.HasSynced
}

// stripReport and stripPod drop what nobody reads before an object enters the cache.
func stripReport(o any) (any, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.SetManagedFields(nil)
	}
	return o, nil
}

func stripPod(o any) (any, error) {
	if p, ok := o.(*corev1.Pod); ok {
		p.ManagedFields, p.Spec.Containers, p.Spec.Volumes = nil, nil, nil
	}
	return o, nil
}

// learn takes in a report. One that a hand has spoilt is as none.
func (sp *speakers) learn(o any) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	report, err := reports.ToSpeaker(u)
	if err != nil {
		sp.c.log.Warn("a speaker's report", zap.Error(err))
	}
	sp.change(u.GetName(), sp.read(u.GetName(), report.Status))
}

func (sp *speakers) forget(o any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
		sp.change(key, nil)
	}
}
