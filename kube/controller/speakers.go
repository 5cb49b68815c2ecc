package controller

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/reports"
)

// absence is how long the report of a speaker counts that is not Ready any more: a restart takes less, and on BGP
// nobody notices it.
const absence = 30 * time.Second

// speakers is what the nodes' speakers report, as far as it counts.
type speakers struct {
	c    *Controller
	wake chan struct{} // something is in past

	mu    sync.Mutex
	on    bool                 // the cluster has the resource, and the reports have been read
	nodes map[string]*speaker  // by the nodes' names
	past  map[string]*speaker  // what was last looked at, of the nodes that are others now; nil: nothing counted
	pods  map[string]string    // the nodes of the speakers' Pods that are Ready, by the Pods' keys
	gone  map[string]time.Time // since when a node with a report has no such Pod
	list  []counted            // of view; nil: to be made anew
	any   bool                 // of view

	fresh bool        // there was no report when this replica began to lead
	until time.Time   // until then the first reports are awaited; zero: they are not
	store cache.Store // of the speakers' Pods; nil: they are not followed
}

// speaker is a report as far as it is used. It is not changed.
type speaker struct {
	ours        bool // of this installation
	written     time.Time
	layer2, bgp reports.Set
	not         []silence
	never       []exclusion
	conflicts   []conflict
}

// silence is what a node does not announce for a reason.
type silence struct {
	reason string
	addrs  reports.Set
}

func newSpeakers(c *Controller) *speakers {
	return &speakers{
		c: c, wake: make(chan struct{}, 1), nodes: map[string]*speaker{}, past: map[string]*speaker{},
		pods: map[string]string{}, gone: map[string]time.Time{},
	}
}

// counts returns the report of a node if it counts. With the lock.
func (sp *speakers) counts(node string) *speaker {
	s := sp.nodes[node]
	if s == nil || !s.ours {
		return nil
	}
	if since, gone := sp.gone[node]; gone && time.Since(since) >= absence {
		return nil
	}
	return s
}

// never returns the addresses that are never assigned because of where the nodes are.
func (sp *speakers) never() (all []exclusion) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	for _, s := range sp.nodes {
		all = append(all, s.never...)
	}
	return all
}

// counted is the report of a node that counts.
type counted struct {
	node string
	*speaker
}

// view returns the reports that count, in order of their nodes, and whether there is any at all. The list is not to be
// changed.
func (sp *speakers) view() (all []counted, any bool) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.list == nil {
		sp.list, sp.any = []counted{}, false
		for _, node := range slices.Sorted(maps.Keys(sp.nodes)) {
			sp.any = sp.any || sp.nodes[node].ours
			if s := sp.counts(node); s != nil {
				sp.list = append(sp.list, counted{node, s})
			}
		}
	}
	return sp.list, sp.any && sp.on
}

// differ says that a node says something else about an address than before.
func differ(pairs map[string][2]*speaker, a netip.Addr) bool {
	for _, p := range pairs {
		if p[0].says(a) != p[1].says(a) {
			return true
		}
	}
	return false
}

// word is what a report says about an address.
type word struct {
	layer2, bgp, unknown bool
	reason               string // the most telling of those for which it is not announced
}

// says looks an address up. Of no report it is nothing.
func (s *speaker) says(a netip.Addr) (w word) {
	if s == nil {
		return w
	}
	var known2, knownB bool
	w.layer2, known2 = s.layer2.Has(a)
	w.bgp, knownB = s.bgp.Has(a)
	w.unknown = !known2 || !knownB
	for _, n := range s.not {
		if has, _ := n.addrs.Has(a); has && (w.reason == "" || tells(n.reason) < tells(w.reason)) {
			w.reason = n.reason
		}
	}
	return w
}

// read takes out of a report what is used.
func (sp *speakers) read(node string, s reports.SpeakerStatus) *speaker {
	out := &speaker{
		ours: s.Installation == reports.Installation(sp.c.opts.Namespace, sp.c.opts.LastGood), written: s.Written.Time,
		layer2: s.Layer2.Set(), never: networkExclusions(node, s.Subnets, s.Gateways),
		conflicts: conflictsOf(node, s.Conflicts),
	}
	if s.BGP != nil {
		out.bgp = s.BGP.Set()
	}
	for _, r := range s.NotAnnounced.Reasons {
		out.not = append(out.not, silence{r.Reason, r.Set()})
	}
	return out
}

// networkExclusions returns the gateways, and of the subnets the network and broadcast address; of IPv6 ones the first is
// their routers' anycast address (RFC 4291 section 2.6.1). Subnets of two addresses have neither (RFC 3021, RFC 6164).
func networkExclusions(node string, subnets, gateways []string) (all []exclusion) {
	one := func(a netip.Addr, what string) {
		all = append(all, exclusion{ipam.Range{From: a, To: a}, what})
	}
	for _, text := range subnets {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().BitLen()-p.Bits() < 2 {
			continue
		}
		r := ipam.PrefixRange(p.Masked())
		if r.From.Is6() {
			one(r.From, "the anycast address of the routers in "+text)
			continue
		}
		one(r.From, "the network address of "+text)
		one(r.To, "the broadcast address of "+text)
	}
	for _, text := range gateways {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			one(a.Unmap(), "a gateway of node "+node)
		}
	}
	return all
}

// status counts the reports.
func (sp *speakers) status() SpeakersStatus {
	nodes, _ := sp.view()
	awaited := sp.awaited()
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return SpeakersStatus{Reports: len(sp.nodes), Counted: len(nodes), Awaited: awaited}
}
