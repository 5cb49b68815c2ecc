package speaker

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/kube/reports"
)

// object is the report as the cluster is to have it. It goes with the Node.
func (r *reporter) object(status reports.SpeakerStatus, uid types.UID) (*unstructured.Unstructured, error) {
	node := r.s.opts.Node
	status.Written = metav1.NewMicroTime(time.Now())
	return reports.Speaker{
		ObjectMeta: metav1.ObjectMeta{Name: node, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "Node", Name: node, UID: uid},
		}},
		Status: status,
	}.Unstructured()
}

// same says that two reports say the same, whenever they were written.
func same(a, b *unstructured.Unstructured) bool {
	return a != nil && reflect.DeepEqual(a.GetOwnerReferences(), b.GetOwnerReferences()) && reflect.DeepEqual(timeless(a), timeless(b))
}

func timeless(u *unstructured.Unstructured) map[string]any {
	status, _ := u.Object["status"].(map[string]any)
	status = maps.Clone(status)
	delete(status, "written")
	return status
}

// write makes the report what it should be.
func (r *reporter) write(ctx context.Context, before, wanted *unstructured.Unstructured, sum summary) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var after *unstructured.Unstructured
	var err error
	if before != nil {
		wanted.SetResourceVersion(before.GetResourceVersion())
		after, err = r.objects.Update(ctx, wanted, metav1.UpdateOptions{})
	}
	if before == nil || apierrors.IsNotFound(err) { // the cache is about to know
		wanted.SetResourceVersion("")
		after, err = r.objects.Create(ctx, wanted, metav1.CreateOptions{})
	}
	switch {
	case err == nil:
		r.note(after)
		r.at, r.last, r.changed, r.pause, r.retry = time.Now(), sum, time.Time{}, 0, time.Time{}
		r.fine(true)
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err): // likewise
		r.note(nil)
		r.retry = time.Now().Add(urgentInterval)
	case errors.Is(ctx.Err(), context.Canceled):
	default:
		r.pause = min(max(2*r.pause, urgentInterval), lastRetry)
		r.retry = time.Now().Add(r.pause)
		r.failed(err)
	}
}

func (r *reporter) fine(wrote bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Problem = ""
	if wrote {
		r.state.Written++
	}
}

// failed tells of an error, of one that goes on once.
func (r *reporter) failed(err error) {
	r.mu.Lock()
	before := r.state.Problem
	r.state.Failed++
	r.state.Problem = err.Error()
	r.mu.Unlock()
	if before == "" {
		r.s.log.Warn("writing the Speaker report; it is tried again", zap.Error(err))
	}
}
