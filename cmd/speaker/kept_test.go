package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/bfd"
	"github.com/kontena/network-lb/internal/nstest"
)

// resumable are a folder with sessions that the next process resumes, and their targets. There is nobody at the other
// ends: they are up as long as 3 times the interval.
func resumable(t *testing.T, interval time.Duration, remotes ...string) (folder string, targets []bgp.Target) {
	t.Helper()
	folder = t.TempDir()
	local := netip.MustParseAddr("127.0.0.1")
	var all []bfd.Saved
	for i, r := range remotes {
		remote := netip.MustParseAddr(r)
		all = append(all, bfd.Saved{Local: local, Remote: remote, LocalDiscriminator: uint32(i + 1), RemoteDiscriminator: 7,
			RemoteReceive: interval, RemoteTransmit: interval, RemoteMultiplier: 3, At: time.Now()})
		targets = append(targets, bgp.Target{Local: local, Remote: remote})
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "bfd.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder, targets
}

// stalled has the file take no content until proceed is called. began gets a value when somebody tries.
func stalled(l *liveness) (began chan struct{}, proceed func()) {
	began = make(chan struct{}, 100)
	disk := make(chan struct{})
	l.kept.mu.Lock()
	defer l.kept.mu.Unlock()
	write := l.kept.write
	l.kept.write = func(path string, content []byte) error {
		began <- struct{}{}
		<-disk
		return write(path, content)
	}
	return began, func() { close(disk) }
}

// saysOnly waits until the file in a folder names these targets and no others.
func saysOnly(t *testing.T, folder string, targets ...bgp.Target) {
	t.Helper()
	nstest.Eventually(t, fmt.Sprintf("the file names %d sessions", len(targets)), func() (bool, any) {
		k, err := openKept(filepath.Join(folder, "bfd.json"))
		return err == nil && slices.EqualFunc(k.saved, targets, isOf), k.saved
	})
}

// TestStalledDisk has the disk hang: the sessions are opened and found down all the same.
func TestStalledDisk(t *testing.T) {
	folder, targets := resumable(t, 10*time.Millisecond, "127.0.0.2", "127.0.0.3")
	l := newTestLiveness(t, folder)
	began, proceed := stalled(l)
	down := make(chan struct{}, len(targets))
	opened := make(chan bgp.Watch, len(targets))
	go func() {
		defer close(opened)
		for _, to := range targets {
			w, err := l.Watch(to, func(s bgp.LivenessStatus) {
				if s.State == bgp.LivenessDown {
					down <- struct{}{}
				}
			})
			if err != nil {
				t.Error(err)
				return
			}
			opened <- w
		}
	}()
	<-began
	late := time.After(20 * time.Second)
	for i := range targets {
		select {
		case <-down:
			continue
		case <-late:
			t.Errorf("%d of %d were found down while the disk hung", i, len(targets))
		}
		break
	}
	proceed()
	saysOnly(t, folder)
	for w := range opened {
		w.Close()
	}
}

// TestLastWord has a session closed while the disk is busy with saying that it is up.
func TestLastWord(t *testing.T) {
	folder, targets := resumable(t, time.Minute, "127.0.0.2", "127.0.0.3")
	l := newTestLiveness(t, folder)
	began, proceed := stalled(l)
	var watches []bgp.Watch
	for _, to := range targets {
		w, err := l.Watch(to, func(bgp.LivenessStatus) {})
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, w)
	}
	<-began
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		watches[0].Close()
	}()
	proceed()
	<-closed
	saysOnly(t, folder, targets[1])
	l.poke()
	<-began
	saysOnly(t, folder, targets[1])
}

// TestSameAddressesOnAnotherLink: link-local addresses are only unique on their link.
func TestSameAddressesOnAnotherLink(t *testing.T) {
	addr := netip.MustParseAddr
	vlan := func(name string) (bgp.Target, bfd.Saved) {
		local, remote := addr("fe80::1"), addr("fe80::2")
		return bgp.Target{Local: local.WithZone(name), Remote: remote.WithZone(name), Interface: name},
			bfd.Saved{Local: local, Remote: remote, Interface: name}
	}
	routed := func(iface string, multihop bool) (bgp.Target, bfd.Saved) {
		local, remote := addr("10.0.1.1"), addr("10.0.1.2")
		saved := bfd.Saved{Local: local, Remote: remote, Interface: iface, Multihop: multihop}
		if multihop {
			saved.Interface = "" // as package bfd has it
		}
		return bgp.Target{Local: local, Remote: remote, Interface: iface, Multihop: multihop}, saved
	}
	k, err := openKept(filepath.Join(t.TempDir(), "bfd.json"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []bgp.Target
	keep := func(target bgp.Target, saved bfd.Saved) {
		targets = append(targets, target)
		for range 2 { // the second takes the place of the first
			if err := k.update(func(all []bfd.Saved) []bfd.Saved { return replace(all, target, saved, nil) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	keep(vlan("vlan10"))
	keep(vlan("vlan20"))
	keep(routed("eth1", false))
	keep(routed("eth2", false))
	keep(routed("eth1", true))
	if !slices.EqualFunc(k.saved, targets, isOf) {
		t.Fatalf("kept %+v", k.saved)
	}
	moved, _ := routed("eth9", true) // over several hops it is the same one
	err = k.update(func(all []bfd.Saved) []bfd.Saved { return replace(all, moved, bfd.Saved{}, bfd.ErrNotUp) })
	if err != nil || len(k.saved) != 4 || k.saved[3].Multihop {
		t.Errorf("kept %+v (%v)", k.saved, err)
	}
}
