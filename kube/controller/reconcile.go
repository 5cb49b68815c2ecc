package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/objects"
)

func (c *Controller) work(ctx context.Context) {
	for {
		key, stop := c.queue.Get()
		if stop {
			return
		}
		err := c.reconcile(ctx, key)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			c.queue.Forget(key)
		default:
			if !apierrors.IsConflict(err) { // a conflict means that the cache is about to learn something
				c.log.Warn("writing a Service's status", zap.String("service", key), zap.Error(err))
			}
			c.queue.AddRateLimited(key)
		}
		c.queue.Done(key)
	}
}

// reconcile brings the allocator and the status of one Service in line with its spec.
func (c *Controller) reconcile(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.mu.Lock()
	allocator, cfg := c.allocator, c.config
	c.mu.Unlock()
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return nil
	}
	o, err := c.services.Services(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		c.enqueue(allocator.Release(ipam.Owner(key)), key)
		return nil
	}
	if err != nil {
		return err
	}
	s := objects.FromService(o)
	if !s.Handled {
		c.enqueue(allocator.Release(ipam.Owner(key)), key)
		if s.Allocated == nil {
			return nil
		}
		// Where somebody else wrote the addresses, only our condition goes.
		return c.patch(ctx, s, status{clear: true, keep: s.Allocated.Reason == reasonForeign})
	}
	if foreign(s, *cfg) {
		c.enqueue(allocator.Release(ipam.Owner(key)), key)
		return c.write(ctx, o, s, status{keep: true, reason: reasonForeign,
			message: "the status holds an address that is in none of our pools and was not written by us; it is left alone"})
	}
	if s.Problem == nil {
		c.enqueue(allocator.Assign(request(s)), key)
	}
	return c.write(ctx, o, s, wanted(s, allocator))
}

// reasonForeign is the condition's reason on a Service whose status somebody else wrote.
const reasonForeign = "ForeignStatus"

// foreign says that somebody else wrote the status: an entry of it is in none of our pools, and it does not
// carry our condition.
func foreign(s objects.Service, cfg config.Config) bool {
	if s.Allocated != nil && s.Allocated.Reason != reasonForeign {
		return false
	}
	if s.Foreign > 0 {
		return true
	}
	for _, a := range s.Status {
		if !inPools(cfg, a) {
			return true
		}
	}
	return false
}

func inPools(cfg config.Config, a netip.Addr) bool {
	return slices.ContainsFunc(cfg.Pools, func(p config.Pool) bool { return p.Contains(a) })
}

func request(s objects.Service) ipam.Request {
	return ipam.Request{
		Owner: ipam.Owner(s.Key()), Families: s.Families, Pool: s.Pool, Addresses: s.Requested,
		Created: s.Created, Since: s.Created,
	}
}

// status is what a Service's status is to say of us.
type status struct {
	addrs           []netip.Addr
	allocated       bool
	reason, message string
	keep            bool // leave the addresses in it as they are
	clear           bool // take our condition away
}

// wanted turns the allocator's answer into a status.
func wanted(s objects.Service, allocator *ipam.Allocator) status {
	got, err := allocator.Lookup(ipam.Owner(s.Key()))
	if got.Pool == "" {
		if s.Problem != nil {
			err = s.Problem
		}
		if err == nil {
			err = errors.New("the Service has not asked for an address yet")
		}
		reason := ipam.Reason(err)
		if reason == "" {
			reason = "InvalidRequest"
		}
		return status{reason: reason, message: err.Error()}
	}
	w := status{allocated: true, reason: "Allocated", addrs: ordered(s, got)}
	w.message = fmt.Sprintf("%s from pool %q", join(w.addrs), got.Pool)
	if s.Problem != nil {
		err = s.Problem
	}
	if err != nil { // it keeps what it has, although it asks for something else
		w.message += "; " + err.Error()
	}
	return w
}

// ordered returns the addresses with the Service's primary family first.
func ordered(s objects.Service, a ipam.Assignment) []netip.Addr {
	addrs := a.Addrs()
	if len(addrs) == 2 && s.PrimaryV6 {
		addrs[0], addrs[1] = addrs[1], addrs[0]
	}
	return addrs
}

func join(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// write sends the status when the Service does not show it yet, and tells of a transition by an Event.
func (c *Controller) write(ctx context.Context, o *corev1.Service, s objects.Service, want status) error {
	if want.shownBy(s) {
		return nil
	}
	if err := c.patch(ctx, s, want); err != nil {
		return err
	}
	eventType := corev1.EventTypeWarning
	if want.allocated {
		eventType = corev1.EventTypeNormal
	}
	c.log.Info("status written", zap.String("service", s.Key()), zap.String("reason", want.reason), zap.String("message", want.message))
	about := corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
	if err := c.events.Post(ctx, about, eventType, want.reason, want.message); err != nil {
		c.log.Warn("telling of a status", zap.Error(err)) // the status itself says it too
	}
	return nil
}

func (c *Controller) patch(ctx context.Context, s objects.Service, want status) error {
	_, err := c.opts.Client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, types.StrategicMergePatchType,
		patchOf(s, want, metav1.Now()), metav1.PatchOptions{FieldManager: "network-lb-controller"}, "status")
	if apierrors.IsNotFound(err) {
		return nil // it is gone, and the cache will say so
	}
	return err
}
