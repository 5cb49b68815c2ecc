package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
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

// A leader that is frozen for longer than its Lease, and thaws when another leads, writes nothing more: not where all
// is quiet, when it would show, nor where it could spoil what the other is doing.
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
		before := h.changes()
		all.Go(func() { w.walk(ctx, *seed+round, steps/2) })
		w.until("much goes on", func() bool { return h.changes() >= before+50 })
		frozen := w.leader()
		signal(t, running[frozen], syscall.SIGSTOP)
		w.until("another leads", func() bool { l := w.leader(); return l != "" && l != frozen })
		quiet := round == 0
		var still map[types.UID]string
		if quiet {
			all.Wait()
			w.settles(h)
			still = w.still()
		}
		signal(t, running[frozen], syscall.SIGCONT)
		if err := running[frozen].Wait(); err == nil {
			t.Error("one that has lost its Lease ends without an error")
		}
		if now := w.versions(); quiet && !maps.Equal(still, now) {
			t.Errorf("the Services were %v before it thawed, and are %v", still, now)
		}
		all.Wait()
		running[frozen] = w.start(frozen)
		w.settles(h)
	}
}

// Statuses that come back from an old copy, to Services that were made anew since, are put right: of those that have the
// same address the oldest keeps it.
func TestE2ERestored(t *testing.T) {
	w := newWorld(t, pools)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := w.follow(ctx)
	c := w.start("a")
	w.walk(ctx, *seed, steps/2)
	old := w.settles(h)
	w.walk(ctx, *seed+1, steps/2)
	for _, s := range w.settles(h) {
		h.mayMove(s.UID)
	}
	kill(c)
	restored := 0
	for _, s := range old {
		if err := w.restore(ctx, s); err == nil {
			restored++
		} else if !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	kept, contested := heirs(h.seen(w))
	if contested == 0 {
		t.Error("nobody has to give an address up, so nothing was tried")
	}
	c = w.start("a")
	defer func() { kill(c) }()
	all := w.settles(h)
	for i, s := range all {
		if had := kept[s.UID]; had != nil && !slices.Equal(addresses(s), had) {
			t.Errorf("%s had %v before anybody else: now it has %v", s.Name, had, addresses(s))
		}
		for _, other := range all[:i] {
			if a := common(s, other); a != "" && !mayShare(s, other) {
				t.Errorf("%s is in the statuses of %s and %s", a, s.Name, other.Name)
			}
		}
	}
	t.Logf("%d statuses restored from an old copy; %d Services are to keep theirs, %d of them although others have it too", restored, len(kept), contested)
}

// restore writes the addresses that the Service of that name had, as a restored backup would.
func (w *world) restore(ctx context.Context, s *corev1.Service) error {
	patch, err := json.Marshal(map[string]any{"status": s.Status})
	if err != nil {
		return err
	}
	_, err = w.client.CoreV1().Services(w.load).Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// heirs says which Services are to keep the addresses in their statuses, because these are what they ask for, and no
// older Service has one of them; and how many of these Services a younger one contests an address of.
func heirs(all []*corev1.Service) (kept map[types.UID][]string, contested int) {
	kept = map[types.UID][]string{}
	for _, s := range all {
		first, contest := fits(s), false
		for _, other := range all {
			switch {
			case other == s || common(s, other) == "":
			case older(other, s):
				first = false
			case !mayShare(s, other):
				contest = true
			}
		}
		if first {
			kept[s.UID] = addresses(s)
			if contest {
				contested++
			}
		}
	}
	return kept, contested
}

// fits says that a Service has an address of each of its families, and the one that it asks for.
func fits(s *corev1.Service) bool {
	has := addresses(s)
	if len(has) != len(s.Spec.IPFamilies) {
		return false
	}
	for i, family := range s.Spec.IPFamilies {
		if strings.Contains(has[i], ":") != (family == corev1.IPv6Protocol) {
			return false
		}
	}
	asked := s.Annotations["network-lb.kontena.io/load-balancer-ips"]
	return asked == "" || has[0] == asked
}

// older is the order in which Services have a claim to what is in their statuses.
func older(a, b *corev1.Service) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name)) < 0
}

// versions returns the resource versions of the Services.
func (w *world) versions() map[types.UID]string {
	w.t.Helper()
	all := map[types.UID]string{}
	for _, s := range w.all() {
		all[s.UID] = s.ResourceVersion
	}
	return all
}

// still waits until no Service has changed for a second, and returns what versions does.
func (w *world) still() map[types.UID]string {
	w.t.Helper()
	last, since := w.versions(), time.Now()
	w.until("nothing changes any more", func() bool {
		if now := w.versions(); !maps.Equal(now, last) {
			last, since = now, time.Now()
		}
		return time.Since(since) >= time.Second
	})
	return last
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
	w.reported(all)
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
