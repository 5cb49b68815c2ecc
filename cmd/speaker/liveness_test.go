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

func TestSuspendedSessionsAreTakenOnce(t *testing.T) {
	folder := t.TempDir()
	l := newLiveness(folder, zaptest.NewLogger(t))
	defer l.manager.Close()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, remote := range []string{"10.0.0.1", "fe80::1%eth0"} {
		err := l.keep(bfd.Saved{Remote: netip.MustParseAddr(remote), LocalDiscriminator: uint32(i + 1), RemoteReceive: time.Second, At: at})
		if err != nil {
			t.Fatal(err)
		}
	}
	saved, err := take(l.file)
	if err != nil || len(saved) != 2 || saved[1].Remote != netip.MustParseAddr("fe80::1%eth0") || saved[1].LocalDiscriminator != 2 ||
		saved[0].RemoteReceive != time.Second || !saved[0].At.Equal(at) {
		t.Errorf("taken %+v, %v", saved, err)
	}
	if again, err := take(l.file); len(again) > 0 || err != nil {
		t.Errorf("taken again: %+v, %v", again, err)
	}
	if err := os.WriteFile(filepath.Join(folder, "bfd.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	newLiveness(folder, zaptest.NewLogger(t)).manager.Close()
	if _, err := os.Stat(l.file); !os.IsNotExist(err) {
		t.Errorf("a spoilt file is still there: %v", err)
	}
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
