// Command speaker announces the addresses of Services from the node that it runs on.
package main

import (
	"context"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/kube/serve"
	"github.com/kontena/network-lb/kube/speaker"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/rawsock"
)

const summary = "announces the addresses of Services from its node, by ARP and NDP or by BGP."

var options = []process.Option{
	{Name: "node-name", Required: true, Usage: "name of the node that the process runs on"},
	{Name: "pod-name", Usage: "name of the Pod that the process runs in, to tell a restart from an end; empty: there is none"},
	{Name: "state", Usage: "folder that outlives the process but not the node's boot; empty: none, and routers drop the routes when the process restarts"},
	{Name: "membership", Default: "network-lb-membership", Usage: "name of the Secret with the keys by which the speakers know each other"},
	{Name: "secrets", Usage: "folder with the content of the Secrets that the speaker reads, each in a folder of its name, for the time before the API server answers; empty: none"},
	{Name: "drain-slots", Usage: "name of the Leases by which nodes drain, without the number at the end (-0, -1 ...); empty: any number may do so at a time"},
	{Name: "grace-period", Default: "60s", Usage: "how long the process may take to end, as its Pod has it: time to have other nodes take over if it ends for good"},
	{Name: "pods", Default: "app.kubernetes.io/name=kontena-network-lb,app.kubernetes.io/component=speaker", Usage: "label selector of the speakers' Pods"},
	{Name: "listen", Default: ":17472", Usage: "address of /healthz, /readyz and /metrics; empty: none"},
	{Name: "status-listen", Default: "127.0.0.1:17473", Usage: "address of /status; empty: none"},
}

func main() {
	// It is on every node, and idle nearly always: memory counts for more there than the time to tidy it up.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
	os.Exit(process.Main("speaker", summary, options, run))
}

func run(ctx context.Context, v process.Values, log *zap.Logger) error {
	grace, err := gracePeriod(v)
	if err != nil {
		return err
	}
	client, err := process.Cluster(v, "network-lb-speaker")
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
	var told relay
	responder := layer2.NewResponder(transport, layer2.Options{Logger: log.Named("layer2"), OnConflict: told.conflict})
	defer responder.Close()
	followed := sync.OnceValue(func() error { return followed(client, v) })
	routing := newRouting(ctx, v, log)
	keep := sync.OnceValue(func() bool { return keepRoutes(followed(), log) })
	defer func() { routing.close(keep()) }()
	s := speaker.New(speaker.Options{
		Client: client, Node: v["node-name"], Namespace: v["namespace"], Pods: v["pods"], LastGood: v["last-good"], File: v["config"],
		Routes: routing.routes, Discards: &routing.discards, Prefer: routing.prefer,
		Claims: responder, Neighbours: responder, Links: transport.Links,
		Dial: new(net.Dialer).DialContext, SameBoot: routing.sameBoot, Restarting: followed,
		Join: members.Open, Keys: v["membership"], Mounted: v["secrets"], State: v["state"],
		DrainSlots: v["drain-slots"], Ending: func() time.Duration { return remaining(v, grace, keep) },
		Reports: reports, BootID: bootID(log), Network: network, Logger: log,
	})
	told.to.Store(s)
	return serve.Beside(ctx, serve.Options{
		Listen: v["listen"], StatusListen: v["status-listen"],
		Ready: s.Ready, Remark: s.Remark, Status: func() any { return s.Status() }, Metrics: s.Metrics(),
	}, s.Run)
}
