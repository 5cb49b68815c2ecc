// Command speaker announces the addresses of Services from the node that it runs on.
package main

import (
	"context"
	"net/netip"
	"os"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/gobgp"
	"github.com/kontena/network-lb/bgp/neigh"
	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/kube/serve"
	"github.com/kontena/network-lb/kube/speaker"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/rawsock"
)

const summary = "announces the addresses of Services from its node, by ARP and NDP or by BGP."

var options = []process.Option{
	{Name: "node-name", Required: true, Usage: "name of the node that the process runs on"},
	{Name: "pods", Default: "app.kubernetes.io/name=kontena-network-lb,app.kubernetes.io/component=speaker", Usage: "label selector of the speakers' Pods"},
	{Name: "listen", Default: ":17472", Usage: "address of /healthz, /readyz and /metrics; empty: none"},
	{Name: "status-listen", Default: "127.0.0.1:17473", Usage: "address of /status; empty: none"},
}

func main() { os.Exit(process.Main("speaker", summary, options, run)) }

func run(ctx context.Context, v process.Values, log *zap.Logger) error {
	client, err := process.Client(v, "network-lb-speaker")
	if err != nil {
		return err
	}
	transport, err := rawsock.Open(rawsock.Options{Logger: log.Named("layer2")})
	if err != nil {
		return err
	}
	responder := layer2.NewResponder(transport, layer2.Options{Logger: log.Named("layer2")})
	defer responder.Close()
	var resolver neigh.Resolver
	engine := gobgp.New(gobgp.Options{NodeName: v["node-name"], Local: resolver.Local, Logger: log.Named("bgp")})
	routes := bgp.NewSpeaker(engine, bgp.Options{Logger: log.Named("bgp")})
	defer routes.Close(false)
	go func() {
		if err := resolver.Watch(ctx, engine.AddressesChanged); err != nil {
			log.Warn("next hops will not follow the node's addresses", zap.Error(err))
		}
	}()
	s := speaker.New(speaker.Options{
		Client: client, Node: v["node-name"], Namespace: v["namespace"], Pods: v["pods"],
		LastGood: v["last-good"], File: v["config"], Routes: routes, Claims: responder, Logger: log,
		Prefer: func(own []netip.Addr) {
			if resolver.Prefer(own) {
				engine.AddressesChanged()
			}
		},
	})
	return serve.Beside(ctx, serve.Options{
		Listen: v["listen"], StatusListen: v["status-listen"],
		Ready: s.Ready, Status: func() any { return s.Status() }, Metrics: s.Metrics(),
	}, s.Run)
}
