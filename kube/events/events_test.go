package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// run lets a poster run in a bubble until the end of the test, and returns a way to end it before.
func run(t *testing.T, p *Poster) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx, time.Second)
	}()
	end = func() { cancel(); <-done }
	t.Cleanup(end)
	return end
}

func about(name string) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: "prod", Name: name, UID: "u"}
}

// posted returns the messages of the Events in a namespace.
func posted(t *testing.T, client *fake.Clientset, namespace string) (messages []string) {
	t.Helper()
	synctest.Wait()
	for _, a := range client.Actions() {
		if c, ok := a.(clienttesting.CreateAction); ok && a.GetNamespace() == namespace {
			messages = append(messages, c.GetObject().(*corev1.Event).Message)
		}
	}
	return messages
}

func TestPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		p := NewPoster(client, "network-lb-controller", "pod-1", nil)
		run(t, p)
		p.Post(about("web"), corev1.EventTypeNormal, "Allocated", "10.0.0.1")
		synctest.Wait()
		list, err := client.CoreV1().Events("prod").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("%d Events, %v", len(list.Items), err)
		}
		e := list.Items[0]
		if e.InvolvedObject != about("web") || e.Type != "Normal" || e.Reason != "Allocated" || e.Message != "10.0.0.1" || e.Count != 1 ||
			e.Source.Component != "network-lb-controller" || e.ReportingInstance != "pod-1" || !strings.HasPrefix(e.Name, "web.") || e.FirstTimestamp.IsZero() {
			t.Errorf("posted %+v", e)
		}
		p.Post(corev1.ObjectReference{Kind: "Node", Name: "a"}, "Normal", "R", "m")
		if got := posted(t, client, "default"); len(got) != 1 {
			t.Errorf("%q of an object without a namespace", got)
		}
	})
}

// Nothing is dropped while the API server is away, those of one object stay in their order, and nobody waits.
func TestNothingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		var away atomic.Bool
		away.Store(true)
		client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("connection refused")
		})
		p := NewPoster(client, "c", "i", nil)
		run(t, p)
		for i := range 100 {
			p.Post(about("web"), "Normal", "R", fmt.Sprint(i))
			p.Post(about(fmt.Sprint("other-", i)), "Normal", "R", "other")
		}
		time.Sleep(time.Minute)
		client.ClearActions()
		away.Store(false)
		time.Sleep(lastRetry)
		got := slices.DeleteFunc(posted(t, client, "prod"), func(m string) bool { return m == "other" })
		if len(got) != 100 || !slices.IsSortedFunc(got, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }) {
			t.Errorf("posted %q", got)
		}
	})
}

// One that the API server will never take does not keep the others waiting, and what is left at the end is posted.
func TestHopelessAndLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "events", func(a clienttesting.Action) (bool, runtime.Object, error) {
			gone := a.(clienttesting.CreateAction).GetObject().(*corev1.Event).Message == "gone"
			return gone, nil, apierrors.NewNotFound(corev1.Resource("namespaces"), "prod")
		})
		p := NewPoster(client, "c", "i", nil)
		end := run(t, p)
		p.Post(about("web"), "Normal", "R", "gone")
		p.Post(about("web"), "Normal", "R", "last")
		end()
		if got := posted(t, client, "prod"); !slices.Equal(got, []string{"gone", "last"}) {
			t.Errorf("tried %q", got)
		}
	})
}

// One that the API server always fails on does not keep the others waiting, is still tried, and not for ever.
func TestRefusedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "events", func(a clienttesting.Action) (bool, runtime.Object, error) {
			bad := a.(clienttesting.CreateAction).GetObject().(*corev1.Event).Message == "bad"
			return bad, nil, apierrors.NewInternalError(errors.New("a webhook is broken"))
		})
		p := NewPoster(client, "c", "i", nil)
		run(t, p)
		for _, m := range []string{"0", "bad", "1", "2", "3"} {
			p.Post(about("web"), "Normal", "R", m)
		}
		time.Sleep(time.Minute)
		isBad := func(m string) bool { return m == "bad" }
		all := posted(t, client, "prod")
		if got := slices.DeleteFunc(slices.Clone(all), isBad); !slices.Equal(got, []string{"0", "1", "2", "3"}) || !isBad(all[len(all)-1]) {
			t.Errorf("tried %q", all)
		}
		time.Sleep(lifetime)
		client.ClearActions()
		time.Sleep(lifetime)
		if got := posted(t, client, "prod"); len(got) > 0 {
			t.Errorf("tried %q", got)
		}
	})
}

// The end does not wait for an API server that is away.
func TestEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
		p := NewPoster(client, "c", "i", nil)
		end := run(t, p)
		p.Post(about("web"), "Normal", "R", "m")
		began := time.Now()
		end()
		if took := time.Since(began); took > time.Second {
			t.Errorf("ended after %s", took)
		}
	})
}

func TestShorten(t *testing.T) {
	for name, tt := range map[string]struct{ message, want string }{
		"short":      {"m", "m"},
		"just right": {strings.Repeat("m", maxMessage), strings.Repeat("m", maxMessage)},
		"too long":   {strings.Repeat("m", maxMessage+1), strings.Repeat("m", maxMessage-3) + "…"},
		"characters": {strings.Repeat("ä", maxMessage), strings.Repeat("ä", (maxMessage-3)/2) + "…"},
		"no text":    {strings.Repeat("\x80", maxMessage+1), "…"},
	} {
		got := shorten(tt.message)
		if got != tt.want || len(got) > maxMessage || name != "no text" && !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes, %q", name, len(got), got)
		}
	}
}
