package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/kube/objects"
)

// sharing gives a Service the sharing key "k" and these TCP ports.
func sharing(ports ...int32) func(*corev1.Service) {
	return func(s *corev1.Service) {
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[objects.Prefix+"allow-shared-ip"] = "k"
		s.Spec.Ports = nil
		for _, p := range ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Protocol: corev1.ProtocolTCP, Port: p})
		}
	}
}

func local(s *corev1.Service) {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func TestShares(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/30"))
		c.start("a")
		c.add("http", sharing(80))
		settle()
		c.add("https", sharing(443))
		settle()
		c.add("http-too", sharing(80))
		settle()
		c.add("local", sharing(81), local)
		settle()
		c.add("alone")
		settle()
		c.want("http", "10.0.0.0 Allocated")
		c.want("https", "10.0.0.0 Allocated")
		c.want("http-too", "10.0.0.1 Allocated")
		c.want("local", "10.0.0.2 Allocated")
		c.want("alone", "10.0.0.3 Allocated")
		// Who breaks it by a change of its own has to go, and finds the others' address beside its key.
		c.change("https", sharing(80, 443))
		c.want("http", "10.0.0.0 Allocated")
		c.want("https", "- PoolExhausted")
		c.change("https", sharing(443))
		c.want("https", "10.0.0.0 Allocated")
		c.remove("http")
		c.want("https", "10.0.0.0 Allocated")
	})
}

// The address that a Service asks for is given to it as far as it fits with those who have it.
func TestSharesOnRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		c.start("a")
		c.add("http", asks("metallb.io/loadBalancerIPs", "10.0.0.9"), sharing(80))
		settle()
		c.add("https", asks("metallb.io/loadBalancerIPs", "10.0.0.9"), sharing(443))
		settle()
		c.add("http-too", asks("metallb.io/loadBalancerIPs", "10.0.0.9"), sharing(80))
		c.add("no-key", asks("metallb.io/loadBalancerIPs", "10.0.0.9"))
		settle()
		c.want("http", "10.0.0.9 Allocated")
		c.want("https", "10.0.0.9 Allocated")
		c.want("http-too", "- SharingConflict")
		c.want("no-key", "- AddressInUse")
		c.remove("http")
		c.want("http-too", "10.0.0.9 Allocated")
	})
}

// What shares an address when a controller starts goes on sharing it; of two that do not fit the older keeps it.
func TestAdoptsShared(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		c.add("http", sharing(80), shows("Allocated", "10.0.0.7"))
		c.add("https", sharing(443), shows("Allocated", "10.0.0.7"))
		c.add("local", sharing(81), local, shows("Allocated", "10.0.0.7"))
		c.start("a")
		c.want("http", "10.0.0.7 Allocated")
		c.want("https", "10.0.0.7 Allocated")
		c.want("local", "10.0.0.0 Allocated")
	})
}

func TestQuota(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure("address_pools: [{name: main, protocol: layer2, addresses: [10.0.0.0/24], max_per_namespace: 1}]\n")
		c.start("a")
		c.add("first", sharing(80))
		settle()
		c.add("second")
		settle()
		c.add("beside", sharing(81)) // a shared address counts once
		settle()
		c.want("first", "10.0.0.0 Allocated")
		c.want("second", "- QuotaExceeded")
		c.want("beside", "10.0.0.0 Allocated")
		c.wantEvents("second", "QuotaExceeded")
		c.remove("first")
		c.want("second", "- QuotaExceeded")
		c.remove("beside")
		c.want("second", "10.0.0.1 Allocated") // the one that was released just now cools
	})
}
