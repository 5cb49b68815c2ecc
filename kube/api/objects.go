// Package api reads and writes the kinds of objects that a speaker needs, and no others: a clientset of client-go brings
// the types of every API group along, which would be half of a speaker's program, on every node.
package api

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Objects are those of one kind, in one namespace or in all. Those of a clientset are Objects too. Errors are the API
// server's, and those of the way there.
type Objects[T, L runtime.Object] interface {
	Listed[L]
	Get(ctx context.Context, name string, o metav1.GetOptions) (T, error)
	Update(ctx context.Context, object T, o metav1.UpdateOptions) (T, error)
}

// Listed are objects that can be followed; those of a dynamic client are too.
type Listed[L runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// Client is a way to a cluster's objects. New makes one, and clientset.Client of a clientset. A namespace that is empty
// means all of them.
type Client interface {
	Nodes() Objects[*corev1.Node, *corev1.NodeList]
	Services(namespace string) Objects[*corev1.Service, *corev1.ServiceList]
	Pods(namespace string) Objects[*corev1.Pod, *corev1.PodList]
	Secrets(namespace string) Objects[*corev1.Secret, *corev1.SecretList]
	ConfigMaps(namespace string) Objects[*corev1.ConfigMap, *corev1.ConfigMapList]
	EndpointSlices(namespace string) Objects[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList]
	Leases(namespace string) Objects[*coordinationv1.Lease, *coordinationv1.LeaseList]
	DaemonSets(namespace string) Objects[*appsv1.DaemonSet, *appsv1.DaemonSetList]
}

// Informer returns an informer of a client's objects, which are such as the example; choose, if there is one, says which.
func Informer[L runtime.Object](client any, objects Listed[L], example runtime.Object, choose func(*metav1.ListOptions)) cache.SharedIndexInformer {
	if choose == nil {
		choose = func(*metav1.ListOptions) {}
	}
	return cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			choose(&o)
			return objects.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			choose(&o)
			return objects.Watch(ctx, o)
		},
	}, client), example, 0, cache.Indexers{})
}

// Named chooses the object of a name.
func Named(name string) func(*metav1.ListOptions) {
	return func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}
