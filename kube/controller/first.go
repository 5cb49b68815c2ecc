package controller

import (
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
)

// firstReports is how long Services without an address wait for what the speakers of a new installation see of the
// nodes' networks. Gateways are often among the lowest addresses of a pool, and with ARP answers for its gateway's
// address a network stands still. Once there are reports nobody waits any more: not for a node that is new either.
const firstReports = 30 * time.Second

// await has the first reports awaited, if there was none yet, and there are Pods to tell of whom.
func (sp *speakers) await() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.fresh && sp.c.opts.Pods != "" {
		sp.until = time.Now().Add(firstReports)
	}
}

// awaited says that a first report is about to come: not each node with a speaker's Pod has one, and it is not long yet.
func (sp *speakers) awaited() bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if !time.Now().Before(sp.until) {
		return false
	}
	if !sp.on {
		return true
	}
	for _, o := range sp.store.List() {
		if p, ok := o.(*corev1.Pod); ok && sp.nodes[p.Spec.NodeName] == nil {
			return true
		}
	}
	return false
}

// awaiting says that Services without an address are left alone for now.
func (c *Controller) awaiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// hold has Services without an address wait for the first reports, if these are awaited.
func (c *Controller) hold() {
	c.speakers.await()
	held := c.speakers.awaited()
	c.mu.Lock()
	c.held = held
	c.mu.Unlock()
	if held {
		c.log.Info("Services without an address wait for the speakers' first reports", zap.Duration("at most", firstReports))
	}
}

// proceed has those Services served that hold let wait.
func (c *Controller) proceed() {
	c.mu.Lock()
	held := c.held
	c.held = false
	c.mu.Unlock()
	if held {
		c.log.Info("the speakers have reported, or do not in time: Services without an address are served")
		c.enqueueAll()
	}
}
