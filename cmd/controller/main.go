// Command controller gives the cluster's Services of type LoadBalancer their addresses.
package main

import (
	"context"
	"errors"
	"os"
	"runtime"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/cmd/internal/clientset"
	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/kube/controller"
	"github.com/kontena/network-lb/kube/serve"
)

const summary = "assigns addresses from the configured pools to Services of type LoadBalancer."

var options = []process.Option{
	{Name: "config-map", Default: "network-lb-config", Usage: "name of the ConfigMap with the configuration as it was written (key config.yaml)"},
	{Name: "lease", Default: "network-lb-controller", Usage: "name of the Lease by which one of several replicas leads"},
	{Name: "membership", Default: "network-lb-membership", Usage: "name of the Secret that gets a key by which the speakers know each other, if it has none"},
	{Name: "cluster-role", Usage: "name of the ClusterRole that the AddressPools belong to, so that they go with it; empty: they stay"},
	{Name: "pods", Usage: "label selector of the speakers' Pods: what a speaker has reported counts only while its Pod is Ready; empty: always"},
	{Name: "identity", Usage: "this replica's name in the Lease; empty: the host name"},
	{Name: "listen", Default: ":17470", Usage: "address of /healthz, /readyz and /metrics; empty: none"},
	{Name: "status-listen", Default: "127.0.0.1:17471", Usage: "address of /status; empty: none"},
}

func main() {
	// It waits for the API server nearly all the time. On one processor no thread wakes another for each answer: a burst of
	// Services costs two thirds of the CPU time, and nobody waits longer.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	os.Exit(process.Main("controller", summary, options, run))
}

func run(ctx context.Context, v process.Values, log *zap.Logger) error {
	client, err := clientset.New(v, "network-lb-controller")
	if err != nil {
		return err
	}
	reports, err := process.Dynamic(v, "network-lb-controller")
	if err != nil {
		return err
	}
	identity := v["identity"]
	if identity == "" {
		if identity, err = os.Hostname(); err != nil {
			return errors.New("the host has no name; give --identity")
		}
	}
	c := controller.New(controller.Options{
		Client: client, Namespace: v["namespace"], ConfigMap: v["config-map"], LastGood: v["last-good"], File: v["config"],
		Membership: v["membership"], Lease: v["lease"], Identity: identity, Logger: log,
		Reports: reports, ClusterRole: v["cluster-role"], Pods: v["pods"],
	})
	return serve.Beside(ctx, serve.Options{
		Listen: v["listen"], StatusListen: v["status-listen"],
		Ready: c.Ready, Status: func() any { return c.Status() }, Metrics: c.Metrics(),
	}, c.Run)
}
