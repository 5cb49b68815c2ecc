package speaker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/internal/atomicfile"
)

// patience is how long what was known of the others counts while the membership begins anew, on another port.
const patience = 2 * time.Second

// fellows keeps this speaker a member among the others as long as the configuration wants that. Its methods are the
// loop's own, but for those that say otherwise.
type fellows struct {
	opts     Options
	log      *zap.Logger
	wake     func()
	keys     *keyring
	wanted   atomic.Bool
	seat     seat
	kept     memory        // what is in the file
	held     []netip.Addr  // answered for
	decided  bool          // this speaker has begun to answer
	draining bool          // its node is being emptied
	ending   bool          // it is about to end
	unproven bool          // its node was not seen to forward
	bridge   time.Time     // until then last counts although the membership has just begun anew
	lapses   uint64        // how often it stood still, as far as it has been silent for that
	stalled  bool          // it stood still, and has not answered since
	stop     chan struct{} // ends who waits for changes

	succession

	mu      sync.Mutex
	m       *members.Membership // nil: it takes no part
	problem error               // why it takes no part although it should
	last    *company            // as of the last turn
}

// seat is where a membership takes part, and how.
type seat struct {
	addr      netip.Addr
	port      uint16
	detection members.Detection
}

// memory is what the next process knows before it has read the cluster.
type memory struct {
	Address netip.Addr     `json:"address"`
	Members []members.Peer `json:"members"`
}

func newFellows(o Options, log *zap.Logger, wake func()) *fellows {
	f := &fellows{opts: o, log: log, wake: wake, last: &company{}}
	f.vigil = newVigil(o.Neighbours, wake, log)
	f.inherit()
	if o.State == "" {
		return f
	}
	text, err := os.ReadFile(f.file())
	if err == nil {
		err = json.Unmarshal(text, &f.kept)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.kept = memory{}
		log.Warn("the members of the last run are not remembered", zap.Error(err))
	}
	return f
}

func (f *fellows) file() string { return filepath.Join(f.opts.State, "members.json") }

// early takes part with the members of the last run, while the cluster is still being read.
func (f *fellows) early(cfg config.Config) {
	if f.kept.Address.IsValid() && f.wants(cfg) && f.membership() == nil {
		f.take(cfg, f.kept.Address, f.kept.Members)
	}
}

func (f *fellows) wants(cfg config.Config) bool {
	wanted := f.opts.Join != nil && cfg.Layer2() && cfg.Membership.Enabled
	f.wanted.Store(wanted)
	return wanted
}

// follow takes part as the configuration says, with the speakers of these nodes: those that have a Pod.
func (f *fellows) follow(cfg config.Config, nodes []announce.Node, pods map[string]bool) {
	if !f.wants(cfg) {
		f.end()
		f.trouble(nil)
		return
	}
	i := slices.IndexFunc(nodes, func(n announce.Node) bool { return n.Name == f.opts.Node })
	if i < 0 || len(nodes[i].InternalIPs) == 0 {
		if f.membership() == nil {
			f.trouble(fmt.Errorf("the Node %s has no InternalIP yet", f.opts.Node))
		}
		return
	}
	addr := nodes[i].InternalIPs[0]
	f.take(cfg, addr, f.peers(addr, nodes, pods))
}

// peers are the speakers that are expected, and those that are known of nodes that are no more.
func (f *fellows) peers(own netip.Addr, nodes []announce.Node, pods map[string]bool) []members.Peer {
	var out []members.Peer
	there := map[string]bool{f.opts.Node: true}
	for _, n := range nodes {
		there[n.Name] = true
		if !pods[n.Name] || n.Name == f.opts.Node || len(n.InternalIPs) == 0 {
			continue
		}
		addr := n.InternalIPs[0]
		if i := slices.IndexFunc(n.InternalIPs, func(a netip.Addr) bool { return a.Is4() == own.Is4() }); i >= 0 {
			addr = n.InternalIPs[i]
		}
		out = append(out, members.Peer{Node: n.Name, Addr: addr, Gone: n.OutOfService})
	}
	if m := f.membership(); m != nil {
		for _, other := range m.Members() {
			if !there[other.Node] {
				out = append(out, members.Peer{Node: other.Node, Addr: other.Addr.Addr(), Gone: true})
			}
		}
	}
	return out
}

// take takes part at an address, with these others. Another port or detection is a new membership.
func (f *fellows) take(cfg config.Config, addr netip.Addr, peers []members.Peer) {
	at := seat{addr, cfg.Membership.Port, members.Normal}
	if cfg.FailureDetection == config.FastDetection {
		at.detection = members.Fast
	}
	m := f.membership()
	if m != nil && at != f.seat {
		f.log.Info("the membership begins anew", zap.Stringer("address", addr), zap.Uint16("port", at.port), zap.Stringer("detection", at.detection))
		f.bridge = time.Now().Add(patience)
		f.close(false)
		m = nil
	}
	keys, err := f.keys.get()
	if m == nil {
		if len(keys) > 0 {
			m, err = f.open(cfg, at, keys)
		}
		if m == nil {
			f.trouble(err)
			return
		}
	} else if err = m.SetKeys(keys); err != nil { // they are valid
		f.log.Error("changing the keys of the membership", zap.Error(err))
	}
	f.trouble(nil)
	m.SetPeers(peers)
	f.remember(memory{addr, m.Known()})
}

func (f *fellows) open(cfg config.Config, at seat, keys [][]byte) (*members.Membership, error) {
	m, err := f.opts.Join(members.Options{
		Node: f.opts.Node, Addr: at.addr, Port: at.port, Keys: keys, Detection: at.detection, State: f.state(cfg),
		Logger: f.log.Named("members"),
	})
	if err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	f.seat, f.stop = at, stop
	f.mu.Lock()
	f.m = m
	f.mu.Unlock()
	f.lapses = 0
	_, changed := m.View()
	go func() {
		for {
			select {
			case <-changed:
				_, changed = m.View() // before who is woken looks
				f.wake()
			case <-stop:
				return
			}
		}
	}()
	return m, nil
}

// remember keeps what the next process needs. What cannot be kept is only missed by it.
func (f *fellows) remember(now memory) {
	if f.opts.State == "" || reflect.DeepEqual(now, f.kept) {
		return
	}
	f.kept = now
	text, err := json.Marshal(now)
	if err == nil {
		err = atomicfile.Write(f.file(), text)
	}
	if err != nil {
		f.log.Warn("the members are not remembered", zap.Error(err))
	}
}

// end takes part no longer, and tells the others, who take over.
func (f *fellows) end() { f.close(true) }

func (f *fellows) close(leave bool) {
	m := f.membership()
	if m == nil {
		return
	}
	close(f.stop)
	f.mu.Lock()
	f.m = nil
	f.mu.Unlock()
	m.Close(leave)
}

// membership may be called from anywhere, as ready and seen may.
func (f *fellows) membership() *members.Membership {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.m
}

func (f *fellows) trouble(err error) {
	f.mu.Lock()
	before := f.problem
	f.problem = err
	f.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		f.log.Warn("this speaker does not take part in the membership, and answers for nothing on layer 2", zap.Error(err))
	}
}

// ready says why this speaker may not answer on layer 2.
func (f *fellows) ready() error {
	if err := f.silent(); err != nil {
		return fmt.Errorf("layer 2: %w", err)
	}
	return nil
}

func (f *fellows) silent() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.problem != nil {
		return f.problem
	}
	return f.last.silent
}

// complaint is why this speaker may not answer, or what is wrong with its keys: the last good ones serve meanwhile.
func (f *fellows) complaint() error {
	if err := f.silent(); err != nil {
		return err
	}
	if _, err := f.keys.get(); err != nil {
		return fmt.Errorf("%w; the keys that were known still serve", err)
	}
	return nil
}

// seen is what was known at the last turn.
func (f *fellows) seen() *company {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}
