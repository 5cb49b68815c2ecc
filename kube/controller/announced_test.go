package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

// says writes the report of a node's speaker.
func (c *cluster) says(node string, change func(*reports.SpeakerStatus)) {
	c.t.Helper()
	r := reports.Speaker{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: reports.SpeakerStatus{
		Installation: "system/last-good", Written: metav1.NowMicro(),
	}}
	change(&r.Status)
	u, err := r.Unstructured()
	if err != nil {
		c.t.Fatal(err)
	}
	all := c.dynamic.Resource(reports.Speakers)
	if _, err = all.Update(c.t.Context(), u, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
		_, err = all.Create(c.t.Context(), u, metav1.CreateOptions{})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	settle()
}

// speaker has a node's speaker be Ready or not.
func (c *cluster) speaker(node string, ready corev1.ConditionStatus) {
	c.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "speaker-" + node, Labels: map[string]string{"app": "speaker"}},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
	_, err := c.CoreV1().Pods("system").Update(c.t.Context(), p, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = c.CoreV1().Pods("system").Create(c.t.Context(), p, metav1.CreateOptions{})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// list writes addresses as a report has them.
func list(addrs ...string) reports.Listed {
	var all []netip.Addr
	for _, a := range addrs {
		all = append(all, netip.MustParseAddr(a))
	}
	return reports.List(all, nil)
}

func owns(addrs ...string) func(*reports.SpeakerStatus) {
	return func(s *reports.SpeakerStatus) { s.Layer2.Listed = list(addrs...) }
}

func routes(addrs ...string) func(*reports.SpeakerStatus) {
	return func(s *reports.SpeakerStatus) { s.BGP = &reports.BGP{Listed: list(addrs...)} }
}

func lacks(reason string, addrs ...string) func(*reports.SpeakerStatus) {
	return func(s *reports.SpeakerStatus) {
		s.NotAnnounced.Reasons = append(s.NotAnnounced.Reasons, reports.Reason{Reason: reason, Listed: list(addrs...)})
	}
}

// condition returns what the Service's condition Announced says, as "True Announced: message"; "" is none.
func (c *cluster) condition(name string) string {
	c.t.Helper()
	for _, one := range c.get(name).Status.Conditions {
		if one.Type == objects.ConditionAnnounced {
			return fmt.Sprintf("%s %s: %s", one.Status, one.Reason, one.Message)
		}
	}
	return ""
}

func (c *cluster) wantAnnounced(name, want string) {
	c.t.Helper()
	if got := c.condition(name); got != want {
		c.t.Errorf("the condition of %s is\n%q, want\n%q", name, got, want)
	}
}

// patience is how long it takes in a small cluster until it is believed that nobody announces an address.
func patience() {
	time.Sleep(2*reportInterval + time.Second)
	synctest.Wait()
}

func TestAnnouncedOnLayer2(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		r := c.start("a")
		c.add("web")
		settle()
		c.wantAnnounced("web", "") // nobody has reported
		c.says("n1", owns())
		c.says("n2", owns("10.0.0.1"))
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n2")
		theirs := metav1.Condition{Type: "example.com/Theirs", Status: metav1.ConditionTrue, Reason: "Theirs", LastTransitionTime: metav1.Now()}
		c.change("web", func(s *corev1.Service) { s.Status.Conditions = append(s.Status.Conditions, theirs) })

		// Another owner: while both claim it, it is the one that has reported last.
		c.says("n1", owns("10.0.0.1"))
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n1")
		c.says("n2", owns())
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n1")

		// Nobody: at first a successor is given time to say so.
		c.says("n1", owns())
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n1")
		c.says("n1", lacks("NoEndpoints", "10.0.0.1"))
		c.says("n2", lacks("NoEndpoints", "10.0.0.1"))
		c.says("n3", lacks("NodeExcluded", "10.0.0.1"))
		patience()
		c.wantAnnounced("web", "False NoEndpoints: 10.0.0.1 is announced by nobody: NoEndpoints on n1, n2")
		c.wantEvents("web", "Allocated", "Announced", "Announced", "NoEndpoints")
		if !slices.ContainsFunc(c.get("web").Status.Conditions, func(o metav1.Condition) bool { return o.Type == theirs.Type }) {
			t.Error("somebody else's condition is gone")
		}

		c.written()
		for range 10 {
			r.enqueueAll()
			c.says("n1", lacks("NoEndpoints", "10.0.0.1", "10.0.0.7"))
			pass()
		}
		if got := c.written(); got != nil {
			t.Errorf("with nothing to say %q was written", got)
		}
	})
}

// By BGP many announce an address, and their reports come one after the other: the condition names all of them.
func TestAnnouncedByBGPWaitsForTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		c.start("a")
		for _, node := range []string{"n1", "n2", "n3"} {
			c.says(node, owns())
		}
		c.add("web")
		c.add("all")
		c.says("n1", lacks("NoSession", "10.0.0.1"))
		time.Sleep(2*reportInterval - 2*time.Second) // nobody announces it, but for how long that was is another matter
		c.says("n2", routes("10.0.0.1"))
		time.Sleep(reportInterval - time.Second)
		c.wantAnnounced("web", "")
		c.says("n1", routes("10.0.0.1"))
		time.Sleep(time.Second)
		synctest.Wait()
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced by BGP from n1, n2")

		for _, node := range []string{"n1", "n2", "n3"} {
			c.wantAnnounced("all", "False NotOwner: 10.0.0.2 is announced by nobody: NotOwner")
			c.says(node, routes("10.0.0.1", "10.0.0.2"))
		}
		c.wantAnnounced("all", "True Announced: 10.0.0.2 is announced by BGP from n1, n2, n3")
		patience()
		c.wantEvents("web", "Allocated", "Announced")
	})
}

// What holds for long, or is another owner's, is not doubted for the sake of another address.
func TestOwnerIsWrittenAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9", "fd00::/64"))
		c.start("a")
		require := corev1.IPFamilyPolicyRequireDualStack
		c.add("web", families(corev1.IPv4Protocol, corev1.IPv6Protocol), func(s *corev1.Service) { s.Spec.IPFamilyPolicy = &require })
		c.says("n1", func(s *reports.SpeakerStatus) { owns("10.0.0.1")(s); lacks("NoInterface", "fd00::1")(s) })
		patience()
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n1; fd00::1 is announced by nobody: NoInterface on n1")
		c.says("n2", owns("10.0.0.1"))
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n2; fd00::1 is announced by nobody: NoInterface on n1")
	})
}

// A node that joins or leaves the many that announce by BGP is not worth a write.
func TestAnnouncedByBGP(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9", "fd00::/64"))
		c.start("a")
		for i := range 12 {
			c.says(fmt.Sprintf("n%02d", i), routes("10.0.0.1", "fd00::1"))
		}
		prefer := corev1.IPFamilyPolicyPreferDualStack
		c.add("web", families(corev1.IPv4Protocol, corev1.IPv6Protocol), func(s *corev1.Service) { s.Spec.IPFamilyPolicy = &prefer })
		settle()
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced by BGP from 12 nodes: n00, n01, n02, n03, n04 and others; "+
			"fd00::1 is announced by BGP from 12 nodes: n00, n01, n02, n03, n04 and others")
		c.written()
		for i := range 11 {
			c.says(fmt.Sprintf("n%02d", i), lacks("NoSession", "10.0.0.1", "fd00::1"))
		}
		patience()
		if got := c.written(); got != nil {
			t.Errorf("%q was written", got)
		}
		c.says("n11", routes("10.0.0.1"))
		patience()
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced by BGP from n11; "+
			"fd00::1 is announced by nobody: NoSession on 11 nodes: n00, n01, n02, n03, n04 and others")
	})
}

// Before a Service is said to be announced by nobody its speakers have had the time to say what they do.
func TestNewServiceIsNotCalledSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		c.start("a")
		c.says("n1", owns())
		c.add("web")
		settle()
		c.says("n1", lacks("NoEndpoints", "10.0.0.1"))
		time.Sleep(reportInterval)
		c.says("n1", owns("10.0.0.1"))
		patience()
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n1")
		c.wantEvents("web", "Allocated", "Announced")

		// One that loses its address, and one that is no longer ours.
		c.configure(strings.Replace(pool("10.9.0.1"), "main", "none", 1) + "release: [main]\n")
		c.change("web", asks(objects.Prefix+"address-pool", "nowhere"))
		patience()
		c.wantAnnounced("web", "False NotAllocated: it has no address")
		c.change("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		c.wantAnnounced("web", "")
	})
}

// What a speaker said that is gone for longer than a restart does not count; that of another installation never.
func TestReportsThatCount(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		c.pods = "app=speaker"
		r := c.start("a")
		c.add("web")
		c.speaker("n1", corev1.ConditionTrue)
		c.says("n1", owns("10.0.0.1"))
		c.says("n2", func(s *reports.SpeakerStatus) { owns("10.0.0.1")(s); s.Installation = "other/last-good" })
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n1")
		if got := r.Status().Speakers; got != (SpeakersStatus{Reports: 2, Counted: 1}) {
			t.Errorf("the status says %+v", got)
		}

		c.speaker("n1", corev1.ConditionFalse) // a restart
		time.Sleep(20 * time.Second)
		c.speaker("n1", corev1.ConditionTrue)
		time.Sleep(time.Minute)
		c.wantEvents("web", "Allocated", "Announced")
		if err := c.CoreV1().Pods("system").Delete(t.Context(), "speaker-n1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(absence + time.Second)
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n1")
		patience()
		c.wantAnnounced("web", "False NodeNotSelected: 10.0.0.1 is announced by nobody: NodeNotSelected, no node has a speaker that is ready")
		c.speaker("n1", corev1.ConditionTrue)
		settle()
		c.wantAnnounced("web", "True Announced: 10.0.0.1 is announced on layer 2 by n1")
	})
}

// A new leader finds what its predecessor wrote, and writes nothing.
func TestAnnouncedAfterAnotherLeader(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		a := c.start("a")
		c.add("one")
		c.add("two")
		settle()
		c.says("n1", owns("10.0.0.1"))
		c.says("n2", lacks("NoInterface", "10.0.0.2"))
		patience()
		c.wantAnnounced("two", "False NoInterface: 10.0.0.2 is announced by nobody: NoInterface on n2")
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		c.written()
		c.start("b")
		patience()
		if got := c.written(); got != nil {
			t.Errorf("%q was written", got)
		}
	})
}

// Without the CustomResourceDefinition there is no condition, and without a report that says all there is none yet.
func TestNothingIsSaidWithoutReports(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		c.add("web")
		c.start("a")
		c.says("n1", func(s *reports.SpeakerStatus) {
			s.Layer2.Listed = reports.Listed{Addresses: []string{"10.0.0.0"}, Unlisted: 3}
		})
		patience()
		c.wantAnnounced("web", "")
	})
	inBubble(t, func(t *testing.T, c *cluster) {
		c.dynamic.PrependReactor("list", "speakers", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(reports.Speakers.GroupResource(), "", nil)
		})
		c.configure(pool("10.0.0.1-10.0.0.9"))
		c.add("web")
		c.start("a")
		c.says("n1", lacks("NoEndpoints", "10.0.0.1"))
		patience()
		c.wantAnnounced("web", "")
		c.want("web", "10.0.0.1 Allocated")
	})
}

// Every reason that a speaker can give has its place among those that say more or less.
func TestTellingReasons(t *testing.T) {
	if tells("NoEndpoints") >= tells("NotOwner") || tells("Unheard") >= tells("NotOwner") || tells("Unheard") <= tells("NodeExcluded") {
		t.Error("the reasons are out of order")
	}
}
