package speaker

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/kube/api"
)

const (
	// slotInterval is how often is asked for a slot, and slotTimeout how long that may take.
	slotInterval = 2 * time.Second
	slotTimeout  = 3 * time.Second
)

// slots are what nodes drain by, so that no more do so at a time than are to: Leases, each of which one node has. A node
// takes one for as long as its drain may take, and does not renew it. One that is not given back by then, because its
// speaker is no more, is free again: when it has stood unchanged for that long by the clock of who wants it.
type slots struct {
	leases api.Objects[*coordinationv1.Lease, *coordinationv1.LeaseList]
	name   string // of the Leases, without -0, -1 ...
	node   string
	seen   map[string]sighting // by the Lease's name
}

// sighting is a Lease as it was first seen.
type sighting struct {
	version string
	at      time.Time
}

// take takes one of count slots, for length at most. Where none is free it returns which nodes have them, and with an
// error what kept it from finding out.
func (s *slots) take(ctx context.Context, count int, length time.Duration) (taken bool, holders []string, err error) {
	var free *coordinationv1.Lease
	var errs []error
	for i := range count {
		lease, err := s.leases.Get(ctx, fmt.Sprintf("%s-%d", s.name, i), metav1.GetOptions{})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		switch holder := holderOf(lease); {
		case holder == s.node:
			return s.hold(ctx, lease, length)
		case holder == "" || s.expired(lease):
			free = lease
		default:
			holders = append(holders, holder)
		}
	}
	if free == nil {
		return false, holders, errors.Join(errs...)
	}
	return s.hold(ctx, free, length)
}

// hold writes this node into a Lease, unless another one was faster.
func (s *slots) hold(ctx context.Context, lease *coordinationv1.Lease, length time.Duration) (taken bool, holders []string, err error) {
	now, seconds := metav1.NowMicro(), int32(length.Seconds())+1
	lease = lease.DeepCopy()
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = &s.node, &seconds
	lease.Spec.AcquireTime, lease.Spec.RenewTime = &now, &now
	_, err = s.leases.Update(ctx, lease, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return false, nil, nil // the next try sees by whom
	}
	return err == nil, nil, err
}

// release gives back what this node has of count slots.
func (s *slots) release(ctx context.Context, count int) error {
	var errs []error
	for i := range count {
		lease, err := s.leases.Get(ctx, fmt.Sprintf("%s-%d", s.name, i), metav1.GetOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			continue // there are fewer now, and the chart's Role has no more
		}
		if err == nil && holderOf(lease) == s.node {
			lease = lease.DeepCopy()
			lease.Spec = coordinationv1.LeaseSpec{}
			_, err = s.leases.Update(ctx, lease, metav1.UpdateOptions{})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// expired reports whether a Lease has stood as it is for longer than its holder has it.
func (s *slots) expired(lease *coordinationv1.Lease) bool {
	if s.seen == nil {
		s.seen = map[string]sighting{}
	}
	if before, seen := s.seen[lease.Name]; !seen || before.version != lease.ResourceVersion {
		s.seen[lease.Name] = sighting{lease.ResourceVersion, time.Now()}
	}
	seconds := lease.Spec.LeaseDurationSeconds
	return seconds == nil || time.Since(s.seen[lease.Name].at) > time.Duration(*seconds)*time.Second
}

func holderOf(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
