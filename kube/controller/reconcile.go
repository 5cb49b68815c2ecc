package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/objects"
)

func (c *Controller) work(ctx context.Context) {
	for {
		key, stop := c.queue.Get()
		if stop {
			return
		}
		began := time.Now()
		err := c.reconcile(ctx, key)
		c.counts.timed(began)
		switch {
		case ctx.Err() != nil:
		case err == nil, apierrors.IsNotFound(err): // it is gone, and the cache will say so
			c.queue.Forget(key)
		default:
			// A conflict or an address not let go of yet means that the cache is about to learn something.
			if !apierrors.IsConflict(err) && !errors.Is(err, errShown) {
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
	allocator := c.current()
	o, found, err := c.informer.GetStore().GetByKey(key)
	if err != nil {
		return fmt.Errorf("reading the cache: %w", err)
	}
	svc, ok := o.(*corev1.Service)
	if !found || !ok {
		c.letGo(allocator, key)
		return nil
	}
	s := objects.FromService(svc)
	if !s.Handled(c.class()) {
		return c.leave(ctx, s, allocator)
	}
	labels, known := c.space(s.Namespace)
	if !known {
		return nil // its Namespace is about to be known, and then it is queued again
	}
	if len(s.Status) == 0 && c.awaiting() {
		return nil // the first reports are about to be known, and then it is queued again
	}
	c.ask(holding(s, labels, allocator), allocator)
	if foreign(s, allocator) {
		return c.write(ctx, s, status{keep: true, reason: reasonForeign,
			message: "the status holds an address that is in none of our pools and was not written by us; it is left alone"})
	}
	want := wanted(s, allocator)
	if shown := c.elsewhere(want.addrs, s, allocator); shown != nil {
		// What is to go from this status goes meanwhile, or two that exchange addresses would wait for each other.
		if less := want.without(s, shown); len(less.addrs) < len(s.Status) {
			if err := c.write(ctx, s, less); err != nil {
				return err
			}
		}
		return shown
	}
	if err := c.write(ctx, s, want); err != nil || !want.shownBy(s) {
		return err // once it is written, it is looked at again
	}
	return c.announcement(ctx, s)
}

// leave lets go of a Service that is not handled, or no longer. One of another class is another installation's, unless
// it had its address from here. The address is kept for it until its status shows it no more.
func (c *Controller) leave(ctx context.Context, s objects.Service, allocator *ipam.Allocator) error {
	if s.Allocated != nil && !(s.LoadBalancer && c.stranger(s, allocator)) {
		// Where somebody else wrote the addresses, only our condition goes.
		keep := s.Allocated.Reason == reasonForeign
		if err := c.patch(ctx, s, status{clear: true, keep: keep}); err != nil {
			return err
		}
		if s.LoadBalancer && !keep && len(s.Status) > 0 {
			c.events.Post(referTo(s), corev1.EventTypeWarning, "AddressLost", lostMessage(s.Status, classError{s.Class, c.class()}))
		}
	}
	c.letGo(allocator, s.Key())
	return nil
}

// stranger says that a Service of another class has never had anything from this installation.
func (c *Controller) stranger(s objects.Service, allocator *ipam.Allocator) bool {
	if leaving := c.known().force.Leaving; leaving != nil && s.Class == *leaving {
		return false
	}
	_, err := allocator.Lookup(ipam.Owner(s.Key()))
	return errors.Is(err, ipam.ErrUnknownOwner)
}

// ask tells the allocator what a Service asks for. One that is new to it may have an address already.
func (c *Controller) ask(h ipam.Holding, allocator *ipam.Allocator) {
	c.gate.RLock()
	defer c.gate.RUnlock()
	c.handOver(string(h.Owner), func() []ipam.Change {
		if _, err := allocator.Lookup(h.Owner); errors.Is(err, ipam.ErrUnknownOwner) {
			return allocator.Adopt([]ipam.Holding{h})
		}
		return allocator.Assign(h.Request)
	})
}

// letGo tells the allocator that a Service needs no address any more.
func (c *Controller) letGo(allocator *ipam.Allocator, key string) {
	c.gate.RLock()
	defer c.gate.RUnlock()
	c.mu.Lock()
	delete(c.lost, key)
	delete(c.doubts, key)
	c.mu.Unlock()
	c.handOver(key, func() []ipam.Change { return allocator.Release(ipam.Owner(key)) })
}

// reasonForeign is the condition's reason on a Service whose status somebody else wrote.
const reasonForeign = "ForeignStatus"

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
	if s.Problem != nil {
		err = s.Problem
	}
	if got.Pool == "" {
		reason := ipam.Reason(err)
		if reason == "" {
			reason = ipam.InvalidRequest
		}
		return status{reason: reason, message: fmt.Sprint(err)}
	}
	w := status{allocated: true, reason: "Allocated", addrs: ordered(s, got)}
	w.message = fmt.Sprintf("%s from pool %q", join(w.addrs), got.Pool)
	if err != nil { // it keeps what it has, although it asks for something else
		w.message += "; " + err.Error()
	}
	return w
}

// without returns a status with only those of its addresses that the Service shows already, and why.
func (w status) without(s objects.Service, why error) status {
	w.addrs = slices.DeleteFunc(slices.Clone(w.addrs), func(a netip.Addr) bool { return !slices.Contains(s.Status, a) })
	w.message = why.Error()
	if len(w.addrs) == 0 {
		w.allocated, w.reason = false, ipam.AddressInUse
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
func (c *Controller) write(ctx context.Context, s objects.Service, want status) error {
	lost := c.whyLost(s.Key())
	if want.shownBy(s) {
		return nil
	}
	c.reporting().wait(ctx) // what was released before is remembered before it is given away
	if err := c.patch(ctx, s, want); err != nil {
		if lost != nil {
			c.mu.Lock()
			c.lost[s.Key()] = lost
			c.mu.Unlock()
		}
		return err
	}
	eventType := corev1.EventTypeWarning
	if want.allocated {
		eventType = corev1.EventTypeNormal
	}
	c.log.Info("status written", zap.String("service", s.Key()), zap.String("reason", want.reason), zap.String("message", want.message))
	about := referTo(s)
	gone := slices.DeleteFunc(slices.Clone(s.Status), func(a netip.Addr) bool { return slices.Contains(want.addrs, a) })
	if lost != nil && len(gone) > 0 && !want.keep {
		c.events.Post(about, corev1.EventTypeWarning, "AddressLost", lostMessage(gone, lost))
	}
	c.events.Post(about, eventType, want.reason, want.message)
	return nil
}

func (c *Controller) patch(ctx context.Context, s objects.Service, want status) error {
	_, err := c.opts.Client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, types.StrategicMergePatchType,
		patchOf(s, want, metav1.Now()), metav1.PatchOptions{FieldManager: "network-lb-controller"}, "status")
	return c.counts.failed(writingStatus, err)
}

func referTo(s objects.Service) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion}
}

// whyLost returns why a Service has lost an address since it was told last; nil: it has not.
func (c *Controller) whyLost(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	why := c.lost[key]
	delete(c.lost, key)
	return why
}

func lostMessage(gone []netip.Addr, why error) string {
	return fmt.Sprintf("%s is the Service's no longer: %s", join(gone), why)
}
