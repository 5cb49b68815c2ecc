package objects

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/ipam"
)

func service(change func(*corev1.Service)) Service {
	o := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web", Annotations: map[string]string{}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
	}
	if change != nil {
		change(o)
	}
	return FromService(o)
}

func TestHandled(t *testing.T) {
	class := "example.com/other"
	for name, tt := range map[string]struct {
		change func(*corev1.Service)
		want   bool
	}{
		"load balancer":      {nil, true},
		"cluster IP":         {func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeClusterIP }, false},
		"somebody's class":   {func(o *corev1.Service) { o.Spec.LoadBalancerClass = &class }, false},
		"waits for deletion": {func(o *corev1.Service) { o.DeletionTimestamp = &metav1.Time{} }, true},
	} {
		if got := service(tt.change).Handled(""); got != tt.want {
			t.Errorf("%s: Handled = %v, want %v", name, got, tt.want)
		}
		if got := service(tt.change).Handled(class); got != (name == "somebody's class") {
			t.Errorf("%s: Handled(%q) = %v", name, class, got)
		}
	}
}

func TestFamilies(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	for _, tt := range []struct {
		families []corev1.IPFamily
		policy   corev1.IPFamilyPolicy
		want     ipam.Families
	}{
		{[]corev1.IPFamily{v4}, corev1.IPFamilyPolicySingleStack, ipam.SingleIPv4},
		{[]corev1.IPFamily{v6}, corev1.IPFamilyPolicySingleStack, ipam.SingleIPv6},
		{[]corev1.IPFamily{v4}, corev1.IPFamilyPolicyPreferDualStack, ipam.SingleIPv4}, // the cluster has no more
		{[]corev1.IPFamily{v4, v6}, corev1.IPFamilyPolicyPreferDualStack, ipam.PreferDualIPv4},
		{[]corev1.IPFamily{v6, v4}, corev1.IPFamilyPolicyPreferDualStack, ipam.PreferDualIPv6},
		{[]corev1.IPFamily{v6, v4}, corev1.IPFamilyPolicyRequireDualStack, ipam.RequireDual},
	} {
		s := service(func(o *corev1.Service) { o.Spec.IPFamilies, o.Spec.IPFamilyPolicy = tt.families, &tt.policy })
		if s.Families != tt.want || s.Problem != nil {
			t.Errorf("%v %v: Families = %v (%v), want %v", tt.families, tt.policy, s.Families, s.Problem, tt.want)
		}
	}
	if s := service(func(o *corev1.Service) { o.Spec.IPFamilies = nil }); s.Problem == nil {
		t.Error("a Service without families has no Problem")
	}
}

func TestRequests(t *testing.T) {
	five, six := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")
	for name, tt := range map[string]struct {
		annotations map[string]string
		spec        string
		pool        string
		addrs       []netip.Addr
		problem     string
	}{
		"none":             {},
		"ours":             {annotations: map[string]string{Prefix + "load-balancer-ips": "10.0.0.5, fd00::5", Prefix + "address-pool": "gold"}, pool: "gold", addrs: []netip.Addr{five, six}},
		"MetalLB's":        {annotations: map[string]string{"metallb.io/loadBalancerIPs": "10.0.0.5", "metallb.io/address-pool": "gold"}, pool: "gold", addrs: []netip.Addr{five}},
		"its ancestor's":   {annotations: map[string]string{"metallb.universe.tf/loadBalancerIPs": "10.0.0.5", "metallb.universe.tf/address-pool": "gold"}, pool: "gold", addrs: []netip.Addr{five}},
		"ours first":       {annotations: map[string]string{"metallb.io/address-pool": "no", Prefix + "address-pool": "gold"}, pool: "gold"},
		"empty is none":    {annotations: map[string]string{"metallb.io/address-pool": "gold", Prefix + "address-pool": " "}, pool: "gold"},
		"spec":             {spec: "10.0.0.5", addrs: []netip.Addr{five}},
		"before the spec":  {spec: "10.0.0.6", annotations: map[string]string{"metallb.io/loadBalancerIPs": "10.0.0.5"}, addrs: []netip.Addr{five}},
		"mapped":           {spec: "::ffff:10.0.0.5", addrs: []netip.Addr{five}},
		"not an address":   {annotations: map[string]string{Prefix + "load-balancer-ips": "ten"}, problem: `network-lb.kontena.io/load-balancer-ips: "ten" is not an IP address`},
		"with a zone":      {spec: "fe80::1%eth0", problem: `spec.loadBalancerIP: "fe80::1%eth0" is not an IP address`},
		"an empty element": {annotations: map[string]string{Prefix + "load-balancer-ips": "10.0.0.5,"}, problem: `"" is not an IP address`},
	} {
		s := service(func(o *corev1.Service) { o.Annotations, o.Spec.LoadBalancerIP = tt.annotations, tt.spec })
		if tt.problem != "" {
			if s.Problem == nil || !strings.Contains(s.Problem.Error(), tt.problem) {
				t.Errorf("%s: Problem = %v, want one with %q", name, s.Problem, tt.problem)
			}
			continue
		}
		if s.Problem != nil || s.Pool != tt.pool || !reflect.DeepEqual(s.Requested, tt.addrs) {
			t.Errorf("%s: pool %q, addresses %v, problem %v; want %q, %v", name, s.Pool, s.Requested, s.Problem, tt.pool, tt.addrs)
		}
	}
}

func TestShare(t *testing.T) {
	spec := func(change func(*corev1.Service)) func(*corev1.Service) {
		return func(o *corev1.Service) {
			o.Annotations = map[string]string{Prefix + "allow-shared-ip": "k"}
			o.Spec.Ports = []corev1.ServicePort{{Protocol: corev1.ProtocolUDP, Port: 53}, {Port: 53}}
			o.Spec.Selector = map[string]string{"b": "2", "a": "1"}
			if change != nil {
				change(o)
			}
		}
	}
	ports := []ipam.Port{{Protocol: "UDP", Number: 53}, {Protocol: "TCP", Number: 53}}
	for name, tt := range map[string]struct {
		change func(*corev1.Service)
		want   ipam.Share
	}{
		"ours":           {spec(nil), ipam.Share{Key: "k", Ports: ports, Backends: "prod/a=1,b=2"}},
		"no key":         {spec(func(o *corev1.Service) { o.Annotations = nil }), ipam.Share{}},
		"an empty key":   {spec(func(o *corev1.Service) { o.Annotations[Prefix+"allow-shared-ip"] = " " }), ipam.Share{}},
		"not handled":    {spec(func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeNodePort }), ipam.Share{}},
		"no selector":    {spec(func(o *corev1.Service) { o.Spec.Selector = nil }), ipam.Share{Key: "k", Ports: ports}},
		"MetalLB's":      {spec(func(o *corev1.Service) { o.Annotations = map[string]string{"metallb.io/allow-shared-ip": "m"} }), ipam.Share{Key: "m", Ports: ports, Backends: "prod/a=1,b=2"}},
		"its ancestor's": {spec(func(o *corev1.Service) { o.Annotations = map[string]string{"metallb.universe.tf/allow-shared-ip": "m"} }), ipam.Share{Key: "m", Ports: ports, Backends: "prod/a=1,b=2"}},
		"ours first":     {spec(func(o *corev1.Service) { o.Annotations["metallb.io/allow-shared-ip"] = "m" }), ipam.Share{Key: "k", Ports: ports, Backends: "prod/a=1,b=2"}},
		"Local": {spec(func(o *corev1.Service) { o.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }),
			ipam.Share{Key: "k", Ports: ports, Local: true, Backends: "prod/a=1,b=2"}},
	} {
		if got := service(tt.change).Share; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestStatus(t *testing.T) {
	s := service(func(o *corev1.Service) {
		o.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "10.0.0.5"}, {Hostname: "lb.example.com"}}
		o.Status.Conditions = []metav1.Condition{{Type: "other"}, {Type: ConditionAllocated, Status: "True", Reason: "Allocated", Message: "m"}}
	})
	if len(s.Status) != 1 || s.Foreign != 1 {
		t.Errorf("Status = %v and %d foreign, want one of each", s.Status, s.Foreign)
	}
	if want := (Condition{True: true, Reason: "Allocated", Message: "m"}); s.Allocated == nil || *s.Allocated != want {
		t.Errorf("Allocated = %v, want %v", s.Allocated, want)
	}
	if s.Key() != "prod/web" {
		t.Errorf("Key = %q", s.Key())
	}
}

func TestFromSlice(t *testing.T) {
	yes, no, node := true, false, "a"
	endpoint := func(ready, serving *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving}}
	}
	o := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "prod", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			endpoint(&yes, &yes), endpoint(nil, nil), endpoint(&no, &yes), endpoint(&no, &no), endpoint(&no, nil), {},
		},
	}
	want := map[string]announce.Endpoints{
		"a": {V4: announce.Count{Ready: 2, Serving: 1}},
		"":  {V4: announce.Count{Ready: 1}},
	}
	four := FromSlice(o)
	if four.Service != "prod/web" || !reflect.DeepEqual(four.Nodes, want) {
		t.Errorf("FromSlice = %+v, want %v for prod/web", four, want)
	}
	o.AddressType = discoveryv1.AddressTypeIPv6
	six := FromSlice(o)
	want["a"] = announce.Endpoints{V4: want["a"].V4, V6: want["a"].V4}
	want[""] = announce.Endpoints{V4: want[""].V4, V6: want[""].V4}
	if got := Merge(four, six); !reflect.DeepEqual(got, want) {
		t.Errorf("Merge = %v, want %v", got, want)
	}
	o.AddressType = discoveryv1.AddressTypeFQDN
	if got := Merge(FromSlice(o)); got["a"] != (announce.Endpoints{}) {
		t.Errorf("names count as endpoints: %v", got)
	}
}

func TestFromNode(t *testing.T) {
	o := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"rack": "1"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "node.kubernetes.io/out-of-service"}}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeHostName, Address: "a"}, {Type: corev1.NodeExternalIP, Address: "203.0.113.1"},
				{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}, {Type: corev1.NodeInternalIP, Address: "fd00::1"},
			},
			Conditions: []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, {Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue},
			},
		},
	}
	want := announce.Node{
		Name: "a", Labels: map[string]string{"rack": "1"}, Ready: true, NetworkUnavailable: true, OutOfService: true,
		Taints:      []string{"node.kubernetes.io/out-of-service"},
		InternalIPs: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")},
	}
	if got := FromNode(o); !reflect.DeepEqual(got, want) {
		t.Errorf("FromNode = %+v, want %+v", got, want)
	}
}

func TestDrainAnnotation(t *testing.T) {
	for value, want := range map[string]bool{"": false, "false": false, "true": true, "by tom": true} {
		o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"network-lb.kontena.io/drain": value, "other": "true"}}}
		if got := FromNode(o).Drain; got != want {
			t.Errorf("%q: %t", value, got)
		}
	}
	if FromNode(&corev1.Node{}).Drain {
		t.Error("a node without the annotation drains")
	}
}

func TestSpeaker(t *testing.T) {
	o := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "a"}}
	if got := Speaker(o); got != "" {
		t.Errorf("a Pod that is not ready speaks on %q", got)
	}
	o.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if got := Speaker(o); got != "a" {
		t.Errorf("a ready Pod speaks on %q, want a", got)
	}
	o.DeletionTimestamp = &metav1.Time{}
	if got := Speaker(o); got != "" {
		t.Errorf("a Pod on its way out speaks on %q", got)
	}
}
