package main

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

// bench is a node a, and a drainer for it.
type bench struct {
	drainer
	t       *testing.T
	objects *dynamicfake.FakeDynamicClient
	out     strings.Builder
}

func newBench(t *testing.T) *bench {
	kinds := map[schema.GroupVersionResource]string{reports.Speakers: "SpeakerList"}
	b := &bench{t: t, objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)}
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{"other": "x"}}})
	b.drainer = drainer{client: client, reports: b.objects, node: "a", wait: true, timeout: time.Minute, out: &b.out}
	return b
}

// report has the node's speaker report a drain; nil: none.
func (b *bench) report(d *reports.Drain) {
	b.t.Helper()
	u, err := reports.Speaker{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: reports.SpeakerStatus{Drain: d}}.Unstructured()
	if err == nil {
		all := b.objects.Resource(reports.Speakers)
		if _, err = all.Update(b.t.Context(), u, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
			_, err = all.Create(b.t.Context(), u, metav1.CreateOptions{})
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

var forbidden = apierrors.NewForbidden(reports.Speakers.GroupResource(), "a", errors.New("no"))

// refuse has looks at reports fail for a number of times.
func (b *bench) refuse(verb string, times int, err error) {
	b.objects.PrependReactor(verb, "speakers", func(clienttesting.Action) (bool, runtime.Object, error) {
		times--
		return times >= 0, nil, err
	})
}

func (b *bench) annotations() map[string]string {
	b.t.Helper()
	n, err := b.client.CoreV1().Nodes().Get(b.t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return n.Annotations
}

// run does something within the timeout.
func (b *bench) run(do func(drainer, context.Context) error) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), b.timeout)
	defer cancel()
	return do(b.drainer, ctx)
}

func TestDrainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.report(nil)
		steps := []*reports.Drain{
			{State: reports.DrainWaiting, Reason: "b is being drained"}, {State: reports.DrainWaiting, Reason: "b is being drained"},
			{State: reports.Draining}, {State: reports.Drained},
		}
		for i, step := range steps {
			time.AfterFunc(time.Duration(5*i+3)*time.Second, func() { b.report(step) })
		}
		if err := b.run(drainer.drain); err != nil {
			t.Error(err)
		}
		if got := b.annotations(); got[objects.DrainAnnotation] != "true" || got["other"] != "x" {
			t.Errorf("annotations %v", got)
		}
		const want = "node a: asked to drain\nnode a: Waiting, b is being drained\nnode a: Draining\nnode a: Drained\n"
		if b.out.String() != want {
			t.Errorf("said\n%swant\n%s", b.out.String(), want)
		}

		b.out.Reset()
		time.AfterFunc(3*time.Second, func() { b.report(nil) })
		if err := b.run(drainer.undrain); err != nil {
			t.Error(err)
		}
		if got := b.annotations(); len(got) != 1 || got["other"] != "x" {
			t.Errorf("annotations %v", got)
		}
		if got := b.out.String(); got != "node a: Drained\nnode a: back in service\n" {
			t.Errorf("said\n%s", got)
		}
	})
}

func TestDrainWithoutWaiting(t *testing.T) {
	b := newBench(t)
	b.wait = false
	if err := errors.Join(b.run(drainer.drain), b.run(drainer.undrain), b.run(drainer.undrain)); err != nil {
		t.Error(err)
	}
	const gone = "node a: the annotation is gone\n"
	if got := b.out.String(); got != "node a: asked to drain\n"+gone+gone {
		t.Errorf("said\n%s", got)
	}
}

func TestDrainInTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*bench)
		want   string // the error; empty: none
		out    string
	}{
		"no such node": {func(b *bench) { b.node = "z" }, `there is no node "z"; kubectl get nodes lists those there are`, ""},
		"not allowed": {func(b *bench) {
			b.client.(*fake.Clientset).PrependReactor("patch", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("forbidden")
			})
		}, "annotating the node a: forbidden", ""},
		"no speaker": {func(*bench) {}, "", "node a: no speaker reports on it, so that it announces nothing\n"},
		"no reports": {func(b *bench) {
			b.objects.PrependReactor("*", "speakers", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewNotFound(reports.Speakers.GroupResource(), "")
			})
		}, "it is asked of the node a, but what comes of it is not known: the cluster has no Speakers (crds.install of the chart); use --wait=false and look at its speaker's /status", ""},
		"no right to read them": {func(b *bench) { b.refuse("get", math.MaxInt, forbidden) },
			"it is asked of the node a, but what comes of it is not known: " + forbidden.Error(), ""},
		"no right to list them": {func(b *bench) { b.refuse("list", math.MaxInt, forbidden) },
			"it is asked of the node a, but what comes of it is not known: " + forbidden.Error(), ""},
		"the API server away for a while": {func(b *bench) {
			b.report(&reports.Drain{State: reports.Drained})
			b.refuse("get", 3, errors.New("connection refused"))
		}, "", "node a: not known now: connection refused\nnode a: Drained\n"},
		"no notice": {func(b *bench) { b.report(nil) },
			"gave up after 1m0s: node a: asked to drain; its speaker has not taken notice; " +
				"`kubectl get pods -A -o wide -l app.kubernetes.io/component=speaker` shows whether it runs", "node a: asked to drain\n"},
		"out of time": {func(b *bench) { b.report(&reports.Drain{State: reports.DrainWaiting, Reason: "b is being drained"}) },
			"gave up after 1m0s: node a: Waiting, b is being drained; that goes on by itself, and `kubectl get speaker a` shows how far it is",
			"node a: Waiting, b is being drained\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			tt.change(b)
			err := b.run(drainer.drain)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want || b.out.String() != tt.out {
				t.Errorf("%s: %q, said %q", name, got, b.out.String())
			}
		})
	}
}

// One that stays drained although it is not asked to be.
func TestUndrainInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.report(&reports.Drain{State: reports.Drained})
		const want = "gave up after 1m0s: node a: Drained; if it stays so, its speaker does not run, " +
			"or the node has a taint of drain.on_taints (`kubectl describe node a`)"
		if err := b.run(drainer.undrain); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}
