package controller

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/kube/objects"
)

// announcement brings the condition Announced of a Service up to date, and tells of a transition by an Event. Who owns an
// address on layer 2 is written at once, other things when they have held for a while.
func (c *Controller) announcement(ctx context.Context, s objects.Service) error {
	v, ok := c.speakers.verdictOf(s)
	least, news := v.news(s)
	if !ok || !news {
		c.settled(s.Key())
		return nil
	}
	if wait := c.doubt(s.Key(), least); wait > 0 {
		c.queue.AddAfter(s.Key(), wait)
		return nil
	}
	_, err := c.opts.Client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, types.StrategicMergePatchType,
		v.patch(s, metav1.Now()), metav1.PatchOptions{FieldManager: "network-lb-controller"}, "status")
	if c.counts.failed(writingStatus, err) != nil {
		return err
	}
	c.settled(s.Key())
	eventType := corev1.EventTypeWarning
	if v.announced {
		eventType = corev1.EventTypeNormal
	}
	c.log.Info("announcement", zap.String("service", s.Key()), zap.String("reason", v.reason), zap.String("message", v.message()))
	c.events.Post(referTo(s), eventType, v.reason, v.message())
	return nil
}

// doubt is what a Service's condition does not say yet.
type doubt struct {
	certainty
	since time.Time
}

// doubt says how long to wait before what is news of a Service is believed.
func (c *Controller) doubt(key string, least certainty) time.Duration {
	interval := max(reportInterval, time.Second*time.Duration(len(c.nodes.GetStore().ListKeys()))/nodesPerSecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	d, noted := c.doubts[key]
	if !noted || d.certainty != least {
		d = doubt{least, time.Now()}
		c.doubts[key] = d
	}
	return least.patience(interval) - time.Since(d.since)
}

// settled says that there is nothing to doubt about a Service.
func (c *Controller) settled(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.doubts, key)
}

// patch is a strategic merge patch of our condition only.
func (v verdict) patch(s objects.Service, now metav1.Time) []byte {
	type object = map[string]any
	condition := object{
		"type": objects.ConditionAnnounced, "status": conditionStatus(v.announced), "reason": v.reason,
		"message": v.message(), "lastTransitionTime": now,
	}
	if s.Announced != nil && s.Announced.True == v.announced {
		delete(condition, "lastTransitionTime") // it stays as it is
	}
	data, err := json.Marshal(object{
		"metadata": object{"uid": s.UID, "resourceVersion": s.ResourceVersion},
		"status":   object{"conditions": []object{condition}},
	})
	if err != nil {
		panic(err) // maps of strings always marshal
	}
	return data
}
