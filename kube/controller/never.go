package controller

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	networkinginformers "k8s.io/client-go/informers/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/objects"
)

// stripNode leaves of a Node what is read: its addresses and those of its Pods.
func stripNode(o any) (any, error) {
	if n, ok := o.(*corev1.Node); ok {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion},
			Spec:       corev1.NodeSpec{PodCIDRs: n.Spec.PodCIDRs},
			Status:     corev1.NodeStatus{Addresses: n.Status.Addresses},
		}, nil
	}
	return o, nil
}

// nodeHandler has looked at what is never assigned when a Node is new, gone, or has other addresses.
func (c *Controller) nodeHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { c.rangesChanged() }, DeleteFunc: func(any) { c.rangesChanged() },
		UpdateFunc: func(before, after any) {
			b, ok := before.(*corev1.Node)
			a, ok2 := after.(*corev1.Node)
			if ok && ok2 && !reflect.DeepEqual(objects.NodeRanges(b), objects.NodeRanges(a)) {
				c.rangesChanged()
			}
		},
	}
}

func (c *Controller) rangesChanged() {
	select {
	case c.ranges <- struct{}{}:
	default:
	}
}

// followCIDRs follows the ranges of ClusterIPs, where the API server has such objects (Kubernetes 1.33), and returns
// when they are known.
func (c *Controller) followCIDRs(ctx context.Context) {
	for ctx.Err() == nil {
		served, err := c.opts.Client.Discovery().ServerResourcesForGroupVersion("networking.k8s.io/v1")
		if err == nil || apierrors.IsNotFound(err) {
			if served == nil || !slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Name == "servicecidrs" }) {
				return
			}
			break
		}
		c.log.Warn("asking for the API server's resources", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(retryPeriod):
		}
	}
	informer := networkinginformers.NewServiceCIDRInformer(c.opts.Client, 0, nil)
	changed := func(any) { c.rangesChanged() }
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails only where an informer has ended
		AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed,
	})
	c.mu.Lock()
	c.cidrs = informer.GetStore()
	c.mu.Unlock()
	go informer.RunWithContext(ctx)
	cache.WaitForCacheSync(ctx.Done(), informer.HasSynced)
}

// exclusion is a range of addresses that are never assigned, and what they are.
type exclusion struct {
	ipam.Range
	what string
}

func (e exclusion) compare(o exclusion) int {
	return cmp.Or(e.From.Compare(o.From), e.To.Compare(o.To), cmp.Compare(e.what, o.what))
}

// exclusions returns what is never assigned, in order, each range once: addresses of Nodes, Pods and ClusterIPs, the
// subnet-router anycast addresses of the pools, and what the speakers see of the nodes' networks.
func (c *Controller) exclusions(cfg config.Config) []exclusion {
	all := c.speakers.never()
	add := func(what string, ranges []ipam.Range) {
		for _, r := range ranges {
			all = append(all, exclusion{r, what})
		}
	}
	add("the anycast address of an IPv6 subnet's routers", cfg.AnycastAddresses())
	for _, o := range c.nodes.GetStore().List() {
		if n, ok := o.(*corev1.Node); ok {
			add("node "+n.Name+"'s own, or of its Pods", objects.NodeRanges(n))
		}
	}
	c.mu.Lock()
	cidrs := c.cidrs
	c.mu.Unlock()
	if cidrs != nil {
		for _, o := range cidrs.List() {
			if s, ok := o.(*networkingv1.ServiceCIDR); ok {
				add("in ServiceCIDR "+s.Name, objects.ServiceRanges(s))
			}
		}
	}
	slices.SortFunc(all, exclusion.compare)
	return slices.CompactFunc(all, func(a, b exclusion) bool { return a.Range == b.Range })
}

// never returns the addresses that are not assigned now: those that never are, and those in quarantine.
func (c *Controller) never(cfg config.Config) (ranges []ipam.Range) {
	for _, e := range c.exclusions(cfg) {
		ranges = append(ranges, e.Range)
	}
	return append(ranges, c.quarantine.ranges()...)
}

// exclude keeps what is never assigned up to date until ctx ends, and so what is not because another machine has it. It
// also ends the wait for the speakers' first reports, once what they say is never assigned.
func (c *Controller) exclude(ctx context.Context) {
	warned := map[string]bool{}
	var told []unassignable // nil: nothing was looked at yet
	for {
		var again <-chan time.Time
		if end := c.quarantine.end(); !end.IsZero() {
			again = time.After(time.Until(end))
		}
		if c.awaiting() {
			again = time.After(spreadInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.ranges:
		case <-again:
		}
		awaited := c.speakers.awaited() // before their reports are read
		c.gate.RLock()
		cfg := c.known().force.Config
		all := c.exclusions(cfg)
		var err error
		c.handOver("", func() (changes []ipam.Change) {
			if changes, err = c.current().SetNever(c.never(cfg)); err != nil {
				return changes
			}
			return append(changes, c.attend(cfg)...)
		})
		c.gate.RUnlock()
		if err != nil {
			c.log.Error("excluding the cluster's own addresses", zap.Error(err))
		}
		c.warn(cfg, all, warned)
		told = c.tellUnassignable(cfg, all, told)
		c.reporting().ask(false)
		if !awaited {
			c.proceed()
		}
	}
}

// warn says once of each of a pool's addresses that it is never assigned.
func (c *Controller) warn(cfg config.Config, all []exclusion, warned map[string]bool) {
	for _, p := range cfg.Pools {
		for _, e := range all {
			text := p.Name + " " + e.String()
			if !warned[text] && slices.ContainsFunc(p.Ranges, e.Overlaps) {
				warned[text] = true
				c.log.Warn("never assigned, although in a pool",
					zap.String("pool", p.Name), zap.Stringer("addresses", e), zap.String("being", e.what))
			}
		}
	}
}
