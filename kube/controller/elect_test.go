package controller

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"
)

func TestFollowerDoesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		leader := c.start("a")
		follower := c.start("b")
		c.add("web")
		settle()
		c.want("web", "10.0.0.0 Allocated")
		if got := c.written(); len(got) != 1 {
			t.Errorf("written %q, want prod/web once", got)
		}
		if !leader.Status().Leading || follower.Status().Leading || c.holder() != "a" {
			t.Errorf("%q holds the Lease; a is %+v, b is %+v", c.holder(), leader.Status(), follower.Status())
		}
		if err := follower.end(); err != nil || c.holder() != "a" {
			t.Errorf("the follower ends with %v, and %q holds the Lease", err, c.holder())
		}
	})
}

// slow is a client whose patches wait at a gate after they were asked for and reach the API server even when
// whoever asked has gone.
type slow struct {
	*cluster
	gate    chan struct{}
	waiting *atomic.Int32
}

type slowCore struct {
	corev1client.CoreV1Interface
	slow slow
}

type slowServices struct {
	corev1client.ServiceInterface
	slow slow
}

func (s slow) CoreV1() corev1client.CoreV1Interface { return slowCore{s.cluster.CoreV1(), s} }

func (s slowCore) Services(namespace string) corev1client.ServiceInterface {
	return slowServices{s.CoreV1Interface.Services(namespace), s.slow}
}

func (s slowServices) Patch(ctx context.Context, name string, t types.PatchType, data []byte, o metav1.PatchOptions, sub ...string) (*corev1.Service, error) {
	s.slow.waiting.Add(1)
	defer s.slow.waiting.Add(-1)
	<-s.slow.gate
	return s.ServiceInterface.Patch(context.WithoutCancel(ctx), name, t, data, o, sub...)
}

func TestLeaseIsFreeAfterTheLastWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		client := slow{c, make(chan struct{}), &atomic.Int32{}}
		a := c.startWith("a", client)
		b := c.start("b")
		c.add("web")
		settle()
		if client.waiting.Load() != 1 {
			t.Fatal("nothing is being written")
		}
		a.stop()
		time.Sleep(3 * leaseDuration) // the Lease goes on being renewed
		c.add("other")
		settle()
		if c.holder() != "a" || b.Status().Leading {
			t.Fatalf("%q holds the Lease while a writes", c.holder())
		}
		c.want("other", "- -")
		close(client.gate)
		synctest.Wait()
		if err := a.end(); err != nil {
			t.Errorf("Run = %v", err)
		}
		takeOver()
		if c.holder() != "b" {
			t.Errorf("%q holds the Lease", c.holder())
		}
		c.want("web", "10.0.0.0 Allocated")
		c.want("other", "10.0.0.1 Allocated")
	})
}

func TestLostLease(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		var away atomic.Bool
		c.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("connection refused")
		})
		r := c.start("a")
		if !r.Status().Leading {
			t.Fatal("it does not lead")
		}
		away.Store(true)
		c.written()
		time.Sleep(renewDeadline) // counted from the last renewal, which is not younger than now
		synctest.Wait()
		if r.Status().Leading {
			t.Error("it still leads 5 s after the last renewal")
		}
		c.add("web")
		settle()
		if got := c.written(); got != nil {
			t.Errorf("after the Lease was lost %q was written", got)
		}
		time.Sleep(giveBackTimeout)
		<-r.done
		if r.err == nil || !strings.Contains(r.err.Error(), "the Lease was lost") {
			t.Errorf("Run = %v", r.err)
		}
	})
}

// A renewal that was under way when the leader stopped, and arrives after it, does not keep the Lease from being free.
func TestLeaseIsFreeInSpiteOfALateRenewal(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		r := c.start("a")
		var late atomic.Int32
		c.PrependReactor("update", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
			freed := a.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease)
			if *freed.Spec.HolderIdentity != "" || late.Add(1) > 2 {
				return false, nil, nil
			}
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, freed.Name, errors.New("changed"))
		})
		if err := r.end(); err != nil || c.holder() != "" {
			t.Errorf("Run = %v, and %q holds the Lease after %d conflicts", err, c.holder(), late.Load())
		}
	})
}

// One that could not renew while it writes does not give the Lease back under its own hands.
func TestLostLeaseIsNotFreedBeforeTheLastWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		client := slow{c, make(chan struct{}), &atomic.Int32{}}
		var refusing atomic.Bool
		c.PrependReactor("update", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return refusing.Load(), nil, errors.New("not now")
		})
		r := c.startWith("a", client)
		c.add("web")
		settle()
		refusing.Store(true)
		time.Sleep(2 * renewDeadline)
		refusing.Store(false)
		time.Sleep(renewDeadline)
		synctest.Wait()
		if c.holder() != "a" {
			t.Errorf("%q holds the Lease while a writes", c.holder())
		}
		close(client.gate)
		<-r.done
		if r.err == nil || c.holder() != "" {
			t.Errorf("Run = %v, and %q holds the Lease", r.err, c.holder())
		}
	})
}

func TestCrashedLeaderIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		c.add("web", shows("Allocated", "10.0.0.9"))
		if _, err := c.CoordinationV1().Leases("system").Create(t.Context(), leaseOf("gone"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		r := c.start("a")
		time.Sleep(leaseDuration - 3*time.Second)
		c.want("web", "10.0.0.9 Allocated")
		if r.Status().Leading {
			t.Error("it leads although another holds the Lease")
		}
		time.Sleep(5 * time.Second)
		if !r.Status().Leading {
			t.Error("it does not lead although the Lease has run out")
		}
		c.want("web", "10.0.0.9 Allocated")
	})
}

// A new leader waits until its cache has what the API server has: here the cache is a write behind.
func TestWaitsForAFreshCache(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		c.add("old")
		c.add("young")
		var behind atomic.Bool
		behind.Store(true)
		c.PrependReactor("list", "services", func(a clienttesting.Action) (bool, runtime.Object, error) {
			list, err := c.Tracker().List(servicesResource, corev1.SchemeGroupVersion.WithKind("Service"), "")
			services := list.(*corev1.ServiceList)
			if options := a.(clienttesting.ListActionImpl).ListOptions; behind.Load() && options.ResourceVersion == "" {
				services.Items[0].ResourceVersion = "1000" // the cache itself asks for version 0
			}
			return true, services, err
		})
		c.start("a")
		time.Sleep(10 * time.Second)
		if got := c.written(); got != nil {
			t.Fatalf("%q was written from an old cache", got)
		}
		s := c.get("young")
		shows("Allocated", "10.0.0.1")(s) // the predecessor's last write
		s.ResourceVersion = "1000"
		behind.Store(false)
		if err := c.Tracker().Update(servicesResource, s, "prod"); err != nil {
			t.Fatal(err)
		}
		settle()
		c.want("young", "10.0.0.1 Allocated")
		c.want("old", "- PoolExhausted")
	})
}

func TestFailedListIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1"))
		c.add("web")
		var failures atomic.Int32
		failures.Store(5)
		c.PrependReactor("list", "services", func(a clienttesting.Action) (bool, runtime.Object, error) {
			// Not the cache's own, which asks for version 0: client-go paces its errors by the real clock.
			own := a.(clienttesting.ListActionImpl).ListOptions.ResourceVersion != ""
			return !own && failures.Add(-1) >= 0, nil, errors.New("too busy")
		})
		r := c.start("a")
		time.Sleep(10 * time.Second)
		c.want("web", "10.0.0.1 Allocated")
		if err := r.end(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestConfigurationFile(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		r := New(Options{Client: c, Namespace: "system", Lease: "lease", Identity: "a", File: "/does/not/exist"})
		if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
			t.Errorf("Run = %v", err)
		}
	})
}
