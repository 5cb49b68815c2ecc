package controller

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/api/clientset"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/objects"
)

// ErrRefused is the error of a document that a controller would refuse for what the cluster holds now.
var ErrRefused = errors.New("the controller would refuse it")

// Preview says what the leading controller would answer to a document if it were written now: nil, or an error that is
// ErrRefused and names each Service that would lose its address, as the event on the ConfigMap would. Any other error
// is the API server's, and says nothing about the document. Where nothing was accepted yet, nothing can be lost.
func Preview(ctx context.Context, client kubernetes.Interface, accepted document.Place, next config.Config) error {
	now, err := document.Read(ctx, clientset.Client(client), accepted)
	if err != nil || now.Err != nil && now.Text == "" && now.Generation == 0 {
		return err
	}
	services, err := client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the Services: %w", err)
	}
	spaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the Namespaces: %w", err)
	}
	labels := map[string]map[string]string{}
	for _, n := range spaces.Items {
		labels[n.Name] = n.Labels
	}
	var all []objects.Service // those that have something to lose
	for i := range services.Items {
		if s := objects.FromService(&services.Items[i]); len(s.Status) > 0 {
			all = append(all, s)
		}
	}
	if now.Err != nil {
		return refused(orphans(next, all))
	}
	allocator, _, err := adopted(now.Config, all, nil, nil, func(name string) (map[string]string, bool) {
		l, known := labels[name]
		return l, known
	})
	if err != nil {
		return err
	}
	return refused(plan(allocator, now.Config, next, all))
}

func refused(why error) error {
	if why == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRefused, why)
}
