package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/kube/api"
	"github.com/kontena/network-lb/kube/speaker"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/subnets"
)

// relay tells a speaker of conflicts, which is made after the responder that hears of them.
type relay struct {
	to atomic.Pointer[speaker.Speaker]
}

func (r *relay) conflict(c layer2.Conflict) {
	if s := r.to.Load(); s != nil {
		s.Conflict(c)
	}
}

// errStateless is why a speaker cannot be followed by another one that goes on where it ended.
var errStateless = errors.New("there is no folder for what the next process has to know (--state)")

// followed says why no other speaker is about to follow this one that could go on with its routes and addresses; nil: one
// is.
func followed(client api.Client, v process.Values) error {
	if v["state"] == "" {
		return errStateless
	}
	return speaker.Restarting(context.Background(), client, v["namespace"], v["pod-name"], v["node-name"])
}

// keepRoutes says whether the routers may keep the routes of this speaker, given why no other one follows it.
func keepRoutes(why error, log *zap.Logger) bool {
	if why != nil && !errors.Is(why, errStateless) {
		log.Info("routers are told to drop the routes", zap.String("reason", why.Error()))
	}
	return why == nil
}

// gracePeriod is how long the process may take to end.
func gracePeriod(v process.Values) (time.Duration, error) {
	grace, err := time.ParseDuration(v["grace-period"])
	if err != nil || grace < 0 {
		return 0, fmt.Errorf("--grace-period: %q is not a time span; write a number with a unit, such as 60s", v["grace-period"])
	}
	return grace, nil
}

// remaining is how long the process may take to drain the node, of its grace period; 0: it is about to be followed by
// another, which keep says, or nothing is known of that.
func remaining(v process.Values, grace time.Duration, keep func() bool) time.Duration {
	began := time.Now()
	if v["state"] == "" || keep() {
		return 0
	}
	return max(grace-time.Since(began), 0)
}

// network returns the subnets that the node is in and its gateways, but for those of container networks.
func network() ([]netip.Prefix, []netip.Addr, error) {
	n, err := subnets.Read(layer2.ContainerInterfaces)
	return n.Subnets, n.Gateways, err
}

// bootID is the node's; empty where it cannot be read.
func bootID(log *zap.Logger) string {
	id, err := speaker.BootID()
	if err != nil {
		log.Warn("the report does not say which boot it is of", zap.Error(err))
	}
	return id
}
