package speaker

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"github.com/kontena/network-lb/kube/api"
)

// endingTimeout is how long a process that ends asks the API server why.
const endingTimeout = time.Second

// errEnding is why a process ends for good, or at least for longer than a restart takes.
var errEnding = errors.New("it is not a restart")

// Restarting returns nil when the process ends to be followed by another on this node at once, so that routers may keep
// its routes meanwhile: its DaemonSet lives and still wants a Pod on the Node, and the Node is well. An API server that
// does not answer within a second is taken for a yes, because nothing is worse than to drop what works while it is away.
// Otherwise the error says why not.
func Restarting(ctx context.Context, client api.Client, namespace, pod, node string) error {
	ctx, cancel := context.WithTimeout(ctx, endingTimeout)
	defer cancel()
	err := restarting(ctx, client, namespace, pod, node)
	switch {
	case errors.Is(err, errEnding):
		return err
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err): // what is uninstalled loses its account first
		return fmt.Errorf("%w: the API server knows the speaker no longer: %w", errEnding, err)
	}
	return nil
}

// restarting returns an errEnding, nil, or what kept it from finding out.
func restarting(ctx context.Context, client api.Client, namespace, pod, node string) error {
	n, err := client.Nodes().Get(ctx, node, metav1.GetOptions{})
	if why := nodeEnding(n, err); why != "" {
		return fmt.Errorf("%w: %s", errEnding, why)
	}
	if err != nil || pod == "" {
		return err
	}
	p, err := client.Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return err
	}
	owner := metav1.GetControllerOf(p)
	if owner == nil || owner.Kind != "DaemonSet" {
		if p.DeletionTimestamp != nil {
			return fmt.Errorf("%w: the Pod is being deleted, and no DaemonSet makes another", errEnding)
		}
		return nil // only its container ends
	}
	set, err := client.DaemonSets(namespace).Get(ctx, owner.Name, metav1.GetOptions{})
	if why := setEnding(set, n, owner, err); why != "" {
		return fmt.Errorf("%w: %s", errEnding, why)
	}
	return err
}

// nodeEnding says why nothing will follow on the Node that was asked for; empty: nothing is known against it.
func nodeEnding(n *corev1.Node, err error) string {
	switch {
	case apierrors.IsNotFound(err):
		return "the Node is gone"
	case err != nil:
		return ""
	case n.DeletionTimestamp != nil:
		return "the Node is being deleted"
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			return "the Node is not ready: " + c.Message // a kubelet says it before a shutdown
		}
	}
	return ""
}

// setEnding says why the DaemonSet that was asked for makes no other Pod on the Node; empty: nothing is known against it.
func setEnding(set *appsv1.DaemonSet, n *corev1.Node, owner *metav1.OwnerReference, err error) string {
	switch {
	case apierrors.IsNotFound(err), err == nil && set.UID != owner.UID:
		return "the DaemonSet is gone"
	case err != nil:
		return ""
	case set.DeletionTimestamp != nil:
		return "the DaemonSet is being deleted"
	}
	next := &corev1.Pod{Spec: set.Spec.Template.Spec}
	if fits, err := nodeaffinity.GetRequiredNodeAffinity(next).Match(n); err == nil && !fits {
		return "the DaemonSet selects the Node no longer"
	}
	// A DaemonSet's Pods tolerate these in any case.
	evicted := func(t *corev1.Taint) bool {
		switch t.Key {
		case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure,
			corev1.TaintNodePIDPressure, corev1.TaintNodeUnschedulable, corev1.TaintNodeNetworkUnavailable:
			return false
		}
		return t.Effect == corev1.TaintEffectNoExecute || t.Effect == corev1.TaintEffectNoSchedule
	}
	if taint, barred := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), n.Spec.Taints, next.Spec.Tolerations, evicted, true); barred {
		return "the Node has the taint " + taint.ToString() + ", which the DaemonSet's Pods do not tolerate"
	}
	return ""
}
