package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/lab"
)

// steps is how much happens in a round.
const steps = 2000

// A controller that is killed at random moments, while Services come, change and go, breaks no promise.
func TestE2EKilled(t *testing.T) { newWorld(t, pools).killed(*seed) }

// BenchmarkKilled does so fifty times.
func BenchmarkKilled(b *testing.B) {
	w := newWorld(b, pools)
	for round := range uint64(50) {
		w.furnish(pools)
		w.killed(*seed + round)
		if b.Failed() {
			b.Fatalf("with -seed=%d", *seed+round)
		}
	}
	fmt.Println("killed   50 rounds: no address twice where it may not be, none moved, none waiting that could be served")
}

func (w *world) killed(seed uint64) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	h := w.follow(ctx)
	walking, walked := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		defer walked()
		w.walk(ctx, seed, steps)
	})
	r := rand.New(rand.NewPCG(seed, workers))
	kills := 0
	for walking.Err() == nil {
		c := w.start("a") // the Lease is its own, and it leads at once
		select {
		case <-walking.Done():
		case <-time.After(time.Duration(50+r.IntN(450)) * time.Millisecond):
		}
		kill(c)
		kills++
	}
	all.Wait()
	c := w.start("a")
	defer kill(c)
	w.settles(h)
	w.t.Logf("seed %d: %d steps, killed %d times, %d statuses changed", seed, steps, kills, h.changes())
}

// A leader that is frozen for longer than its Lease, and thaws when another leads, writes nothing more.
func TestE2EFrozen(t *testing.T) {
	w := newWorld(t, pools)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := w.follow(ctx)
	running := map[string]*lab.Cmd{"a": w.start("a"), "b": w.start("b")}
	defer func() {
		for _, c := range running {
			kill(c)
		}
	}()
	w.until("one leads", func() bool { return w.leader() != "" })
	for round := range uint64(2) {
		var all sync.WaitGroup
		all.Go(func() { w.walk(ctx, *seed+round, steps/2) })
		frozen := w.leader()
		signal(t, running[frozen], syscall.SIGSTOP)
		w.until("another leads", func() bool { l := w.leader(); return l != "" && l != frozen })
		signal(t, running[frozen], syscall.SIGCONT)
		if err := running[frozen].Wait(); err == nil {
			t.Error("one that has lost its Lease ends without an error")
		}
		all.Wait()
		running[frozen] = w.start(frozen)
		w.settles(h)
	}
}

// Statuses that come back from an old copy, some of their addresses being somebody else's by now, are put right: the
// older Service keeps its address.
func TestE2ERestored(t *testing.T) {
	w := newWorld(t, pools)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := w.follow(ctx)
	c := w.start("a")
	w.walk(ctx, *seed, steps/2)
	old := w.settles(h)
	w.walk(ctx, *seed+1, steps/2)
	w.settles(h)
	kill(c)
	restored := 0
	for _, s := range old {
		h.mayMove(s.UID)
		if err := w.restore(ctx, s); err == nil {
			restored++
		} else if !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	for _, s := range h.seen(w) {
		h.mayMove(s.UID)
	}
	c = w.start("a")
	defer func() { kill(c) }()
	all := w.settles(h)
	for i, s := range all {
		for _, other := range all[:i] {
			if a := common(s, other); a != "" && !mayShare(s, other) {
				t.Errorf("%s is in the statuses of %s and %s", a, s.Name, other.Name)
			}
		}
	}
	t.Logf("%d statuses restored from an old copy", restored)
}

// restore writes the status that a Service had, as a restored backup would.
func (w *world) restore(ctx context.Context, s *corev1.Service) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": s.UID}, "status": s.Status})
	if err != nil {
		return err
	}
	_, err = w.client.CoreV1().Services(w.load).Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsConflict(err) || apierrors.IsInvalid(err) { // another of the same name
		return apierrors.NewNotFound(corev1.Resource("services"), s.Name)
	}
	return err
}

// settles waits until every Service has what it can have, and holds the history to the promises.
func (w *world) settles(h *history) []*corev1.Service {
	w.t.Helper()
	var all []*corev1.Service
	last := ""
	w.until("every Service has what it can have", func() bool {
		all = h.seen(w)
		if now := unsettled(all); now != last {
			last = now
			w.t.Log(now)
		}
		return last == ""
	})
	h.verdict()
	return all
}

func signal(t *testing.T, c *lab.Cmd, s syscall.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func kill(c *lab.Cmd) {
	_ = c.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	_ = c.Wait()
}
