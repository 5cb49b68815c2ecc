package controller

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/kube/objects"
)

// shownBy says that the Service shows the status already, so that nothing is to be sent.
func (w status) shownBy(s objects.Service) bool {
	condition := s.Allocated != nil && s.Allocated.True == w.allocated && s.Allocated.Reason == w.reason && s.Allocated.Message == w.message
	return condition && (w.keep || s.Foreign == 0 && slices.Equal(s.Status, w.addrs))
}

// patchOf returns a strategic merge patch that carries the addresses and our own condition only. The UID and
// the resource version make the API server refuse it if the Service is another or was changed meanwhile.
func patchOf(s objects.Service, w status, now metav1.Time) []byte {
	type object = map[string]any
	condition := object{"type": objects.ConditionAllocated, "$patch": "delete"}
	if !w.clear {
		condition = object{
			"type": objects.ConditionAllocated, "status": conditionStatus(w.allocated), "reason": w.reason,
			"message": w.message, "lastTransitionTime": now,
		}
		if s.Allocated != nil && s.Allocated.True == w.allocated {
			delete(condition, "lastTransitionTime") // it stays as it is
		}
	}
	conditions := []object{condition}
	if w.clear && s.Announced != nil {
		conditions = append(conditions, object{"type": objects.ConditionAnnounced, "$patch": "delete"})
	}
	change := object{"conditions": conditions}
	if !w.keep {
		ingress := []object{}
		for _, a := range w.addrs {
			ingress = append(ingress, object{"ip": a.String()})
		}
		change["loadBalancer"] = object{"ingress": ingress}
	}
	data, err := json.Marshal(object{
		"metadata": object{"uid": s.UID, "resourceVersion": s.ResourceVersion},
		"status":   change,
	})
	if err != nil {
		panic(err) // maps of strings always marshal
	}
	return data
}

func conditionStatus(yes bool) metav1.ConditionStatus {
	if yes {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}
