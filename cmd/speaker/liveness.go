package main

import (
	"context"
	"errors"
	"path/filepath"
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
	kept    *kept
	log     *zap.Logger

	news  chan struct{} // some session has changed
	stop  chan struct{} // closed by close
	ended chan struct{} // closed when changes are written no more

	mu   sync.Mutex // never held while the file is written
	open map[*watch]struct{}
}

var _ bgp.Liveness = (*liveness)(nil)

// newLiveness takes over what the last process suspended. An empty folder keeps nothing.
func newLiveness(folder string, log *zap.Logger) *liveness {
	l := &liveness{log: log, open: map[*watch]struct{}{},
		news: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	file := ""
	if folder != "" {
		file = filepath.Join(folder, "bfd.json")
	}
	var err error
	if l.kept, err = openKept(file); err != nil {
		log.Warn("BFD sessions of the last run are not resumed", zap.Error(err))
	}
	l.manager = bfd.Listen(bfd.Options{Logger: log, Resume: l.kept.saved})
	go l.follow()
	return l
}

// close tells the routers of what is still watched that it is no more.
func (l *liveness) close() {
	close(l.stop)
	l.manager.Close()
}

// follow has the file say what a process has to know that follows this one if it is killed. It is a goroutine of its own:
// those that tell of changes have packets to read, and a disk may take its time.
func (l *liveness) follow() {
	defer close(l.ended)
	for {
		select {
		case <-l.stop:
			return
		case <-l.news:
		}
		if err := l.kept.update(l.snapshots); err != nil {
			l.log.Warn("BFD is not resumed if this process is killed", zap.Error(err))
		}
	}
}

// poke has the file follow a change, soon.
func (l *liveness) poke() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// snapshots brings what is kept of the open sessions up to date.
func (l *liveness) snapshots(all []bfd.Saved) []bfd.Saved {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.open {
		saved, err := w.session.Snapshot()
		all = replace(all, w.target, saved, err)
	}
	return all
}

// Watch implements bgp.Liveness.
func (l *liveness) Watch(t bgp.Target, changed func(bgp.LivenessStatus)) (bgp.Watch, error) {
	session, err := l.manager.Open(bfd.Config{
		Local: t.Local, Remote: t.Remote, Interface: t.Interface, Multihop: t.Multihop, Parameters: parameters(t.Peer.BFD),
	}, func(s bfd.Status) {
		l.poke()
		changed(translate(s))
	})
	if err != nil {
		return nil, err
	}
	w := &watch{liveness: l, target: t, session: session}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[w] = struct{}{}
	l.poke() // one that was resumed may be resumed again
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
	session  *bfd.Session
}

func (w *watch) Set(b bgp.BFD) {
	if err := w.session.Set(parameters(b)); err != nil {
		w.liveness.log.Error("changing BFD's parameters", zap.String("peer", w.target.Peer.Title()), zap.Error(err)) // the peer's are valid
	}
}

func (w *watch) Suspend() {
	w.leave()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	saved, err := w.session.Suspend(ctx)
	if fault := w.keep(saved, err); fault != nil {
		err = fault
	}
	if !errors.Is(err, bfd.ErrNotUp) {
		w.complain("BFD is not resumed by the next process", err)
	}
}

func (w *watch) Close() {
	w.leave()
	w.session.Close()
	w.complain("a closed BFD session is still said to be up", w.keep(bfd.Saved{}, bfd.ErrNotUp))
}

// leave has the file not follow the session any more: what keep has it say next is the last word.
func (w *watch) leave() {
	w.liveness.mu.Lock()
	defer w.liveness.mu.Unlock()
	delete(w.liveness.open, w)
}

// keep has the file say what is saved of the session, or nothing where that failed, and returns when it does.
func (w *watch) keep(saved bfd.Saved, failed error) error {
	return w.liveness.kept.update(func(all []bfd.Saved) []bfd.Saved { return replace(all, w.target, saved, failed) })
}

func (w *watch) complain(what string, err error) {
	if err != nil {
		w.liveness.log.Warn(what, zap.String("peer", w.target.Peer.Title()), zap.Error(err))
	}
}
