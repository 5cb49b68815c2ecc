package controller

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// spreadInterval is the least time between two looks at what other reports mean for Services.
const spreadInterval = 500 * time.Millisecond

// change replaces a node's report; nil: there is none.
func (sp *speakers) change(node string, now *speaker) {
	sp.mu.Lock()
	before := sp.nodes[node]
	sp.soil(node)
	if now == nil {
		delete(sp.nodes, node)
		delete(sp.gone, node)
	} else {
		sp.nodes[node] = now
		sp.absent(node)
	}
	sp.mu.Unlock()
	sp.c.heard(now)
	if !slices.Equal(before.excludes(), now.excludes()) || !slices.Equal(before.disputes(), now.disputes()) {
		sp.c.rangesChanged()
	}
	sp.rouse()
}

// excludes and disputes are what a report says is never assigned, and which conflicts there are; of no report nothing.
func (s *speaker) excludes() []exclusion {
	if s == nil {
		return nil
	}
	return s.never
}

func (s *speaker) disputes() []conflict {
	if s == nil {
		return nil
	}
	return s.conflicts
}

// ready notes on which node a speaker's Pod is Ready; empty: on none.
func (sp *speakers) ready(pod, node string) {
	sp.mu.Lock()
	before := sp.pods[pod]
	for _, n := range []string{before, node} {
		if n != "" {
			sp.soil(n)
		}
	}
	if node == "" {
		delete(sp.pods, pod)
	} else {
		sp.pods[pod] = node
	}
	for _, n := range []string{before, node} {
		if n != "" {
			sp.absent(n)
		}
	}
	sp.mu.Unlock()
	if before != node {
		sp.rouse()
	}
}

// absent notes since when a node has no speaker that is Ready. With the lock.
func (sp *speakers) absent(node string) {
	for _, n := range sp.pods {
		if n == node {
			delete(sp.gone, node)
			return
		}
	}
	if _, noted := sp.gone[node]; !noted && sp.c.opts.Pods != "" {
		sp.gone[node] = time.Now()
		time.AfterFunc(absence, func() {
			sp.mu.Lock()
			if s := sp.nodes[node]; s != nil && s.ours {
				sp.past[node] = s // it counted until now
			}
			sp.list = nil
			sp.mu.Unlock()
			sp.rouse()
		})
	}
}

// soil keeps what counted of a node until it is looked at what another report means. With the lock.
func (sp *speakers) soil(node string) {
	sp.list = nil
	if _, was := sp.past[node]; !was {
		sp.past[node] = sp.counts(node)
	}
}

func (sp *speakers) rouse() {
	select {
	case sp.wake <- struct{}{}:
	default:
	}
}

// spread queues the Services that other reports say something else about, until ctx ends.
func (sp *speakers) spread(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-sp.wake:
		}
		sp.mu.Lock()
		past := sp.past
		sp.past = map[string]*speaker{}
		pairs := make(map[string][2]*speaker, len(past))
		for node, before := range past {
			pairs[node] = [2]*speaker{before, sp.counts(node)}
		}
		on := sp.on
		if !on {
			maps.Copy(sp.past, past)
		}
		sp.mu.Unlock()
		if on {
			for _, s := range sp.c.all(sp.c.class()) {
				if slices.ContainsFunc(s.Status, func(a netip.Addr) bool { return differ(pairs, a) }) {
					sp.c.queue.Add(s.Key())
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(spreadInterval):
		}
	}
}
