package speaker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/announce/members/memberstest"
)

// told is what a node's report says of the membership, in a line.
func (s *site) told(name string) string {
	n := s.nodes[name].Speaker
	n.mu.Lock()
	plan := n.last
	n.mu.Unlock()
	m := n.membership(plan)
	if m == nil {
		return "nothing"
	}
	out := fmt.Sprintf("%d speakers", m.Speakers)
	if m.Problem != "" {
		out += ", " + m.Problem
	}
	for _, t := range m.Troubles {
		out += fmt.Sprintf(", %s %s: %s", t.Node, t.Presence, t.Problem)
		if t.Answers != nil {
			out += fmt.Sprintf(" (answers for %d: %s)", t.Answers.Count, strings.Join(t.Answers.Addresses, " "))
		}
	}
	return out
}

func (s *site) wantTold(when string, want map[string]string) {
	s.t.Helper()
	for name, text := range want {
		if got := s.told(name); got != text {
			s.t.Errorf("%s: %s tells\n %s\nwant\n %s", when, name, got, text)
		}
	}
}

func TestReportOfTheMembership(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a b")
		well := map[string]string{"a": "2 speakers", "b": "2 speakers"}
		s.wantTold("at first", well)
		const lost = "2 speakers, %s Lost: no answer from port 17946 of %s by TCP or UDP: the node is down, or the port is blocked (i/o timeout)"
		s.network.Carry(memberstest.Parted(address("a")))
		time.Sleep(10 * time.Second)
		for range 300 { // whether it is being asked for just now or not
			time.Sleep(10 * time.Millisecond)
			s.wantTold("parted", map[string]string{
				"a": fmt.Sprintf(lost, "b", address("b")),
				"b": fmt.Sprintf(lost, "a", address("a")) + " (answers for 1: " + first.String() + ")",
			})
		}
		s.network.Carry(nil)
		time.Sleep(10 * time.Second)
		s.wantTold("whole", well)

		s.secret("members", map[string]string{"key": "x"})
		time.Sleep(time.Second)
		bad := `the Secret system/members: "key" is not base64; the keys that were known still serve`
		s.wantTold("a bad key", map[string]string{"a": "2 speakers, " + bad, "b": "2 speakers, " + bad})
		s.key("key", 1)
		time.Sleep(time.Second)
		s.wantTold("a good one", well)

		s.nodes["b"].clocks.Stall(3 * time.Second)
		s.network.Carry(memberstest.Parted(address("b")))
		time.Sleep(time.Second)
		if got := s.told("b"); !strings.HasPrefix(got, "2 speakers, this speaker stood still") {
			t.Errorf("b tells %s", got)
		}
		s.network.Carry(nil)
		time.Sleep(10 * time.Second)
		s.wantTold("back", well)

		s.nodes["b"].crash()
		if err := s.CoreV1().Nodes().Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s.wantTold("deleted", map[string]string{"a": "1 speakers"})
		s.configure(lanOnly + "membership: {enabled: false}\n")
		time.Sleep(time.Second)
		s.wantTold("without", map[string]string{"a": "nothing"})
	})
}

// A speaker that never came is not taken for the one that answers: it would keep the address from everybody.
func TestStrangerBesideASpeakerThatNeverCame(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		p := pod("a")
		p.Status.Conditions = nil
		must(s.cluster, s.CoreV1().Pods("system").Create, p)
		s.squat()
		s.run("b")
		time.Sleep(unmet - 10*time.Second)
		s.want("it may have begun a moment ago", "")
		time.Sleep(20 * time.Second)
		s.want("it is not there", "b")
	})
}

// A machine that answers with a MAC address that nobody has told is some speaker's that was never met.
func TestReportOfAnUnknownSpeaker(t *testing.T) {
	inSite(t, "a b", func(t *testing.T, s *site) {
		s.run("a")
		s.network.Carry(memberstest.Parted(address("a")))
		s.run("b")
		p := pod("a")
		p.Status.Conditions = nil // else b leaves it to a without having to ask
		if _, err := s.CoreV1().Pods("system").UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s.want("parted", "a")
		if got, want := s.told("b"), " Missing: no answer from port 17946"; !strings.Contains(got, want) {
			t.Errorf("b tells %s", got)
		}
		if got, want := s.told("b"), ",  :  (answers for 1: "+first.String()+")"; !strings.HasSuffix(got, want) {
			t.Errorf("b tells %s, want it to end %s", got, want)
		}
	})
}
