package controller

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/objects"
)

// byAddress is the cache's index of the Services whose status may be ours, by the addresses in it.
const byAddress = "address"

func shownAddresses(o any) ([]string, error) {
	svc, ok := o.(*corev1.Service)
	if !ok {
		return nil, nil
	}
	s := objects.FromService(svc)
	if s.Allocated == nil && !s.LoadBalancer || s.Allocated != nil && s.Allocated.Reason == reasonForeign {
		return nil, nil
	}
	var keys []string
	for _, a := range s.Status {
		keys = append(keys, a.String())
	}
	return keys, nil
}

// errShown is the error of an address that another Service still shows.
var errShown = errors.New("the address is not let go of yet")

// elsewhere returns an error while the status of another Service, with which it does not share, shows one of the
// addresses that the Service is to show. It is written only when that one has let go of it: were this process to end
// between the two writes, its successor could not know whose it is.
func (c *Controller) elsewhere(addrs []netip.Addr, s objects.Service, allocator *ipam.Allocator) error {
	for _, a := range addrs {
		if slices.Contains(s.Status, a) {
			continue
		}
		keys, err := c.informer.GetIndexer().IndexKeys(byAddress, a.String())
		if err != nil {
			return fmt.Errorf("reading the cache: %w", err)
		}
		for _, key := range keys {
			// Who waits or is not known has none. Who has it too shares it.
			other, _ := allocator.Lookup(ipam.Owner(key))
			if key != s.Key() && !slices.Contains(other.Addrs(), a) && c.concerns(key, allocator) {
				return fmt.Errorf("%s is still in the status of %s: %w", a, key, errShown)
			}
		}
	}
	return nil
}

// concerns says that what a Service shows is our business: it is handled, was so until now, or is no longer of type
// LoadBalancer. One of another class may show what it likes.
func (c *Controller) concerns(key string, allocator *ipam.Allocator) bool {
	o, found, err := c.informer.GetStore().GetByKey(key)
	svc, ok := o.(*corev1.Service)
	if err != nil || !found || !ok {
		return false
	}
	s := objects.FromService(svc)
	return s.Handled(c.class()) || !s.LoadBalancer || s.Allocated != nil && !c.stranger(s, allocator)
}
