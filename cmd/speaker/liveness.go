package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/bfd"
)

// patience is how long a router is waited for to agree to a restart.
const patience = 400 * time.Millisecond

// liveness is BFD as BGP takes it. What it suspends is kept in a file for the next process, until that one has resumed
// it: should it end before, the one after it may.
type liveness struct {
	manager *bfd.Manager
	file    string // empty: nothing is kept
	log     *zap.Logger

	mu    sync.Mutex
	saved []bfd.Saved // what is in the file
}

var _ bgp.Liveness = (*liveness)(nil)

// newLiveness takes over what the last process suspended.
func newLiveness(folder string, log *zap.Logger) *liveness {
	l := &liveness{log: log}
	if folder != "" {
		l.file = filepath.Join(folder, "bfd.json")
		if err := l.read(); err != nil {
			log.Warn("BFD sessions of the last run are not resumed", zap.Error(err))
		}
	}
	l.manager = bfd.Listen(bfd.Options{Logger: log, Resume: l.saved})
	return l
}

func (l *liveness) read() error {
	text, err := os.ReadFile(l.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l.saved)
	}
	if err != nil {
		l.saved = nil
		return fmt.Errorf("reading %s: %w", l.file, err)
	}
	return nil
}

// update changes what the file says.
func (l *liveness) update(change func([]bfd.Saved) []bfd.Saved) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.saved)
	l.saved = change(slices.Clone(l.saved))
	if l.file == "" || before == 0 && len(l.saved) == 0 {
		return nil
	}
	text, err := json.Marshal(l.saved)
	if err == nil {
		err = os.WriteFile(l.file, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keeping BFD sessions: %w", err)
	}
	return nil
}

// Watch implements bgp.Liveness.
func (l *liveness) Watch(t bgp.Target, changed func(bgp.LivenessStatus)) (bgp.Watch, error) {
	session, err := l.manager.Open(bfd.Config{
		Local: t.Local, Remote: t.Remote, Interface: t.Interface, Multihop: t.Multihop, Parameters: parameters(t.Peer.BFD),
	}, func(s bfd.Status) { changed(translate(s)) })
	if err != nil {
		return nil, err
	}
	err = l.update(func(saved []bfd.Saved) []bfd.Saved {
		return slices.DeleteFunc(saved, func(s bfd.Saved) bool {
			return s.Local.WithZone("") == t.Local.WithZone("") && s.Remote.WithZone("") == t.Remote.WithZone("")
		})
	})
	if err != nil {
		l.log.Warn("a resumed BFD session is still said to be suspended", zap.Error(err))
	}
	return &watch{l, session, t.Peer.Title()}, nil
}

func parameters(b bgp.BFD) bfd.Parameters {
	return bfd.Parameters{Receive: b.Receive, Transmit: b.Transmit, Multiplier: b.Multiplier, MinimumTTL: b.MinimumTTL, Passive: b.Passive}
}

var states = map[bfd.State]bgp.LivenessState{
	bfd.AdminDown: bgp.LivenessAdminDown, bfd.Down: bgp.LivenessDown, bfd.Init: bgp.LivenessInit, bfd.Up: bgp.LivenessUp,
}

func translate(s bfd.Status) bgp.LivenessStatus {
	out := bgp.LivenessStatus{State: states[s.State], Dead: s.Dead, Since: s.Since}
	switch {
	case s.State == bfd.Up:
	case s.RemoteState == bfd.AdminDown && s.RemoteDiscriminator != 0:
		out.Reason = "the peer has taken BFD down on purpose"
	case s.Diagnostic != bfd.NoDiagnostic:
		out.Reason = s.Diagnostic.String()
	}
	return out
}

// watch is one peer's session.
type watch struct {
	liveness *liveness
	session  *bfd.Session
	peer     string
}

func (w *watch) Set(b bgp.BFD) {
	if err := w.session.Set(parameters(b)); err != nil {
		w.liveness.log.Error("changing BFD's parameters", zap.String("peer", w.peer), zap.Error(err)) // the peer's are valid
	}
}

func (w *watch) Suspend() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	saved, err := w.session.Suspend(ctx)
	if err == nil {
		err = w.liveness.update(func(all []bfd.Saved) []bfd.Saved { return append(all, saved) })
	}
	if err != nil && !errors.Is(err, bfd.ErrNotUp) {
		w.liveness.log.Warn("BFD is not resumed by the next process", zap.String("peer", w.peer), zap.Error(err))
	}
}

func (w *watch) Close() { w.session.Close() }
