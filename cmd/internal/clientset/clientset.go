// Package clientset makes clients of all of a cluster's own kinds. A speaker does without: see kube/api.
package clientset

import (
	"fmt"

	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/cmd/internal/process"
)

// New returns a client of the cluster for the process of a name.
func New(v process.Values, name string) (kubernetes.Interface, error) {
	cfg, err := process.Protobuf(v, name)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return client, nil
}
