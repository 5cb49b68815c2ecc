package speaker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
	"github.com/kontena/network-lb/layer2"
)

// squatter is a machine that is no speaker's and has the address already.
var squatter = layer2.MAC{2, 0, 0, 0, 9, 9}

func (s *site) squat() { s.lan.Client(squatter, first.Next().Next()).Hold(first) }

// announced has the Service's condition name an address.
func (s *site) announced(message string) {
	s.t.Helper()
	svc, err := s.CoreV1().Services("prod").Get(s.t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	svc.Status.Conditions = append(svc.Status.Conditions, metav1.Condition{Type: objects.ConditionAnnounced, Status: metav1.ConditionTrue, Reason: "Announced", Message: message})
	if _, err := s.CoreV1().Services("prod").UpdateStatus(s.t.Context(), svc, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// Before an address is announced for the first time, the speaker that is to own it asks who has it.
func TestOccupied(t *testing.T) {
	for _, tt := range []struct {
		name, mode string
		wait       time.Duration // until it is answered
		found      bool
		setUp      func(s *site)
	}{
		{"nobody has it", "report", 0, false, func(*site) {}},
		{"reported", "report", 0, true, (*site).squat},
		{"avoided", "avoid", avoidance, true, (*site).squat},
		{"off", "off", 0, false, (*site).squat},
		{"announced before", "avoid", 0, false, func(s *site) {
			s.squat()
			s.announced(first.String() + " is announced on layer 2 by c")
		}},
		{"another address was announced before", "avoid", avoidance, true, func(s *site) {
			s.squat()
			s.announced(first.Next().String() + " is announced on layer 2 by c; " + first.String() + " is announced by nobody: NoEndpoints on c")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inSite(t, "a b", func(t *testing.T, s *site) {
				s.configure(strings.Replace(lanOnly, "}]", ", conflict_probe: "+tt.mode+"}]", 1))
				tt.setUp(s)
				began := time.Now()
				s.run("a b")
				s.becomes("a")
				if took := time.Since(began); took < tt.wait || took > tt.wait+3*time.Second {
					t.Errorf("it was answered after %v, want %v and at most 3 s more", took, tt.wait)
				}
				got := s.nodes["a"].Status().Occupied
				if len(got) > 0 != tt.found {
					t.Fatalf("found %+v, want any: %v", got, tt.found)
				}
				if tt.found && (got[0].Address != first || got[0].MAC != squatter || got[0].Interface != "eth0") {
					t.Errorf("found %+v", got[0])
				}
				time.Sleep(occupancy)
				synctest.Wait()
				if got := s.nodes["a"].Status().Occupied; len(got) > 0 {
					t.Errorf("still after %v: %+v", occupancy, got)
				}
				s.want("for good", "a")
			})
		})
	}
}

// Its report says so at once, as does the metric.
func TestOccupiedIsReported(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		dynamic := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(
			runtime.NewScheme(), map[schema.GroupVersionResource]string{reports.Speakers: "SpeakerList"})
		s.squat()
		s.run("a b", func(o *Options) { o.Reports = dynamic })
		s.becomes("a")
		time.Sleep(2 * reportInterval)
		u, err := dynamic.Resource(reports.Speakers).Get(t.Context(), "a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := reports.ToSpeaker(u)
		if err != nil {
			t.Fatal(err)
		}
		if c := r.Status.Conflicts; len(c) != 1 || !c[0].Probe || c[0].Address != first.String() || c[0].MAC != squatter.String() || c[0].Interface != "eth0" || c[0].Speaker != "" {
			t.Errorf("conflicts %+v", c)
		}
		if err := testutil.GatherAndCompare(s.nodes["a"].Metrics(), strings.NewReader(`
# HELP network_lb_layer2_occupied Addresses that were found with another machine within ten minutes, before they were announced for the first time.
# TYPE network_lb_layer2_occupied gauge
network_lb_layer2_occupied 1
`), "network_lb_layer2_occupied"); err != nil {
			t.Error(err)
		}
	})
}

// What a fellow holds was announced, whatever the Service says: who takes it over does not leave it to a stranger.
func TestHeldIsNotFresh(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.configure(strings.Replace(lanOnly, "}]", ", conflict_probe: avoid}]", 1))
		s.run("a b")
		s.becomes("a")
		s.squat()
		s.nodes["a"].crash()
		if d := s.becomes("b"); d > 2500*time.Millisecond {
			t.Errorf("it is taken over after %v", d)
		}
		s.prepare("a")
		s.run("a")
		time.Sleep(10 * time.Second)
		s.want("no failback", "b")
		s.annotate("one")
		if d := s.becomes("a"); d > time.Second {
			t.Errorf("it is moved after %v", d)
		}
		for _, n := range s.nodes {
			if o := n.Status().Occupied; len(o) > 0 {
				t.Errorf("%s has found %+v", n.name, o)
			}
		}
	})
}

// Many new addresses are asked for in less than a second, and one that comes after them does not wait for them.
func TestManyFresh(t *testing.T) {
	inSite(t, "a", func(t *testing.T, s *site) {
		s.configure("address_pools: [{name: lan, protocol: layer2, addresses: [10.0.0.0-10.0.0.199]}]\n")
		s.run("a")
		s.becomes("a")
		create := func(name, addr string) {
			svc := service(addr)
			svc.Name = name
			must(s.cluster, s.CoreV1().Services("prod").Create, svc)
			must(s.cluster, s.DiscoveryV1().EndpointSlices("prod").Create, slice(name, name, "a"))
		}
		answered := func(n int) func() bool {
			return func() bool { return len(s.nodes["a"].responder.Status().Claims) == n }
		}
		began := time.Now()
		until := func(done func() bool) time.Duration {
			for !done() && time.Since(began) < time.Minute {
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
			return time.Since(began)
		}
		create("single", "10.0.0.198")
		if took := until(answered(2)); took < 150*time.Millisecond || took > 200*time.Millisecond {
			t.Errorf("one is answered after %v", took)
		}
		time.Sleep(time.Second)
		began = time.Now()
		for i := range 180 {
			create(fmt.Sprint("web-", i), fmt.Sprintf("10.0.0.%d", 16+i))
		}
		time.Sleep(50 * time.Millisecond)
		create("late", "10.0.0.199")
		has := func(a string) func() bool {
			return func() bool {
				return slices.ContainsFunc(s.nodes["a"].responder.Status().Claims, func(c layer2.ClaimStatus) bool { return c.Addr.String() == a })
			}
		}
		if took := until(has("10.0.0.199")); took > 250*time.Millisecond {
			t.Errorf("the late one is answered after %v", took)
		}
		if took := until(answered(183)); took > 400*time.Millisecond {
			t.Errorf("all are answered after %v", took)
		} else {
			t.Logf("all are answered after %v", took)
		}
	})
}

// An address that another machine has is given up as soon as the Service has another one.
func TestOccupiedAndMoved(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.configure(strings.Replace(lanOnly, "}]", ", conflict_probe: avoid}]", 1))
		s.squat()
		s.run("a b")
		time.Sleep(avoidance / 2)
		s.want("while it is avoided", "")
		svc, err := s.CoreV1().Services("prod").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: first.Next().String()}}
		if _, err := s.CoreV1().Services("prod").UpdateStatus(t.Context(), svc, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(avoidance)
		synctest.Wait()
		var held []string
		for _, n := range s.nodes {
			for _, c := range n.responder.Status().Claims {
				held = append(held, c.Addr.String())
			}
		}
		if len(held) != 1 || held[0] != first.Next().String() {
			t.Errorf("%v are answered", held)
		}
	})
}
