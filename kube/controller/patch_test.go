package controller

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/kube/objects"
)

// setCondition gives a Service our condition as an earlier leader would have.
func setCondition(s *corev1.Service, reason string) {
	s.Status.Conditions = []metav1.Condition{{Type: objects.ConditionAllocated, Reason: reason, Status: conditionStatus(reason == "Allocated")}}
}

func TestPatch(t *testing.T) {
	now := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	service := objects.Service{UID: "u", ResourceVersion: "7"}
	addrs := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
	const meta = `{"metadata":{"resourceVersion":"7","uid":"u"},"status":`
	for _, tt := range []struct {
		name   string
		before *objects.Condition
		status status
		want   string
	}{
		{
			"allocated", nil, status{addrs: addrs, allocated: true, reason: "Allocated", message: "m"},
			`{"conditions":[{"lastTransitionTime":"2026-01-02T03:04:05Z","message":"m","reason":"Allocated","status":"True","type":"network-lb.kontena.io/Allocated"}],` +
				`"loadBalancer":{"ingress":[{"ip":"10.0.0.1"},{"ip":"fd00::1"}]}}}`,
		},
		{
			"another address: the time of the transition stays", &objects.Condition{True: true}, status{addrs: addrs[:1], allocated: true, reason: "Allocated", message: "m"},
			`{"conditions":[{"message":"m","reason":"Allocated","status":"True","type":"network-lb.kontena.io/Allocated"}],` +
				`"loadBalancer":{"ingress":[{"ip":"10.0.0.1"}]}}}`,
		},
		{
			"lost", &objects.Condition{True: true}, status{reason: "PoolExhausted", message: "m"},
			`{"conditions":[{"lastTransitionTime":"2026-01-02T03:04:05Z","message":"m","reason":"PoolExhausted","status":"False","type":"network-lb.kontena.io/Allocated"}],` +
				`"loadBalancer":{"ingress":[]}}}`,
		},
		{
			"foreign: the addresses are not touched", nil, status{keep: true, reason: "ForeignStatus", message: "m"},
			`{"conditions":[{"lastTransitionTime":"2026-01-02T03:04:05Z","message":"m","reason":"ForeignStatus","status":"False","type":"network-lb.kontena.io/Allocated"}]}}`,
		},
		{
			"no longer ours", &objects.Condition{True: true}, status{clear: true},
			`{"conditions":[{"$patch":"delete","type":"network-lb.kontena.io/Allocated"}],"loadBalancer":{"ingress":[]}}}`,
		},
		{
			"foreign and no longer ours", &objects.Condition{}, status{clear: true, keep: true},
			`{"conditions":[{"$patch":"delete","type":"network-lb.kontena.io/Allocated"}]}}`,
		},
	} {
		service.Allocated = tt.before
		if got := string(patchOf(service, tt.status, now)); got != meta+tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, meta+tt.want)
		}
	}
}
