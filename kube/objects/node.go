package objects

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/announce"
)

// FromNode translates a Node. Whether a speaker runs there is not for the Node to say: see Speaker.
func FromNode(o *corev1.Node) announce.Node {
	n := announce.Node{Name: o.Name, Labels: o.Labels}
	for _, a := range o.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			n.InternalIPs = append(n.InternalIPs, ip.Unmap())
		}
	}
	for _, c := range o.Status.Conditions {
		switch c.Type {
		case corev1.NodeReady:
			n.Ready = c.Status == corev1.ConditionTrue
		case corev1.NodeNetworkUnavailable:
			n.NetworkUnavailable = c.Status == corev1.ConditionTrue
		}
	}
	n.OutOfService = slices.ContainsFunc(o.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
	return n
}

// Speaker returns the node on which a speaker Pod is able to announce: it is Ready and not on its way out.
// Empty where it is not.
func Speaker(o *corev1.Pod) (node string) {
	if o.DeletionTimestamp != nil {
		return ""
	}
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return o.Spec.NodeName
		}
	}
	return ""
}
