package speaker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/kube/api/clientset"
)

// life is what a speaker's life depends on.
type life struct {
	node *corev1.Node
	pod  *corev1.Pod
	set  *appsv1.DaemonSet
}

func healthy() life {
	controller := true
	return life{
		node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"role": "edge"}},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}},
		pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "speaker-x", Namespace: "lb", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "speaker", UID: "1", Controller: &controller}}}},
		set: &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "speaker", Namespace: "lb", UID: "1"},
			Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeSelector: map[string]string{"role": "edge"}}}}},
	}
}

func TestRestarting(t *testing.T) {
	now := metav1.Now()
	for name, tt := range map[string]struct {
		change func(*life)
		want   string // in the reason; empty: it is a restart
	}{
		"only the process ends": {func(*life) {}, ""},
		"the Pod is replaced":   {func(l *life) { l.pod.DeletionTimestamp, l.pod.Finalizers = &now, []string{"x/y"} }, ""},
		"the Pod is gone":       {func(l *life) { l.pod = nil }, ""},
		"no DaemonSet, alive":   {func(l *life) { l.pod.OwnerReferences = nil }, ""},
		"no DaemonSet, deleted": {func(l *life) {
			l.pod.OwnerReferences, l.pod.DeletionTimestamp, l.pod.Finalizers = nil, &now, []string{"x/y"}
		}, "no DaemonSet makes another"},
		"uninstalled":       {func(l *life) { l.set = nil }, "DaemonSet is gone"},
		"installed anew":    {func(l *life) { l.set.UID = "2" }, "DaemonSet is gone"},
		"being uninstalled": {func(l *life) { l.set.DeletionTimestamp, l.set.Finalizers = &now, []string{"x/y"} }, "DaemonSet is being deleted"},
		"the node is gone":  {func(l *life) { l.node = nil }, "Node is gone"},
		"the node is going": {func(l *life) { l.node.DeletionTimestamp, l.node.Finalizers = &now, []string{"x/y"} }, "Node is being deleted"},
		"node shutdown": {func(l *life) {
			l.node.Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "node is shutting down"}
		}, "node is shutting down"},
		"deselected": {func(l *life) { l.node.Labels = nil }, "selects the Node no longer"},
		"tainted":    {func(l *life) { l.node.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoExecute}} }, "taint x:NoExecute"},
		"tolerated": {func(l *life) {
			l.node.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoExecute}}
			l.set.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}, ""},
		"cordoned": {func(l *life) {
			l.node.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := healthy()
			tt.change(&l)
			client := fake.NewClientset()
			if l.node != nil {
				_ = client.Tracker().Add(l.node)
			}
			if l.pod != nil {
				_ = client.Tracker().Add(l.pod)
			}
			if l.set != nil {
				_ = client.Tracker().Add(l.set)
			}
			err := Restarting(t.Context(), clientset.Client(client), "lb", "speaker-x", "a")
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Restarting = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRestartingWithoutAnAPIServer(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("connection refused")
	})
	if err := Restarting(t.Context(), clientset.Client(client), "lb", "speaker-x", "a"); err != nil {
		t.Errorf("refused: %v", err)
	}
	client = fake.NewClientset()
	client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "a", errors.New("no role"))
	})
	if err := Restarting(t.Context(), clientset.Client(client), "lb", "speaker-x", "a"); err == nil || !strings.Contains(err.Error(), "knows the speaker no longer") {
		t.Errorf("forbidden: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		silent := fake.NewClientset()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		silent.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
			time.Sleep(endingTimeout)
			return true, nil, context.DeadlineExceeded
		})
		began := time.Now()
		if err := Restarting(ctx, clientset.Client(silent), "lb", "speaker-x", "a"); err != nil || time.Since(began) > endingTimeout {
			t.Errorf("silent: %v after %s", err, time.Since(began))
		}
	})
}
