package addon

import (
	"bytes"
	"fmt"
	"io"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/registry"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kontena/network-lb/lab"
)

// session is Helm, working in a lab as the operator.
type session struct {
	action.Configuration
	log bytes.Buffer // of hooks, as far as the chart wants it shown
}

func helm(c *lab.Cluster) (*session, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	var h session
	if err := h.Init(restGetter{config}, Namespace, "secrets", func(string, ...any) {}); err != nil {
		return nil, fmt.Errorf("preparing Helm: %w", err)
	}
	h.SetHookOutputFunc(func(_, _, _ string) io.Writer { return &h.log })
	if h.RegistryClient, err = registry.NewClient(); err != nil {
		return nil, fmt.Errorf("preparing Helm: %w", err)
	}
	return &h, nil
}

// restGetter is how Helm reaches the lab's API server: it implements genericclioptions.RESTClientGetter.
type restGetter struct{ config *rest.Config }

// ToRESTConfig returns the lab's client configuration.
func (g restGetter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

// ToDiscoveryClient returns a discovery client that remembers.
func (g restGetter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	client, err := discovery.NewDiscoveryClientForConfig(rest.CopyConfig(g.config))
	if err != nil {
		return nil, err
	}
	return memory.NewMemCacheClient(client), nil
}

// ToRESTMapper returns a mapper that asks the API server when it has to.
func (g restGetter) ToRESTMapper() (meta.RESTMapper, error) {
	client, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	return restmapper.NewDeferredDiscoveryRESTMapper(client), nil
}

// ToRawKubeConfigLoader tells Helm the namespace.
func (g restGetter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(*clientcmdapi.NewConfig(), &clientcmd.ConfigOverrides{
		Context: clientcmdapi.Context{Namespace: Namespace},
	})
}
