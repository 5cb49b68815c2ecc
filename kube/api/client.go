package api

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
)

// client has a connection for each API group.
type client struct {
	core, discovery, coordination, apps rest.Interface
	parameters                          runtime.ParameterCodec
}

// New returns a client of the cluster that the configuration leads to. The error says what of that is wrong; nothing is
// asked yet.
func New(config *rest.Config) (Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, discoveryv1.AddToScheme, coordinationv1.AddToScheme, appsv1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	c := &client{parameters: runtime.NewParameterCodec(scheme)}
	for group, connection := range map[schema.GroupVersion]*rest.Interface{
		corev1.SchemeGroupVersion: &c.core, discoveryv1.SchemeGroupVersion: &c.discovery,
		coordinationv1.SchemeGroupVersion: &c.coordination, appsv1.SchemeGroupVersion: &c.apps,
	} {
		its := rest.CopyConfig(config)
		its.GroupVersion, its.APIPath = &group, "/apis"
		if group.Group == "" {
			its.APIPath = "/api"
		}
		its.NegotiatedSerializer = rest.CodecFactoryForGeneratedClient(scheme, serializer.NewCodecFactory(scheme)).WithoutConversion()
		if *connection, err = rest.RESTClientForConfigAndClient(its, transport); err != nil {
			return nil, fmt.Errorf("making a client of %s: %w", group, err)
		}
	}
	return c, nil
}

// Nodes implements Client.
func (c *client) Nodes() Objects[*corev1.Node, *corev1.NodeList] {
	return objects[corev1.Node, corev1.NodeList](c, c.core, "nodes", "")
}

// Services implements Client.
func (c *client) Services(namespace string) Objects[*corev1.Service, *corev1.ServiceList] {
	return objects[corev1.Service, corev1.ServiceList](c, c.core, "services", namespace)
}

// Pods implements Client.
func (c *client) Pods(namespace string) Objects[*corev1.Pod, *corev1.PodList] {
	return objects[corev1.Pod, corev1.PodList](c, c.core, "pods", namespace)
}

// Secrets implements Client.
func (c *client) Secrets(namespace string) Objects[*corev1.Secret, *corev1.SecretList] {
	return objects[corev1.Secret, corev1.SecretList](c, c.core, "secrets", namespace)
}

// ConfigMaps implements Client.
func (c *client) ConfigMaps(namespace string) Objects[*corev1.ConfigMap, *corev1.ConfigMapList] {
	return objects[corev1.ConfigMap, corev1.ConfigMapList](c, c.core, "configmaps", namespace)
}

// EndpointSlices implements Client.
func (c *client) EndpointSlices(namespace string) Objects[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList] {
	return objects[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](c, c.discovery, "endpointslices", namespace)
}

// Leases implements Client.
func (c *client) Leases(namespace string) Objects[*coordinationv1.Lease, *coordinationv1.LeaseList] {
	return objects[coordinationv1.Lease, coordinationv1.LeaseList](c, c.coordination, "leases", namespace)
}

// DaemonSets implements Client.
func (c *client) DaemonSets(namespace string) Objects[*appsv1.DaemonSet, *appsv1.DaemonSetList] {
	return objects[appsv1.DaemonSet, appsv1.DaemonSetList](c, c.apps, "daemonsets", namespace)
}

// object is a pointer to a T.
type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// list is a pointer to a list L.
type list[L any] interface {
	*L
	runtime.Object
}

func objects[T, L any, P object[T], Q list[L]](c *client, group rest.Interface, resource, namespace string) Objects[P, Q] {
	return gentype.NewClientWithList(resource, group, c.parameters, namespace,
		func() P { return new(T) }, func() Q { return new(L) }, gentype.PrefersProtobuf[P]())
}
