package rawsock

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/layer2"
)

var (
	_ layer2.Transport   = (*Transport)(nil)
	_ layer2.DropCounter = (*Transport)(nil)
)

const (
	settle     = 200 * time.Millisecond // between two looks at the interfaces
	retryAfter = time.Second            // what could not be done is tried again
	lookAnyway = 30 * time.Second       // the kernel says nothing of a changed arp_ignore
)

// Options are optional: the zero value is good.
type Options struct {
	// Logger gets what an operator should know; nil for silence.
	Logger *zap.Logger
}

// Transport implements layer2.Transport with raw sockets.
type Transport struct {
	log    *zap.Logger
	frames chan layer2.Frame
	closed chan struct{}
	wake   chan struct{} // the interfaces are to be looked at again
	events *os.File      // netlink
	done   sync.WaitGroup

	newsMu sync.Mutex
	news   news // since the last look

	sockets atomic.Pointer[map[socketKey]*socket] // replaced, never modified; for Send

	mu       sync.Mutex
	shut     bool
	view     view
	links    []layer2.Link // of the view, with problems; replaced, never modified
	changed  chan struct{}
	want     map[int]layer2.Listening
	groups   map[int]*groups
	problems map[int]string
	dropped  map[int]uint64 // frames by interface, in sockets that are closed
}

// Open looks at the interfaces and follows them from then on. It fails where netlink does.
func Open(o Options) (*Transport, error) {
	t := &Transport{
		log:      o.Logger,
		frames:   make(chan layer2.Frame, 256),
		closed:   make(chan struct{}),
		wake:     make(chan struct{}, 1),
		changed:  make(chan struct{}),
		groups:   map[int]*groups{},
		problems: map[int]string{},
		dropped:  map[int]uint64{},
	}
	if t.log == nil {
		t.log = zap.NewNop()
	}
	t.sockets.Store(&map[socketKey]*socket{})
	events, err := subscribe()
	if err != nil {
		return nil, fmt.Errorf("subscribing to interface changes: %w", err)
	}
	t.events = events
	if err := t.view.update(news{routes: true}); err != nil {
		_ = events.Close()
		return nil, err
	}
	t.links = t.view.links
	t.done.Go(t.watch)
	t.done.Go(t.follow)
	return t, nil
}

// Links implements layer2.Transport.
func (t *Transport) Links() ([]layer2.Link, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.links, t.changed
}

// Listen implements layer2.Transport.
func (t *Transport) Listen(want map[int]layer2.Listening) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shut {
		return
	}
	t.want = want
	t.sync()
	if len(t.problems) > 0 {
		t.poke() // so that they are tried again
	}
}

// Receive implements layer2.Transport.
func (t *Transport) Receive() (layer2.Frame, error) {
	select {
	case <-t.closed:
		return layer2.Frame{}, net.ErrClosed
	case f := <-t.frames:
		return f, nil
	}
}

// Send implements layer2.Transport. It takes a frame of any kind.
func (t *Transport) Send(f layer2.Frame) error {
	b, err := encode(f)
	if err != nil {
		return err
	}
	s, ok := (*t.sockets.Load())[socketKey{f.Link, purposeOf(f)}]
	if !ok {
		return fmt.Errorf("sending from interface %d: %w", f.Link, errNotListening)
	}
	return s.send(b)
}

var errNotListening = errors.New("nothing is listened for on it")

// Close implements layer2.Transport.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.shut {
		t.mu.Unlock()
		return nil
	}
	t.shut = true
	close(t.closed)
	t.want = nil
	t.sync()
	err := t.events.Close()
	t.mu.Unlock()
	t.done.Wait()
	return err
}

func (t *Transport) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// follow keeps the view of the interfaces, and the sockets on them, as they should be: at once when something
// changes, but not more often than each settle, and each retryAfter while something is amiss, or else lookAnyway.
func (t *Transport) follow() {
	for {
		wait := lookAnyway
		t.mu.Lock()
		if len(t.problems) > 0 {
			wait = retryAfter
		}
		t.mu.Unlock()
		select {
		case <-t.closed:
			return
		case <-t.wake:
		case <-time.After(wait):
		}
		t.look()
		select {
		case <-t.closed:
			return
		case <-time.After(settle):
		}
	}
}

// look brings the view up to date. If that cannot be done the last one stays in force, and another look follows.
func (t *Transport) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shut {
		return
	}
	n := t.takeNews()
	if err := t.view.update(n); err != nil {
		t.log.Warn("looking at the interfaces", zap.Error(err))
		t.tell(n)
		return
	}
	t.sync()
}

// sync opens, adjusts and closes sockets and group memberships to what is wanted on the interfaces that there are,
// and tells the change, if it is one. t.mu is held.
func (t *Transport) sync() {
	sockets := map[socketKey]*socket{}
	problems := map[int]string{}
	for _, l := range t.view.links {
		v4, v6 := split(t.want[l.Index].Addrs)
		ping4, ping6 := split(t.want[l.Index].Pings)
		err := errors.Join(
			t.listen(sockets, l, forARP, v4), t.listen(sockets, l, forNDP, v6), t.join(l, v6),
			t.listen(sockets, l, forEcho4, ping4), t.listen(sockets, l, forEcho6, ping6))
		if err != nil {
			problems[l.Index] = err.Error()
		}
	}
	old := *t.sockets.Swap(&sockets)
	for key, s := range old {
		if sockets[key] != s {
			t.dropped[key.link] += s.drops()
			s.close()
		}
	}
	t.forgetAbsent()
	t.problems = problems
	links := slices.Clone(t.view.links)
	for i, l := range links {
		links[i].Problem = problems[l.Index]
		if v4, _ := split(t.want[l.Index].Addrs); len(v4) > 0 {
			links[i].ARPIgnore = arpIgnore(l.Name)
		}
	}
	if !reflect.DeepEqual(links, t.links) {
		t.links = links
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// listen puts into sockets the one that listens for addrs on the interface: the one there was, unless it is broken.
func (t *Transport) listen(sockets map[socketKey]*socket, l layer2.Link, p purpose, addrs []netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	key := socketKey{l.Index, p}
	s := (*t.sockets.Load())[key]
	if s != nil && !(s.broken.Load() && l.Up) {
		sockets[key] = s
		return s.filter(addrs)
	}
	if s != nil && p == forNDP {
		t.leave(l.Index) // the interface may have been away, and its memberships with it
	}
	s, err := openSocket(key, addrs)
	if err != nil {
		return err
	}
	sockets[key] = s
	t.done.Go(func() { t.read(s) })
	return nil
}

// read delivers what the socket receives until that fails. A socket whose interface went down or away would stay
// silent for ever in some of the cases, so it is replaced in all of them.
func (t *Transport) read(s *socket) {
	b := make([]byte, whole)
	for {
		n, _, err := s.conn.ReadFrom(b)
		if err != nil {
			s.broken.Store(true)
			t.poke()
			return
		}
		f, err := decode(b[:n])
		if err != nil {
			continue
		}
		f.Link = s.key.link
		select {
		case t.frames <- f:
		case <-t.closed:
			return
		}
	}
}

// join makes the interface a member of the addresses' solicited-node groups, and of no other.
func (t *Transport) join(l layer2.Link, addrs []netip.Addr) error {
	g, ok := t.groups[l.Index]
	if len(addrs) == 0 {
		t.leave(l.Index)
		return nil
	}
	if !ok {
		g = newGroups(l.Index)
		t.groups[l.Index] = g
	}
	return g.set(addrs)
}

// leave gives up all groups on an interface.
func (t *Transport) leave(index int) {
	if g, ok := t.groups[index]; ok {
		g.close()
		delete(t.groups, index)
	}
}

// forgetAbsent forgets the groups and counts of interfaces that are gone.
func (t *Transport) forgetAbsent() {
	present := make(map[int]bool, len(t.view.links))
	for _, l := range t.view.links {
		present[l.Index] = true
	}
	for index := range t.groups {
		if !present[index] {
			t.leave(index)
		}
	}
	for index := range t.dropped {
		if !present[index] {
			delete(t.dropped, index)
		}
	}
}

// Dropped implements layer2.DropCounter: frames that came while a socket's buffer was full.
func (t *Transport) Dropped() map[int]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	dropped := maps.Clone(t.dropped)
	for key, s := range *t.sockets.Load() {
		dropped[key.link] += s.drops()
	}
	return dropped
}

func split(addrs []netip.Addr) (v4, v6 []netip.Addr) {
	for _, a := range addrs {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	return v4, v6
}
