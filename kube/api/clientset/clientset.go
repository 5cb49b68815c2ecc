// Package clientset has the objects of a clientset for those who want no more than package api has.
package clientset

import (
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/watchlist"

	"github.com/kontena/network-lb/kube/api"
)

// Client returns a clientset's way to the objects; it may be a fake one.
func Client(of kubernetes.Interface) api.Client { return client{of} }

type client struct{ of kubernetes.Interface }

// IsWatchListSemanticsUnSupported is what informers ask a client for: a fake one cannot do all.
func (c client) IsWatchListSemanticsUnSupported() bool {
	return watchlist.DoesClientNotSupportWatchListSemantics(c.of)
}

// Nodes implements api.Client.
func (c client) Nodes() api.Objects[*corev1.Node, *corev1.NodeList] {
	return c.of.CoreV1().Nodes()
}

// Services implements api.Client.
func (c client) Services(namespace string) api.Objects[*corev1.Service, *corev1.ServiceList] {
	return c.of.CoreV1().Services(namespace)
}

// Pods implements api.Client.
func (c client) Pods(namespace string) api.Objects[*corev1.Pod, *corev1.PodList] {
	return c.of.CoreV1().Pods(namespace)
}

// Secrets implements api.Client.
func (c client) Secrets(namespace string) api.Objects[*corev1.Secret, *corev1.SecretList] {
	return c.of.CoreV1().Secrets(namespace)
}

// ConfigMaps implements api.Client.
func (c client) ConfigMaps(namespace string) api.Objects[*corev1.ConfigMap, *corev1.ConfigMapList] {
	return c.of.CoreV1().ConfigMaps(namespace)
}

// EndpointSlices implements api.Client.
func (c client) EndpointSlices(namespace string) api.Objects[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList] {
	return c.of.DiscoveryV1().EndpointSlices(namespace)
}

// Leases implements api.Client.
func (c client) Leases(namespace string) api.Objects[*coordinationv1.Lease, *coordinationv1.LeaseList] {
	return c.of.CoordinationV1().Leases(namespace)
}

// DaemonSets implements api.Client.
func (c client) DaemonSets(namespace string) api.Objects[*appsv1.DaemonSet, *appsv1.DaemonSetList] {
	return c.of.AppsV1().DaemonSets(namespace)
}
