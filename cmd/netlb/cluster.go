package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/cmd/internal/clientset"
	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/controller"
	"github.com/kontena/network-lb/kube/document"
)

// How long the cluster is asked: a right that was given a moment ago may still be refused.
const (
	clusterTimeout = 20 * time.Second
	clusterRetry   = time.Second
)

// compare adds what the controller would say to a valid document for what the cluster holds now. A cluster that cannot
// be asked is a warning.
func compare(v process.Values, r *report) {
	findKubeconfig(v)
	ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
	defer cancel()
	client, err := clientset.New(v, "netlb")
	if err == nil {
		err = preview(ctx, client, document.InSecret(v["namespace"], v["last-good"]), r.config)
	}
	if losses, ok := errors.AsType[*ipam.LossError](err); ok {
		for _, l := range losses.Losses {
			r.mistakes = append(r.mistakes, &config.Error{
				Path: "address_pools", Value: l.Address.String(),
				Problem: fmt.Sprintf("would be taken from Service %s (%s)", l.Owner, l.Err),
				Remedy:  fmt.Sprintf("if that is meant, list it or its pool %s under release", l.Pool),
			})
		}
	} else if err != nil {
		r.warnings = append(r.warnings, config.Warning{
			Problem: "was not compared with the cluster, so that it may still be refused there: " + err.Error(),
			Remedy:  "try again when the cluster answers",
		})
	}
}

// findKubeconfig does as kubectl does where no kubeconfig is given.
func findKubeconfig(v process.Values) {
	if v["kubeconfig"] == "" {
		v["kubeconfig"] = process.AsKubectl
	}
}

// preview asks until there is an answer or ctx ends.
func preview(ctx context.Context, client kubernetes.Interface, accepted document.Place, next config.Config) error {
	for {
		err := controller.Preview(ctx, client, accepted, next)
		if err == nil || errors.Is(err, controller.ErrRefused) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(clusterRetry):
		}
	}
}
