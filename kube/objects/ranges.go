package objects

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/kontena/network-lb/ipam"
)

// NodeRanges returns the addresses that a Node has for itself and for its Pods.
func NodeRanges(o *corev1.Node) []ipam.Range {
	var all []ipam.Range
	for _, a := range o.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && ip.Zone() == "" { // others are names
			all = append(all, ipam.Range{From: ip.Unmap(), To: ip.Unmap()})
		}
	}
	return append(all, prefixes(o.Spec.PodCIDRs)...)
}

// ServiceRanges returns the addresses of ClusterIPs.
func ServiceRanges(o *networkingv1.ServiceCIDR) []ipam.Range { return prefixes(o.Spec.CIDRs) }

func prefixes(texts []string) (all []ipam.Range) {
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, ipam.PrefixRange(p))
		}
	}
	return all
}
