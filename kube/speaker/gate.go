package speaker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/internal/atomicfile"
)

const (
	// dialTime is how long a try to connect takes at most. A connection that was begun too early never comes about, since
	// the kernel goes on sending its packets where the first one went.
	dialTime = 500 * time.Millisecond
	// dialPause is between two tries.
	dialPause = 250 * time.Millisecond
	// gateTime is for how long a speaker is not Ready because its node was not seen to forward.
	gateTime = 30 * time.Second
)

// gate finds out whether the node forwards what comes for a Service: whether a connection to the ClusterIP of the API
// server has come about once since the node booted, or since its network was unavailable. It asks nobody else.
type gate struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: every node is taken to forward
	file string                                                               // for the next process; empty: there is none
	wake func()
	log  *zap.Logger

	mu      sync.Mutex
	note    gateNote
	targets []netip.AddrPort
	stop    context.CancelFunc // of who asks; nil: nobody does
	since   time.Time          // when it was begun to ask
	problem error              // of the last try
}

// gateNote is what the next process on the same boot has to know.
type gateNote struct {
	BootID string `json:"bootID"`
	// Proven says that a connection came about.
	Proven bool `json:"proven"`
	// Announced are the addresses that were announced on this boot although it had not.
	Announced []netip.Addr `json:"announced,omitempty"`
}

func newGate(o Options, wake func(), log *zap.Logger) *gate {
	g := &gate{dial: o.Dial, wake: wake, log: log, note: gateNote{BootID: o.BootID, Proven: o.Dial == nil}}
	if o.Dial == nil {
		return g
	}
	var last gateNote
	if o.State != "" {
		g.file = filepath.Join(o.State, "data-path.json")
		text, err := os.ReadFile(g.file)
		if err == nil {
			err = json.Unmarshal(text, &last)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // a speaker of this boot that had no gate has announced without
			last = gateNote{BootID: o.BootID, Proven: o.SameBoot}
		case err != nil:
			log.Warn("it is asked anew whether the node forwards", zap.Error(err))
			last = gateNote{}
		}
	}
	if o.BootID != "" && last.BootID == o.BootID {
		g.note = last
	}
	g.keep()
	return g
}

// keep writes the note. Without it the next process asks anew.
func (g *gate) keep() {
	if g.file == "" {
		return
	}
	text, err := json.Marshal(g.note)
	if err == nil {
		err = atomicfile.Write(g.file, text)
	}
	if err != nil {
		g.log.Warn("the next process will not know whether the node forwards", zap.Error(err))
	}
}

// follow asks as long as it has to. unavailable says that the node has no network, as the cluster says: what was found out
// before counts no more then.
func (g *gate) follow(ctx context.Context, targets []netip.AddrPort, unavailable bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dial == nil {
		return
	}
	if unavailable || g.stop != nil && !slices.Equal(targets, g.targets) {
		g.end()
	}
	if g.targets = targets; unavailable && (g.note.Proven || len(g.note.Announced) > 0) {
		g.note.Proven, g.note.Announced = false, nil
		g.keep()
	}
	if g.note.Proven || unavailable || len(targets) == 0 || g.stop != nil {
		return
	}
	if g.since.IsZero() {
		g.since = time.Now()
	}
	ctx, g.stop = context.WithCancel(ctx)
	go g.ask(ctx, targets)
}

// end has nobody ask any more; g.mu is held.
func (g *gate) end() {
	if g.stop != nil {
		g.stop()
	}
	g.stop, g.since, g.problem = nil, time.Time{}, nil
}

// ask tries until a connection comes about.
func (g *gate) ask(ctx context.Context, targets []netip.AddrPort) {
	for i := 0; ; i++ {
		began := time.Now()
		target := targets[i%len(targets)]
		err := g.try(ctx, target)
		if g.learn(ctx, target, err) {
			return
		}
		if (i+1)%len(targets) == 0 {
			pauseUntil(ctx, began.Add(dialPause))
		}
	}
}

func (g *gate) try(ctx context.Context, target netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := g.dial(ctx, "tcp", target.String())
	if err != nil {
		return err
	}
	_ = conn.Close() // nothing was sent
	return nil
}

// learn takes note of what a try came to, and reports whether that was the last one.
func (g *gate) learn(ctx context.Context, target netip.AddrPort, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil { // it is asked anew, or never again
		return true
	}
	if err != nil {
		if g.problem == nil {
			g.log.Warn("the node was not seen to forward since it booted: nothing new is announced that another node announces",
				zap.Stringer("target", target), zap.Error(err))
		}
		g.problem = err
		return false
	}
	g.log.Info("the node forwards", zap.Stringer("target", target), zap.Duration("after", time.Since(g.since)))
	g.end()
	g.note.Proven, g.note.Announced = true, nil
	g.keep()
	g.wake()
	return true
}

// shut reports whether the node was not seen to forward, and what it has announced all the same. Where there is nobody to
// ask it is taken to forward.
func (g *gate) shut() (bool, map[netip.Addr]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.note.Proven || len(g.targets) == 0 {
		return false, nil
	}
	announced := map[netip.Addr]bool{}
	for _, a := range g.note.Announced {
		announced[a] = true
	}
	return true, announced
}

// announced takes note of what is announced although the node was not seen to forward: it is not held back again.
func (g *gate) announced(all []announce.Verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.note.Proven || len(g.targets) == 0 {
		return
	}
	now := slices.Clone(g.note.Announced)
	for _, v := range all {
		if v.Reason == "" {
			now = append(now, v.Addr)
		}
	}
	slices.SortFunc(now, netip.Addr.Compare)
	if now = slices.Compact(now); !slices.Equal(now, g.note.Announced) {
		g.note.Announced = now
		g.keep()
	}
}

// ready says that it is still asked whether the node forwards: nobody should count on it so long, but no longer than that
// may take.
func (g *gate) ready() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.note.Proven || g.since.IsZero() || time.Since(g.since) >= gateTime {
		return nil
	}
	return fmt.Errorf("data path: no connection to %s has come about since the node booted", g.targets[0])
}

// DataPath is what is known of whether the node forwards what comes for Services.
type DataPath struct {
	// Ready says that it was seen to since it booted, or is taken to.
	Ready bool `json:"ready"`
	// Targets are the addresses of the API server of which one has to take a connection.
	Targets []netip.AddrPort `json:"targets,omitempty"`
	// Since is when it was begun to ask them, and Problem why the last try failed; absent where nobody asks.
	Since   time.Time `json:"since,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

func (g *gate) status() DataPath {
	shut, _ := g.shut()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := DataPath{Ready: !shut, Targets: g.targets, Since: g.since}
	if g.problem != nil {
		out.Problem = g.problem.Error()
	}
	return out
}
