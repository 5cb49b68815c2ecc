package objects

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kontena/network-lb/ipam"
)

// share says with whom the Service may share an address: nobody, unless it carries a sharing key.
func share(o *corev1.Service) ipam.Share {
	_, key := annotation(o, sharingAnnotations)
	if key == "" {
		return ipam.Share{}
	}
	s := ipam.Share{Key: key, Local: o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal}
	if len(o.Spec.Selector) > 0 { // it selects Pods of its own namespace
		s.Backends = o.Namespace + "/" + labels.Set(o.Spec.Selector).String() // sorted by key
	}
	for _, p := range o.Spec.Ports {
		protocol := p.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		s.Ports = append(s.Ports, ipam.Port{Protocol: string(protocol), Number: uint16(p.Port)})
	}
	return s
}
