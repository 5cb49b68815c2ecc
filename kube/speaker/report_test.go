package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/reports"
	"github.com/kontena/network-lb/layer2"
)

// scene is a speaker of node a that reports, and what it works with.
type scene struct {
	*cluster
	dynamic *dynamicfake.FakeDynamicClient
	speaker *Speaker

	mu       sync.Mutex // the speaker asks while the test goes on
	sessions []bgp.PeerStatus
	layer2   layer2.Status
	away     bool // the API server does not take reports
}

// with changes what the speaker is told.
func (s *scene) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Set and Status make a scene a Routes; of the claims its layer2 is one.
func (*scene) Set([]bgp.Peer, []bgp.Route) error { return nil }
func (s *scene) Status() []bgp.PeerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sessions)
}

type sceneClaims struct{ *scene }

func (sceneClaims) Configure([]string, int)  {}
func (sceneClaims) Set([]layer2.Claim) error { return nil }
func (c sceneClaims) Status() layer2.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.layer2
}

var router = bgp.Peer{Address: netip.MustParseAddr("192.0.2.1"), PeerASN: 64501, MyASN: 64500}

// reporting runs f in a bubble with a speaker that has a Service with addresses, and a session that is up.
func reporting(t *testing.T, f func(*scene), addrs ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{cluster: newCluster(t), dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(
			runtime.NewScheme(), map[schema.GroupVersionResource]string{reports.Speakers: "SpeakerList"})}
		s.sessions = []bgp.PeerStatus{{Peer: router, State: bgp.Established, Since: time.Now(),
			IPv4: bgp.FamilyStatus{Wanted: 1, Sent: 1}}}
		s.populate(addrs...)
		s.configure(both)
		f(s)
	})
}

func (s *scene) begin() {
	s.speaker = s.cluster.start(s.cluster, s, sceneClaims{s}, func(o *Options) {
		o.Reports, o.BootID = s.dynamic, "boot-1"
		o.Network = func() ([]netip.Prefix, []netip.Addr, error) {
			return []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
		}
	})
}

// get returns the report; nil: there is none.
func (s *scene) get() *reports.Speaker {
	s.t.Helper()
	u, err := s.dynamic.Resource(reports.Speakers).Get(s.t.Context(), "a", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := reports.ToSpeaker(u)
	if err != nil {
		s.t.Fatal(err)
	}
	return &r
}

// asked returns the requests for reports since it was asked last, but this test's own.
func (s *scene) asked() (verbs []string) {
	for _, a := range s.dynamic.Actions() {
		if v := a.GetVerb(); v != "get" {
			verbs = append(verbs, v)
		}
	}
	s.dynamic.ClearActions()
	return verbs
}

// put changes the report as a hand would.
func (s *scene) put(r *reports.Speaker) {
	s.t.Helper()
	u, err := r.Unstructured()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.dynamic.Resource(reports.Speakers).Update(s.t.Context(), u, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// wait lets the time between two reports pass.
func wait() {
	time.Sleep(reportInterval + time.Second)
	synctest.Wait()
}

func (s *scene) wantAsked(want ...string) {
	s.t.Helper()
	if got := s.asked(); !slices.Equal(got, want) {
		s.t.Errorf("asked to %q, want %q", got, want)
	}
}

func TestReport(t *testing.T) {
	reporting(t, func(s *scene) {
		s.begin()
		r := s.get()
		if r == nil {
			t.Fatal("there is no report")
		}
		owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "a", UID: "uid-a"}
		if len(r.OwnerReferences) != 1 || r.OwnerReferences[0] != owner {
			t.Errorf("it is owned by %v", r.OwnerReferences)
		}
		st := r.Status
		got := fmt.Sprintln(st.BootID, st.Generation, st.BGP.Sessions, st.BGP.Routes, st.BGP.Announced, st.BGP.Addresses,
			st.Layer2.Owned, st.Layer2.Addresses, st.Subnets, st.Gateways)
		if want := "boot-1 7 1/1 1/1 1 [10.1.0.1] 1 [10.0.0.9] [10.0.0.0/24] [10.0.0.1]\n"; got != want {
			t.Errorf("the report says %s, want %s", got, want)
		}
		if len(st.BGP.Peers) != 1 || st.BGP.Peers[0].Peer != "192.0.2.1" || st.BGP.Peers[0].State != "Established" || st.BGP.Peers[0].IPv4.Sent != 1 {
			t.Errorf("the sessions are %+v", st.BGP.Peers)
		}
		if n := st.NotAnnounced; n.Count != 1 || n.Reasons[0].Reason != "NotConfigured" || !slices.Equal(n.Reasons[0].Services, []string{"prod/web"}) {
			t.Errorf("not announced are %+v", n)
		}
		s.asked()
		time.Sleep(time.Hour)
		s.wantAsked()

		// A hand that changes or deletes it changes nothing for long.
		r.Status.Layer2.Owned = 77
		s.put(r)
		wait()
		if s.get().Status.Layer2.Owned != 1 {
			t.Error("what a hand wrote stays")
		}
		if err := s.dynamic.Resource(reports.Speakers).Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		wait()
		if s.get() == nil {
			t.Error("it stays deleted")
		}
		s.wantAsked("update", "update", "delete", "create")
	}, "10.0.0.9", "10.1.0.1", "172.16.0.1")
}

// service makes another Service with one address, and an endpoint on node a or none.
func (s *scene) service(i int, addr string) {
	o := service(addr)
	o.Name = fmt.Sprint("more-", i)
	must(s.cluster, s.CoreV1().Services("prod").Create, o)
}

// A burst is one report at once and one for the rest; a release is written within a second.
func TestReportsOfABurst(t *testing.T) {
	reporting(t, func(s *scene) {
		s.begin()
		wait()
		s.asked()
		for i := range 50 {
			s.service(i, fmt.Sprintf("10.1.0.%d", 10+i))
			time.Sleep(20 * time.Millisecond)
		}
		wait()
		if n := s.get().Status.NotAnnounced; n.Count != 50 || n.Reasons[0].Reason != "NoEndpoints" || n.Reasons[0].Addresses[0] != "10.1.0.10-10.1.0.59" {
			t.Errorf("not announced are %+v", n)
		}
		s.wantAsked("update", "update")
		if err := s.CoreV1().Services("prod").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		s.service(99, "10.1.0.99") // a moment before the last report's time is over
		time.Sleep(urgentInterval + 200*time.Millisecond)
		synctest.Wait()
		if owned := s.get().Status.Layer2.Owned; owned != 0 {
			t.Errorf("%d addresses are owned a second after the last was given up", owned)
		}
	}, "10.0.0.9")
}

// While a conflict is new it is said at once; while it lasts nothing more is.
func TestConflictIsReportedAtOnce(t *testing.T) {
	reporting(t, func(s *scene) {
		s.begin()
		s.service(1, "10.1.0.77")
		time.Sleep(reportInterval)
		addr, began := netip.MustParseAddr("10.0.0.9"), time.Now()
		heard := func() {
			claims := []layer2.ClaimStatus{{Addr: addr, KernelAnswersARP: []string{"eth0"}, Conflicts: []layer2.Conflict{
				{Addr: addr, MAC: layer2.MAC{2, 5: 7}, Interface: "eth0", Speaker: "b", First: began, Last: time.Now()},
			}}}
			s.with(func() { s.layer2.Claims = claims })
		}
		heard()
		time.Sleep(lookInterval + lookPause)
		synctest.Wait()
		if got := s.get().Status.Conflicts; len(got) != 1 || got[0].MAC != "02:00:00:00:00:07" || got[0].Speaker != "b" {
			t.Errorf("conflicts are %v", got)
		}
		wait()
		if k := s.get().Status.Layer2.KernelAnswers; k == nil || k.Count != 1 || k.Addresses[0] != "10.0.0.9" {
			t.Errorf("the kernel answers for %+v", k)
		}
		s.asked()
		for range 10 {
			time.Sleep(conflictInterval / 2)
			heard()
		}
		s.wantAsked()
		time.Sleep(conflictInterval + reportInterval)
		if got := s.get().Status.Conflicts; got != nil {
			t.Errorf("conflicts are %v", got)
		}
	}, "10.0.0.9")
}

// A session that is lost takes the addresses that only its router was told of; its tries change nothing.
func TestReportOfASessionThatIsDown(t *testing.T) {
	reporting(t, func(s *scene) {
		s.begin()
		wait()
		lost := time.Now()
		s.with(func() {
			s.sessions[0].State, s.sessions[0].LostAt, s.sessions[0].Reason = bgp.Idle, lost, "hold time over"
		})
		wait()
		st := s.get().Status
		if st.BGP.Sessions != "0/1" || st.BGP.Announced != 0 || st.NotAnnounced.Reasons[0].Reason != "NoSession" {
			t.Errorf("the report says %+v, %+v", st.BGP, st.NotAnnounced)
		}
		if p := st.BGP.Peers[0]; p.State != "Down" || p.Reason != "hold time over" || !p.Since.Time.Equal(lost.Truncate(time.Microsecond)) {
			t.Errorf("the session is %+v", p)
		}
		s.asked()
		for i := range 20 {
			s.with(func() {
				s.sessions[0].State, s.sessions[0].Since = bgp.State(i%4), time.Now()
				s.sessions[0].Reason = fmt.Sprint("refused from port ", i)
			})
			time.Sleep(2 * time.Second)
		}
		s.wantAsked()
	}, "10.1.0.1")
}

// An owned address without an interface is not announced.
func TestReportOfAClaimWithoutInterface(t *testing.T) {
	reporting(t, func(s *scene) {
		addr := netip.MustParseAddr("10.0.0.9")
		s.layer2.Claims = []layer2.ClaimStatus{{Addr: addr, Err: &layer2.NoInterfaceError{Addr: addr}}}
		s.begin()
		if st := s.get().Status; st.Layer2.Owned != 0 || st.NotAnnounced.Reasons[0].Reason != "NoInterface" {
			t.Errorf("the report says %+v", st)
		}
	}, "10.0.0.9")
}

// While the API server does not answer nothing is held up, and what holds then is written when it does again.
func TestReportWithoutTheAPIServer(t *testing.T) {
	reporting(t, func(s *scene) {
		s.begin()
		s.with(func() { s.away = true })
		s.dynamic.PrependReactor("update", "speakers", func(clienttesting.Action) (bool, runtime.Object, error) {
			s.mu.Lock()
			away := s.away
			s.mu.Unlock()
			if away {
				time.Sleep(reportTimeout)
				return true, nil, context.DeadlineExceeded
			}
			return false, nil, nil
		})
		wait()
		for i := range 3 {
			s.service(i, fmt.Sprintf("10.1.0.%d", 10+i))
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if n := len(s.speaker.Status().Decisions); n != i+2 {
				t.Errorf("%d decisions", n)
			}
		}
		if st := s.speaker.Status().Report; st.Failed == 0 || !strings.Contains(st.Problem, "deadline") {
			t.Errorf("the status says %+v", st)
		}
		s.with(func() { s.away = false })
		time.Sleep(lastRetry + reportTimeout)
		synctest.Wait()
		if n := s.get().Status.NotAnnounced.Count; n != 3 {
			t.Errorf("%d are not announced", n)
		}
		if st := s.speaker.Status().Report; st.Problem != "" {
			t.Errorf("the status says %+v", st)
		}
	}, "10.0.0.9")
}

// Without the resource there is no report, and it is asked for once in a minute.
func TestReportWithoutTheResource(t *testing.T) {
	reporting(t, func(s *scene) {
		var installed atomic.Bool
		s.dynamic.PrependReactor("list", "speakers", func(clienttesting.Action) (bool, runtime.Object, error) {
			if installed.Load() {
				return false, nil, nil
			}
			return true, nil, apierrors.NewNotFound(reports.Speakers.GroupResource(), "")
		})
		s.begin()
		time.Sleep(10*time.Minute - 3*time.Second)
		if n := len(s.asked()); n != 10 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		installed.Store(true)
		time.Sleep(absentInterval)
		wait()
		if s.get() == nil {
			t.Error("there is no report")
		}
	}, "10.0.0.9")
}

// Two installations with speakers on a node do not fight for its report.
func TestReportOfAnotherInstallation(t *testing.T) {
	reporting(t, func(s *scene) {
		s.begin()
		r := s.get()
		if r.Status.Installation != "system/last-good" {
			t.Errorf("it is of %q", r.Status.Installation)
		}
		wait()
		s.asked()
		for range 10 {
			r.Status.Installation, r.Status.Layer2.Owned = "other/last-good", 5
			s.put(r)
			time.Sleep(time.Minute)
		}
		if n := len(s.asked()); n > 10+2 {
			t.Errorf("%d writes in ten minutes", n-10)
		}
		time.Sleep(foreignInterval)
		if s.get().Status.Installation != "system/last-good" {
			t.Error("a report that is nobody's any more stays so")
		}
	}, "10.0.0.9")
}

// In a large cluster each speaker writes more seldom, and not all at the same time.
func TestReportsOfManyNodes(t *testing.T) {
	reporting(t, func(s *scene) {
		for i := range 999 {
			must(s.cluster, s.CoreV1().Nodes().Create, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n-", i)}})
		}
		s.begin()
		time.Sleep(2 * time.Minute)
		s.asked()
		for i := range 200 {
			s.service(i, fmt.Sprintf("10.1.0.%d", i))
			time.Sleep(time.Second)
		}
		if n := len(s.asked()); n < 3 || n > 5 {
			t.Errorf("%d reports in 200 s of 1000 nodes, want 4 or so", n)
		}
		var seconds []float64
		for i := range 1000 {
			r := &reporter{s: &Speaker{opts: Options{Node: fmt.Sprint("n-", i)}}, changed: time.Now()}
			seconds = append(seconds, time.Until(r.due(1000, summary{up: true})).Seconds())
		}
		slices.Sort(seconds)
		if seconds[0] > 1 || seconds[500] < 20 || seconds[500] > 30 || seconds[999] > 50 || seconds[999] < 49 {
			t.Errorf("after a change they write from %.1f s, half by %.1f s, all by %.1f s", seconds[0], seconds[500], seconds[999])
		}
	}, "10.0.0.9")
}
