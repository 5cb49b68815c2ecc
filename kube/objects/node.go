package objects

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/announce"
)

// DrainAnnotation has a Node emptied, whatever its value, but for an empty one and "false".
const DrainAnnotation = Prefix + "drain"

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
	n.Weight, _ = NodeWeight(o) // its error is for who reports it
	n.Drain = o.Annotations[DrainAnnotation] != "" && o.Annotations[DrainAnnotation] != "false"
	for _, t := range o.Spec.Taints {
		n.Taints = append(n.Taints, t.Key)
	}
	n.OutOfService = slices.ContainsFunc(o.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
	return n
}

// SpeakerNode returns the node of a speaker Pod, whatever becomes of it; empty: it has none yet, or has ended.
func SpeakerNode(o *corev1.Pod) string {
	if o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed {
		return ""
	}
	return o.Spec.NodeName
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
