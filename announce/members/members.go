// Package members knows which speakers are alive and what each of them holds, from the speakers alone: SWIM with
// Lifeguard (hashicorp/memberlist) finds out who is there, and each speaker's state travels with it.
package members

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

// DefaultPort is used for TCP and UDP alike.
const DefaultPort = 17946

// Options say who this speaker is.
type Options struct {
	// Node is the name of its node, the same at each start.
	Node string
	// Addr is an address of the node at which the others reach it, and which it listens on.
	Addr netip.Addr
	// Port is everybody's; 0 is DefaultPort.
	Port uint16
	// Keys are for AES-GCM, of 16, 24 or 32 bytes each. The first encrypts; all decrypt.
	Keys [][]byte
	// Detection is how fast a loss is found out; everybody should have the same.
	Detection Detection
	// State is what the others are told until Set says otherwise.
	State State

	// Logger gets what an operator should know; nil for silence.
	Logger *zap.Logger
	// Network is what connects the speakers; nil is the machine's own.
	Network Network
	// Clocks reads the clocks, to find out that this process did not run for a while; nil reads the machine's.
	Clocks func() Clocks
}

func (o *Options) complete() error {
	var errs []error
	if o.Node == "" || len(o.Node) > maxName {
		errs = append(errs, fmt.Errorf("node %q: want the name of this node, 1 to %d bytes", o.Node, maxName))
	}
	if o.Addr = o.Addr.Unmap(); !o.Addr.IsValid() || o.Addr.IsUnspecified() || o.Addr.IsMulticast() || o.Addr.Zone() != "" {
		errs = append(errs, fmt.Errorf("address %v: want one of this node's at which others reach it", o.Addr))
	}
	if _, ok := timings[o.Detection]; !ok {
		errs = append(errs, fmt.Errorf("detection %d: want normal or fast", o.Detection))
	}
	errs = append(errs, checkKeys(o.Keys))
	if o.Port == 0 {
		o.Port = DefaultPort
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Network == nil {
		o.Network = host{}
	}
	if o.Clocks == nil {
		o.Clocks = hostClocks
	}
	return errors.Join(errs...)
}

// Membership is this speaker among the others. Its methods are safe for concurrent use, and none waits for the network
// but Close.
type Membership struct {
	opts   Options
	log    *zap.Logger
	lines  *logger
	wake   chan struct{}
	stop   chan struct{}
	done   sync.WaitGroup
	bytes  traffic
	counts counts
	queue  memberlist.TransmitLimitedQueue // what is to be told to all

	keyMu sync.Mutex
	ring  *memberlist.Keyring

	mu      sync.Mutex
	list    *memberlist.Memberlist // nil while the port is not open
	problem error                  // why not
	retry   time.Time              // when to try again
	opened  time.Time
	closed  bool
	table   *table
	peers   map[string]*peer
	names   map[netip.Addr]string // of the peers, by their addresses
	clocks  Clocks                // at the last turn
	jumped  time.Time             // when the last lapse was found out that still matters; zero: none does
	lapsed  time.Time             // when the last lapse of all was
	lapse   time.Duration         // how much it was
	met     time.Time             // when states were last exchanged with somebody, in an exchange begun since jumped
	silent  error
	view    *View // nil when it has to be made anew
	changed chan struct{}
	flying  int       // attempts under way
	asked   time.Time // when somebody was last asked without need
	forgot  time.Time // when forget was last called
	tooMany bool
}

// counts are Counters that only grow.
type counts struct {
	joins, losses, stale, attempts, exchanges, lapses, decodeErrors, wrongKey atomic.Uint64
	alive                                                                     atomic.Int64
}

// Open takes part from now on. The error says everything that is wrong with the options. A port that is in use is no
// such error: it is tried again each second, and Ready says so.
func Open(o Options) (*Membership, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("joining the speakers: %w", err)
	}
	ring, err := memberlist.NewKeyring(nil, nil)
	if err == nil {
		err = install(ring, o.Keys)
	}
	if err != nil {
		return nil, fmt.Errorf("joining the speakers: %w", err)
	}
	m := &Membership{
		opts: o, log: o.Logger, ring: ring, wake: make(chan struct{}, 1), stop: make(chan struct{}), clocks: o.Clocks(),
		table: newTable(o.Node, firstInstance()), peers: map[string]*peer{}, names: map[netip.Addr]string{},
		silent: ErrStarting, changed: make(chan struct{}),
	}
	m.table.set(o.State, false)
	m.counts.alive.Store(1)
	m.queue.RetransmitMult, m.queue.NumNodes = retransmit, func() int { return int(m.counts.alive.Load()) }
	m.lines = &logger{log: o.Logger, unread: m.cannotRead, plain: m.notEncrypted}
	m.listen()
	m.done.Go(m.run)
	return m, nil
}

// Set makes s what the others are told of this speaker: the same state again sends nothing, another one sends what has
// changed. What s points to must not be changed any more.
func (m *Membership) Set(s State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(s, false)
}

// tell changes the own state; m.mu is held.
func (m *Membership) tell(s State, leaving bool) {
	r, ok := m.table.set(s, leaving)
	if !ok || m.closed {
		return
	}
	m.broadcast(r)
	m.touch()
}

// SetKeys makes keys the keyring. To change the key without losing anybody, give all speakers the new one as the
// second first, then as the first, and then alone.
func (m *Membership) SetKeys(keys [][]byte) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	m.keyMu.Lock()
	defer m.keyMu.Unlock()
	return install(m.ring, keys)
}

// Close takes no part any more. With leave the others are told, and need not find out; that takes some 100 ms, and a
// second at most. One that restarts, by its State, leaves with what it held, for others to stand in.
func (m *Membership) Close(leave bool) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return
	}
	if leave {
		own := m.table.own().state
		own.Standing = nil
		if own.Restarting == 0 {
			own.Held = nil
		}
		m.tell(own, true)
	}
	m.closed = true
	m.silence(time.Now())
	list := m.list
	close(m.stop)
	m.mu.Unlock()
	if list != nil {
		if leave {
			if err := list.Leave(time.Second); err != nil {
				m.log.Debug("leaving the speakers", zap.Error(err))
			}
		}
		_ = list.Shutdown() // always nil
	}
	m.done.Wait()
}

// firstInstance is the number of this run: the later one has the higher, unless the clock was set back; see takeOwn.
var firstInstance = func() uint64 { return uint64(max(1, time.Now().UnixNano())) }

// touch has the view made anew and wakes whoever waits for that; m.mu is held.
func (m *Membership) touch() {
	m.view = nil
	close(m.changed)
	m.changed = make(chan struct{})
}

// poke wakes the loop.
func (m *Membership) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
