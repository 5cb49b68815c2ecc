package main

import (
	"context"
	"net/netip"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/discard"
	"github.com/kontena/network-lb/bgp/gobgp"
	"github.com/kontena/network-lb/bgp/neigh"
	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/kube/speaker"
)

// routing is what speaks to routers.
type routing struct {
	engine   *gobgp.Engine
	liveness *liveness
	routes   *bgp.Speaker
	discards discard.Routes
	resolver neigh.Resolver
	sameBoot bool // a speaker has run on this node since it booted
	log      *zap.Logger
}

// newRouting follows the node's addresses until ctx ends.
func newRouting(ctx context.Context, v process.Values, log *zap.Logger) *routing {
	sameBoot, err := speaker.SameBoot(v["state"])
	if err != nil {
		log.Warn("routers are not asked to keep the routes of the last run", zap.Error(err))
	}
	r := &routing{liveness: newLiveness(v["state"], log.Named("bfd")), sameBoot: sameBoot, log: log}
	r.engine = gobgp.New(gobgp.Options{NodeName: v["node-name"], Local: r.resolver.Local, Restarting: sameBoot, Logger: log.Named("bgp")})
	r.routes = bgp.NewSpeaker(r.engine, bgp.Options{Liveness: r.liveness, Logger: log.Named("bgp")})
	go func() {
		if err := r.resolver.Watch(ctx, r.engine.AddressesChanged); err != nil {
			log.Warn("next hops will not follow the node's addresses", zap.Error(err))
		}
	}()
	return r
}

// prefer makes the node's own addresses next hops.
func (r *routing) prefer(own []netip.Addr) {
	if r.resolver.Prefer(own) {
		r.engine.AddressesChanged()
	}
}

// close ends all sessions. With keep, the routers and the node keep the routes for the next process, and BFD that could
// not be suspended in time goes on until this process exits: a router that was told that it is down on purpose would
// withdraw the routes while the connection stands.
func (r *routing) close(keep bool) {
	if r.routes.Close(keep); keep {
		return
	}
	defer r.liveness.close()
	if err := r.discards.Set(nil); err != nil {
		r.log.Warn("discard routes are left behind", zap.Error(err))
	}
}
