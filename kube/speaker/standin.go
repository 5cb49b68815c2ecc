package speaker

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/layer2"
)

const (
	checkEvery = 200 * time.Millisecond // a node is asked whether it is there while this one stands in for its speaker
	mostMissed = 3                      // of these in a row it may not answer
)

// vigil watches the nodes of speakers that restart while this one stands in for them: their kernels go on forwarding as long
// as they answer for their own addresses.
type vigil struct {
	neighbours Neighbours
	wake       func()
	log        *zap.Logger
	// ask finds out whether another speaker answers for addresses, and has it noted.
	ask func(context.Context, []layer2.Claim)

	mu      sync.Mutex
	over    map[string]time.Time // restarts that are over although nobody is back, by nodes and by when they were to end
	watched map[string]*watched  // the nodes that this one stands in for
	told    map[string]time.Time // when a restart is to be over, by nodes, until the speaker is back
}

// watched is a node whose speaker restarts.
type watched struct {
	node   string
	own    netip.Addr // an address of the node's that it answers for itself; invalid: none is in a network of this node's
	macs   []layer2.MAC
	until  time.Time
	claims []layer2.Claim // in its place
	end    context.CancelFunc
}

func newVigil(neighbours Neighbours, wake func(), log *zap.Logger) *vigil {
	return &vigil{neighbours: neighbours, wake: wake, log: log,
		over: map[string]time.Time{}, watched: map[string]*watched{}, told: map[string]time.Time{}}
}

// judge reports whether a speaker restarts, and whether its node still has what that held: until its time is over, and
// where this node stands in until it has asked whether somebody else answers. One that says that it is back restarts
// until it is known to be alive.
func (v *vigil) judge(m members.Member) (restarts, keeps bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	restarts = m.Known && m.State.Restarting > 0
	until := m.Until
	switch {
	case restarts && !v.told[m.Node].Equal(until):
		v.told[m.Node] = until
		time.AfterFunc(time.Until(until), v.wake)
	case !restarts && m.Presence == members.Alive:
		delete(v.told, m.Node)
	case !restarts:
		until = v.told[m.Node]
	}
	if until.IsZero() || m.Presence == members.Gone || m.Presence == members.Missing || v.over[m.Node].Equal(until) {
		return restarts, false
	}
	keeps = v.watched[m.Node] != nil || time.Now().Before(until)
	return restarts || keeps, keeps
}

// follow has the nodes watched for which this one is to stand in by the claims, and no others.
func (v *vigil) follow(ctx context.Context, c *company, view announce.View, claims []layer2.Claim) {
	places := map[string][]layer2.Claim{}
	for _, claim := range claims {
		if node := c.byMAC[claim.MAC]; node != "" && claim.MAC != (layer2.MAC{}) {
			places[node] = append(places[node], claim)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for node, w := range v.watched {
		if places[node] == nil {
			w.end()
			delete(v.watched, node)
			v.log.Info("standing in no longer", zap.String("node", node), zap.Int("addresses", len(w.claims)))
		}
	}
	for _, m := range c.members {
		if places[m.Node] == nil {
			continue
		}
		w := v.watched[m.Node]
		if w == nil {
			w = &watched{node: m.Node}
			var watching context.Context
			watching, w.end = context.WithCancel(ctx)
			v.watched[m.Node] = w
			v.log.Info("standing in for a speaker that restarts", zap.String("node", m.Node),
				zap.Int("addresses", len(places[m.Node])), zap.Duration("at_most", time.Until(v.told[m.Node])))
			go v.watch(watching, w)
		}
		w.claims, w.until, w.own, w.macs = places[m.Node], v.told[m.Node], ownAddress(m, view), macs(m)
	}
}

// watch looks whether a node is there, until it is not or its time is over.
func (v *vigil) watch(ctx context.Context, w *watched) {
	missed := 0
	for ctx.Err() == nil {
		v.mu.Lock()
		now := *w
		v.mu.Unlock()
		if !time.Now().Before(now.until) {
			v.ask(ctx, now.claims)
			v.leave(ctx, w, now.until, "its time is over")
			continue
		}
		switch there, known := v.there(ctx, now); {
		case there:
			missed = 0
		case known:
			if missed++; missed >= mostMissed {
				v.leave(ctx, w, now.until, "its node does not answer")
			}
		}
	}
}

// there asks whether a node answers for its own address, which takes as long as there is between two questions. known is
// false when that nobody answered says nothing.
func (v *vigil) there(ctx context.Context, w watched) (there, known bool) {
	if !w.own.IsValid() {
		pauseUntil(ctx, time.Now().Add(checkEvery))
		return false, false
	}
	results, err := v.neighbours.Probe(ctx, layer2.ProbeOptions{Count: 1, Interval: checkEvery}, layer2.Claim{Addr: w.own})
	if err != nil { // this process ends
		pauseUntil(ctx, time.Now().Add(checkEvery))
		return false, false
	}
	there = slices.ContainsFunc(results[0].Answers, func(a layer2.Answer) bool { return slices.Contains(w.macs, a.MAC) })
	return there, results[0].Err == nil
}

// leave ends a restart that was to be over by then before the speaker is back: what the node held may be taken over.
func (v *vigil) leave(ctx context.Context, w *watched, until time.Time, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ctx.Err() != nil || !w.until.Equal(until) { // it is back, or has just said that it is about to be
		return
	}
	v.over[w.node] = until
	delete(v.watched, w.node)
	w.end()
	v.log.Warn("a speaker that restarts is not back, and its addresses are taken over", zap.String("node", w.node),
		zap.Int("addresses", len(w.claims)), zap.String("reason", why))
	v.wake()
}

// ownAddress is an address of a member's node in a network that this node is in as well.
func ownAddress(m members.Member, view announce.View) netip.Addr {
	var all []netip.Addr
	if i := slices.IndexFunc(view.Nodes, func(n announce.Node) bool { return n.Name == m.Node }); i >= 0 {
		all = slices.Clone(view.Nodes[i].InternalIPs)
	}
	for _, l := range m.State.Interfaces {
		for _, p := range l.Addrs {
			all = append(all, p.Addr())
		}
	}
	i := slices.IndexFunc(view.Members, func(n announce.Member) bool { return n.Node == view.Node })
	for _, a := range all {
		near := func(l layer2.Link) bool { return l.Up && l.Carrier && l.Contains(a) }
		if !a.IsLinkLocalUnicast() && slices.ContainsFunc(view.Members[i].Links, near) {
			return a
		}
	}
	return netip.Addr{}
}

func macs(m members.Member) (all []layer2.MAC) {
	for _, l := range m.State.Interfaces {
		all = append(all, l.MAC)
	}
	return all
}
