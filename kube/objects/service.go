// Package objects turns Kubernetes objects into the plain values that the rest of the project works with:
// each object once, on arrival, and nothing of Kubernetes' types goes further.
package objects

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/ipam"
)

// Prefix starts the names of the annotations and conditions that are ours.
const Prefix = "network-lb.kontena.io/"

// Conditions of ours on a Service: whether it has an address from our pools, and whether somebody announces it; and why
// not.
const (
	ConditionAllocated = Prefix + "Allocated"
	ConditionAnnounced = Prefix + "Announced"
)

// Annotations by which a Service asks for something: ours first, then MetalLB's, new and old, so that a manifest
// written for it keeps working.
var (
	poolAnnotations      = []string{Prefix + "address-pool", "metallb.io/address-pool", "metallb.universe.tf/address-pool"}
	addressesAnnotations = []string{Prefix + "load-balancer-ips", "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"}
	rebalanceAnnotations = []string{Prefix + "rebalance"}
	sharingAnnotations   = []string{Prefix + "allow-shared-ip", "metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"}
)

// Service is a Service as the controller and the speaker see it.
type Service struct {
	Namespace, Name string
	UID             types.UID
	ResourceVersion string
	Created         time.Time
	// LoadBalancer says that the Service is of that type, and Class which implementation it names; empty: none.
	LoadBalancer bool
	Class        string
	// Local is externalTrafficPolicy: Local.
	Local bool
	// PrimaryV6 says that the first of its families is IPv6.
	PrimaryV6 bool
	// Families are those the Service has or asks for, and Pool and Requested what its annotations and
	// spec.loadBalancerIP ask for; no address where one cannot be read. Problem says what cannot be read; nil when all
	// is well.
	Families  ipam.Families
	Pool      string
	Requested []netip.Addr
	Problem   error
	// Share says with whom it may share an address; zero where it has no sharing key.
	Share ipam.Share
	// Rebalance is a word; another one than before moves its addresses to the nodes that come first for them.
	Rebalance string
	// Labels are those of the object, not to be changed.
	Labels map[string]string
	// Status are the addresses in its status; Foreign counts entries there that are no addresses.
	Status  []netip.Addr
	Foreign int
	// Allocated and Announced are our conditions; nil when the Service does not carry them.
	Allocated, Announced *Condition
}

// Condition is a condition as far as it is compared.
type Condition struct {
	True            bool
	Reason, Message string
}

// Names reports whether a message is about an address that the condition is True for. The message of a condition of ours
// begins each sentence with the address that it is about.
func (c *Condition) Names(a netip.Addr) bool {
	return c != nil && c.True && slices.ContainsFunc(strings.Split(c.Message, "; "), func(sentence string) bool {
		about, said, _ := strings.Cut(sentence, " ")
		return about == a.String() && strings.HasPrefix(said, "is announced ") && !strings.Contains(said, " by nobody")
	})
}

// Key is the Service's name in the allocator, in logs and in reports: "namespace/name".
func (s Service) Key() string { return s.Namespace + "/" + s.Name }

// Handled says that the Service is for the installation of this class; empty: for the one without a class.
func (s Service) Handled(class string) bool { return s.LoadBalancer && s.Class == class }

// FromService translates a Service.
func FromService(o *corev1.Service) Service {
	s := Service{
		Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion,
		Created: o.CreationTimestamp.Time, Labels: o.Labels,
		LoadBalancer: o.Spec.Type == corev1.ServiceTypeLoadBalancer,
		Local:        o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
	}
	for _, in := range o.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil {
			s.Status = append(s.Status, a.Unmap())
		} else {
			s.Foreign++
		}
	}
	for _, c := range o.Status.Conditions {
		condition := &Condition{True: c.Status == "True", Reason: c.Reason, Message: c.Message}
		switch c.Type {
		case ConditionAllocated:
			s.Allocated = condition
		case ConditionAnnounced:
			s.Announced = condition
		}
	}
	if o.Spec.LoadBalancerClass != nil {
		s.Class = *o.Spec.LoadBalancerClass
	}
	if s.LoadBalancer {
		s.PrimaryV6 = len(o.Spec.IPFamilies) > 0 && o.Spec.IPFamilies[0] == corev1.IPv6Protocol
		s.Families, s.Problem = families(o.Spec)
		_, s.Pool = annotation(o, poolAnnotations)
		_, s.Rebalance = annotation(o, rebalanceAnnotations)
		s.Share = share(o)
		if err := s.request(o); err != nil && s.Problem == nil {
			s.Problem = err
		}
	}
	return s
}

// request reads the addresses that the Service asks for.
func (s *Service) request(o *corev1.Service) error {
	source, list := annotation(o, addressesAnnotations)
	if list == "" {
		source, list = "spec.loadBalancerIP", o.Spec.LoadBalancerIP
	}
	if list == "" {
		return nil
	}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		a, err := netip.ParseAddr(part)
		if err != nil || a.Zone() != "" {
			s.Requested = nil
			return fmt.Errorf("%s: %q is not an IP address; give one address for each family, such as \"10.0.0.5\" or \"10.0.0.5,fd00::5\"", source, part)
		}
		s.Requested = append(s.Requested, a.Unmap())
	}
	return nil
}

// annotation returns the first of the annotations that the Service carries with a value.
func annotation(o *corev1.Service, names []string) (name, value string) {
	for _, name := range names {
		if v := strings.TrimSpace(o.Annotations[name]); v != "" {
			return name, v
		}
	}
	return "", ""
}

// families says which families the Service has or asks for. The API server has filled in spec.ipFamilies, so
// that the policy says only whether a second one is a must.
func families(spec corev1.ServiceSpec) (ipam.Families, error) {
	var v4, v6 bool
	for _, f := range spec.IPFamilies {
		v4 = v4 || f == corev1.IPv4Protocol
		v6 = v6 || f == corev1.IPv6Protocol
	}
	require := spec.IPFamilyPolicy != nil && *spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack
	switch {
	case v4 && v6 && require:
		return ipam.RequireDual, nil
	case v4 && v6 && spec.IPFamilies[0] == corev1.IPv6Protocol:
		return ipam.PreferDualIPv6, nil
	case v4 && v6:
		return ipam.PreferDualIPv4, nil
	case v6:
		return ipam.SingleIPv6, nil
	case v4:
		return ipam.SingleIPv4, nil
	}
	return 0, fmt.Errorf("spec.ipFamilies: it names neither IPv4 nor IPv6, although the API server fills it in")
}
