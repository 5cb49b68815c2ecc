package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/bfd"
)

// newTestLiveness closes it after the test, and waits until it leaves the folder alone.
func newTestLiveness(t *testing.T, folder string) *liveness {
	l := newLiveness(folder, zaptest.NewLogger(t))
	t.Cleanup(func() {
		l.close()
		<-l.ended
	})
	return l
}

func TestSuspendedSessionsAreKeptUntilResumed(t *testing.T) {
	folder := t.TempDir()
	next := func() *liveness { return newTestLiveness(t, folder) }
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	local := netip.MustParseAddr("127.0.0.1")
	first := next()
	for i, remote := range []string{"127.0.0.2", "fe80::1%eth0"} {
		saved := bfd.Saved{Local: local, Remote: netip.MustParseAddr(remote), LocalDiscriminator: uint32(i + 1), RemoteReceive: time.Second, At: at}
		if err := first.kept.update(func(all []bfd.Saved) []bfd.Saved { return append(all, saved) }); err != nil {
			t.Fatal(err)
		}
	}
	next() // it ends before it has resumed anything
	third := next()
	if s := third.kept.saved; len(s) != 2 || s[1].Remote != netip.MustParseAddr("fe80::1%eth0") || s[1].LocalDiscriminator != 2 ||
		s[0].RemoteReceive != time.Second || !s[0].At.Equal(at) {
		t.Fatalf("kept %+v", s)
	}
	watch, err := third.Watch(bgp.Target{Local: local, Remote: netip.MustParseAddr("127.0.0.2")}, func(bgp.LivenessStatus) {})
	if err != nil {
		t.Fatal(err)
	}
	watch.Close()
	if s := next().kept.saved; len(s) != 1 || s[0].LocalDiscriminator != 2 {
		t.Errorf("after one was resumed: %+v", s)
	}
	if err := os.WriteFile(filepath.Join(folder, "bfd.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := next().kept.saved; len(s) != 0 {
		t.Errorf("of a spoilt file: %+v", s)
	}
}

// TestKeptRoutesKeepBFD has a session that was not suspended when the process ends to be followed by another.
func TestKeptRoutesKeepBFD(t *testing.T) {
	folder, targets := resumable(t, time.Minute, "127.0.0.2")
	l := newTestLiveness(t, folder)
	w, err := l.Watch(targets[0], func(bgp.LivenessStatus) {})
	if err != nil {
		t.Fatal(err)
	}
	r := routing{liveness: l, routes: bgp.NewSpeaker(new(bgp.Memory), bgp.Options{}), log: zaptest.NewLogger(t)}
	r.close(true)
	if s := w.(*watch).session.Status(); s.State != bfd.Up {
		t.Errorf("the router is told %s", s.State)
	}
	saysOnly(t, folder, targets...)
}

func TestTranslate(t *testing.T) {
	for name, tt := range map[string]struct {
		is   bfd.Status
		want bgp.LivenessStatus
	}{
		"up": {bfd.Status{State: bfd.Up, RemoteState: bfd.Up}, bgp.LivenessStatus{State: bgp.LivenessUp}},
		"silent": {bfd.Status{State: bfd.Down, Dead: true, Diagnostic: bfd.DetectionTimeExpired},
			bgp.LivenessStatus{State: bgp.LivenessDown, Dead: true, Reason: bfd.DetectionTimeExpired.String()}},
		"taken down": {bfd.Status{State: bfd.Down, RemoteState: bfd.AdminDown, RemoteDiscriminator: 7, Diagnostic: bfd.NeighbourSignalledDown},
			bgp.LivenessStatus{State: bgp.LivenessDown, Reason: "the peer has taken BFD down on purpose"}},
		"not heard yet": {bfd.Status{State: bfd.Down}, bgp.LivenessStatus{State: bgp.LivenessDown}},
	} {
		if got := translate(tt.is); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
