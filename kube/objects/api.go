package objects

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// APIService is the key of the Service of the API server, which every cluster has.
const APIService = metav1.NamespaceDefault + "/kubernetes"

// APIServer returns where that Service is reached inside the cluster, at each of its ClusterIPs; nothing of any other
// Service.
func APIServer(o *corev1.Service) []netip.AddrPort {
	if o.Namespace+"/"+o.Name != APIService || len(o.Spec.Ports) == 0 {
		return nil
	}
	var out []netip.AddrPort
	for _, text := range o.Spec.ClusterIPs {
		if a, err := netip.ParseAddr(text); err == nil { // "None" is none
			out = append(out, netip.AddrPortFrom(a.Unmap(), uint16(o.Spec.Ports[0].Port)))
		}
	}
	return out
}
