package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	clientwatch "k8s.io/client-go/tools/watch"
)

// history follows the Services in the order in which the API server has stored them, and reports each moment at which
// a promise is broken.
type history struct {
	t testing.TB

	mu       sync.Mutex
	services map[types.UID]*corev1.Service // as they are now
	moved    map[types.UID]bool            // those that may move once: their status was written by somebody else
	writes   int                           // of statuses
	bad      []string
}

// follow begins a history and keeps it until ctx ends.
func (w *world) follow(ctx context.Context) *history {
	t := w.t
	t.Helper()
	h := &history{t: t, services: map[types.UID]*corev1.Service{}, moved: map[types.UID]bool{}}
	list, err := w.client.CoreV1().Services(w.load).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		h.services[list.Items[i].UID] = &list.Items[i]
	}
	w.watchFrom(ctx, list.ResourceVersion, func(gone bool, s *corev1.Service) { h.take(gone, s) })
	return h
}

// watch tells of every change of a Service from now on, in the order in which they were stored, until ctx ends.
func (w *world) watch(ctx context.Context, tell func(gone bool, s *corev1.Service)) {
	w.t.Helper()
	list, err := w.client.CoreV1().Services(w.load).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.watchFrom(ctx, list.ResourceVersion, tell)
}

func (w *world) watchFrom(ctx context.Context, version string, tell func(gone bool, s *corev1.Service)) {
	w.t.Helper()
	events, err := clientwatch.NewRetryWatcherWithContext(ctx, version, cache.ToWatcherWithContext(&cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return w.client.CoreV1().Services(w.load).Watch(ctx, o)
		},
	}))
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		for e := range events.ResultChan() {
			if s, ok := e.Object.(*corev1.Service); ok {
				tell(e.Type == watch.Deleted, s)
			} else if ctx.Err() == nil {
				w.t.Errorf("the watch says %v: %v", e.Type, e.Object)
			}
		}
	}()
}

func (h *history) take(gone bool, s *corev1.Service) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.services[s.UID]
	if gone {
		delete(h.services, s.UID)
		return
	}
	h.services[s.UID] = s
	had, has := []string(nil), addresses(s)
	if before != nil {
		had = addresses(before)
	}
	if !slices.Equal(had, has) {
		h.writes++
	}
	for _, a := range had {
		if !slices.Contains(has, a) && s.Annotations[sharing] == "" && !h.moved[s.UID] {
			h.report("%s loses %s (%v -> %v)", s.Name, a, had, has)
		}
	}
	for _, a := range has {
		for _, other := range h.services {
			if other.UID != s.UID && slices.Contains(addresses(other), a) && !mayShare(s, other) && !(h.moved[s.UID] || h.moved[other.UID]) {
				h.report("%s is in the statuses of %s and %s", a, s.Name, other.Name)
			}
		}
	}
}

func (h *history) report(format string, args ...any) {
	if len(h.bad) < 20 {
		h.bad = append(h.bad, fmt.Sprintf(format, args...))
	}
}

// seen waits until the history holds what the API server holds, and returns the Services.
func (h *history) seen(w *world) []*corev1.Service {
	h.t.Helper()
	list, err := w.client.CoreV1().Services(w.load).List(h.t.Context(), metav1.ListOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	var all []*corev1.Service
	w.until("the watch is up to date", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		all = nil
		for i := range list.Items {
			mine := h.services[list.Items[i].UID]
			if mine == nil {
				return false
			}
			if order, err := resourceversion.CompareResourceVersion(mine.ResourceVersion, list.Items[i].ResourceVersion); err != nil || order < 0 {
				return false
			}
			all = append(all, mine)
		}
		return true
	})
	return all
}

// verdict fails the test if a promise was broken at any moment.
func (h *history) verdict() {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.bad) > 0 {
		h.t.Errorf("promises broken:\n%s", strings.Join(h.bad, "\n"))
	}
}

// changes counts the statuses whose addresses changed.
func (h *history) changes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.writes
}

// mayMove excuses a Service whose status somebody else writes.
func (h *history) mayMove(uid types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moved[uid] = true
}

// common returns an address that both have.
func common(a, b *corev1.Service) string {
	for _, one := range addresses(a) {
		if slices.Contains(addresses(b), one) {
			return one
		}
	}
	return ""
}

func addresses(s *corev1.Service) (all []string) {
	for _, in := range s.Status.LoadBalancer.Ingress {
		all = append(all, in.IP)
	}
	return all
}

func mayShare(a, b *corev1.Service) bool {
	return a.Annotations[sharing] != "" && a.Annotations[sharing] == b.Annotations[sharing] && a.Spec.Ports[0].Port != b.Spec.Ports[0].Port
}

// condition returns the reason of our condition; empty: there is none.
func condition(s *corev1.Service) string {
	for _, c := range s.Status.Conditions {
		if c.Type == "network-lb.kontena.io/Allocated" {
			return c.Reason
		}
	}
	return ""
}

// unsettled says what is still to be done, or is wrong for good; empty: every Service has what it can have.
func unsettled(all []*corev1.Service) string {
	used := used(all)
	v4 := 0
	for a := range used {
		if !strings.Contains(a, ":") {
			v4++
		}
	}
	for _, s := range all {
		reason, has := condition(s), addresses(s)
		asked := s.Annotations["network-lb.kontena.io/load-balancer-ips"]
		switch {
		case reason == "":
			return s.Name + " has no condition"
		case (reason == "Allocated") != (len(has) > 0):
			return fmt.Sprintf("%s has %v and says %s", s.Name, has, reason)
		case len(has) > 0:
		case asked != "" && used[asked]:
		case asked != "":
			return fmt.Sprintf("%s waits for %s, which is free: %s", s.Name, asked, reason)
		case v4 < size || s.Spec.IPFamilies[0] == corev1.IPv6Protocol:
			return fmt.Sprintf("%s waits, and %d of %d addresses are in use: %s", s.Name, v4, size, reason)
		}
	}
	return ""
}
