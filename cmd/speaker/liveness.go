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
// it: should it end before, the one after it may. So is what is up, for one that follows a process that was killed, and
// is there before the router has missed it.
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

// replace changes what the file says of the session with a target.
func (l *liveness) replace(t bgp.Target, by ...bfd.Saved) error {
	return l.update(func(all []bfd.Saved) []bfd.Saved {
		return append(slices.DeleteFunc(all, func(s bfd.Saved) bool {
			return s.Local.WithZone("") == t.Local.WithZone("") && s.Remote.WithZone("") == t.Remote.WithZone("")
		}), by...)
	})
}

// Watch implements bgp.Liveness.
func (l *liveness) Watch(t bgp.Target, changed func(bgp.LivenessStatus)) (bgp.Watch, error) {
	w := &watch{liveness: l, target: t}
	session, err := l.manager.Open(bfd.Config{
		Local: t.Local, Remote: t.Remote, Interface: t.Interface, Multihop: t.Multihop, Parameters: parameters(t.Peer.BFD),
	}, func(s bfd.Status) {
		w.keep()
		changed(translate(s))
	})
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.session = session
	w.mu.Unlock()
	w.keep() // one that was resumed may be resumed again
	return w, nil
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
	target   bgp.Target

	mu      sync.Mutex
	session *bfd.Session // nil while it is being opened
	over    bool         // what the file says is the last word
}

func (w *watch) Set(b bgp.BFD) {
	if err := w.session.Set(parameters(b)); err != nil {
		w.liveness.log.Error("changing BFD's parameters", zap.String("peer", w.target.Peer.Title()), zap.Error(err)) // the peer's are valid
	}
}

// keep has the file say what a process has to know that follows this one if it is killed now.
func (w *watch) keep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session == nil || w.over {
		return
	}
	saved, err := w.session.Snapshot()
	w.complain("BFD is not resumed if this process is killed", w.write(saved, err))
}

func (w *watch) Suspend() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	saved, err := w.session.Suspend(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if fault := w.write(saved, err); fault != nil {
		err = fault
	}
	if !errors.Is(err, bfd.ErrNotUp) {
		w.complain("BFD is not resumed by the next process", err)
	}
}

func (w *watch) Close() {
	w.session.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.complain("a closed BFD session is still said to be up", w.liveness.replace(w.target))
}

// write has the file say what is saved, or nothing where that failed.
func (w *watch) write(saved bfd.Saved, failed error) error {
	if failed != nil {
		return w.liveness.replace(w.target)
	}
	return w.liveness.replace(w.target, saved)
}

func (w *watch) complain(what string, err error) {
	if err != nil {
		w.liveness.log.Warn(what, zap.String("peer", w.target.Peer.Title()), zap.Error(err))
	}
}
