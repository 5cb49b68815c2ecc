// Command speaker announces the addresses of Services from the node that it runs on.
package main

import (
	"context"
	"net/netip"
	"os"
	"runtime/debug"

	"go.uber.org/zap"
	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/discard"
	"github.com/kontena/network-lb/bgp/gobgp"
	"github.com/kontena/network-lb/bgp/neigh"
	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/kube/serve"
	"github.com/kontena/network-lb/kube/speaker"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/rawsock"
	"github.com/kontena/network-lb/layer2/subnets"
)

const summary = "announces the addresses of Services from its node, by ARP and NDP or by BGP."

var options = []process.Option{
	{Name: "node-name", Required: true, Usage: "name of the node that the process runs on"},
	{Name: "pod-name", Usage: "name of the Pod that the process runs in, to tell a restart from an end; empty: there is none"},
	{Name: "state", Usage: "folder that outlives the process but not the node's boot; empty: none, and routers drop the routes when the process restarts"},
	{Name: "pods", Default: "app.kubernetes.io/name=kontena-network-lb,app.kubernetes.io/component=speaker", Usage: "label selector of the speakers' Pods"},
	{Name: "listen", Default: ":17472", Usage: "address of /healthz, /readyz and /metrics; empty: none"},
	{Name: "status-listen", Default: "127.0.0.1:17473", Usage: "address of /status; empty: none"},
}

func main() {
	// It is on every node, and idle nearly always: memory counts for more there than the time to tidy it up.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	os.Exit(process.Main("speaker", summary, options, run))
}

func run(ctx context.Context, v process.Values, log *zap.Logger) error {
	client, err := process.Client(v, "network-lb-speaker")
	if err != nil {
		return err
	}
	reports, err := process.Dynamic(v, "network-lb-speaker")
	if err != nil {
		return err
	}
	transport, err := rawsock.Open(rawsock.Options{Logger: log.Named("layer2")})
	if err != nil {
		return err
	}
	responder := layer2.NewResponder(transport, layer2.Options{Logger: log.Named("layer2")})
	defer responder.Close()
	sameBoot, err := speaker.SameBoot(v["state"])
	if err != nil {
		log.Warn("routers are not asked to keep the routes of the last run", zap.Error(err))
	}
	bootID, err := speaker.BootID()
	if err != nil {
		log.Warn("the report does not say which boot it is of", zap.Error(err))
	}
	var resolver neigh.Resolver
	engine := gobgp.New(gobgp.Options{NodeName: v["node-name"], Local: resolver.Local, Restarting: sameBoot, Logger: log.Named("bgp")})
	liveness := newLiveness(v["state"], log.Named("bfd"))
	defer liveness.manager.Close() // those that are watched at the end are suspended or closed by then
	routes := bgp.NewSpeaker(engine, bgp.Options{Liveness: liveness, Logger: log.Named("bgp")})
	refused := new(discard.Routes)
	defer func() {
		keep := keepRoutes(client, v, log)
		if routes.Close(keep); keep {
			return
		}
		if err := refused.Set(nil); err != nil {
			log.Warn("discard routes are left behind", zap.Error(err))
		}
	}()
	go func() {
		if err := resolver.Watch(ctx, engine.AddressesChanged); err != nil {
			log.Warn("next hops will not follow the node's addresses", zap.Error(err))
		}
	}()
	s := speaker.New(speaker.Options{
		Client: client, Node: v["node-name"], Namespace: v["namespace"], Pods: v["pods"],
		LastGood: v["last-good"], File: v["config"], Routes: routes, Claims: responder, Discards: refused, Logger: log,
		Reports: reports, BootID: bootID, Network: network,
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

// keepRoutes says whether another speaker is about to follow this one, so that the routers may keep its routes.
func keepRoutes(client kubernetes.Interface, v process.Values, log *zap.Logger) bool {
	if v["state"] == "" {
		return false // the next one could not tell its routers that nothing has happened
	}
	why := speaker.Restarting(context.Background(), client, v["namespace"], v["pod-name"], v["node-name"])
	if why != nil {
		log.Info("routers are told to drop the routes", zap.String("reason", why.Error()))
	}
	return why == nil
}

// network returns the subnets that the node is in and its gateways, but for those of container networks.
func network() ([]netip.Prefix, []netip.Addr, error) {
	n, err := subnets.Read(layer2.ContainerInterfaces)
	return n.Subnets, n.Gateways, err
}
