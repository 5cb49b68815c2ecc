package neigh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// retry is how long to wait after a socket that could not be opened or has failed.
const retry = time.Second

// view is what the kernel says of a link that can be used.
type view struct {
	name  string
	index int
	mac   string     // raw octets
	addr  netip.Addr // ours, link-local, without zone
}

// unusable says, in words for a person, what an interface lacks. It stays so until the kernel tells of a change.
type unusable string

func (u unusable) Error() string { return string(u) }

func lacks(format string, args ...any) unusable { return unusable(fmt.Sprintf(format, args...)) }

// message is a router's advertisement, or somebody's solicitation of routers.
type message struct {
	from          netip.Addr // without zone
	advertisement bool
	lifetime      time.Duration // of a router that advertises itself as default router, else 0
}

// wire sends and receives on a link.
type wire interface {
	// receive blocks until another node has sent a message that is valid. It fails when the wire is closed, or
	// cannot receive any more.
	receive() (message, error)
	// advertise sends a router advertisement of lifetime 0.
	advertise() error
	// solicit asks routers for theirs.
	solicit() error
	Close() error
}

// kernel is what a link needs of the system.
type kernel interface {
	// look finds a link that is up and has carrier and an address, the present one if that is still there. What of this
	// is missing is an unusable; another error is that it could not be found out.
	look(name string, present netip.Addr) (view, error)
	open(v view) (wire, error)
}

// link follows one interface. Its goroutine, run, owns all but what mu guards.
type link struct {
	name    string
	kernel  kernel
	changed func()        // the answer of way is another one
	wake    chan struct{} // look at the interface again

	view    view
	wire    wire
	heard   chan heard // from the wire
	closed  chan struct{}
	trouble error     // why there is no wire
	again   time.Time // when to try again; zero: when the interface has changed
	found   discovery

	mu     sync.Mutex
	answer way
	why    error
}

// way is how the router on an interface is reached. Both addresses are link-local, without zone.
type way struct {
	link         string
	index        int
	from, router netip.Addr
}

// heard is what the wire has received.
type heard struct {
	message
	err error
}

func newLink(name string, k kernel, changed func()) *link {
	l := &link{name: name, kernel: k, changed: changed, wake: make(chan struct{}, 1)}
	l.why = unwatched(name)
	return l
}

// look has the interface looked at again.
func (l *link) look() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// way is what is known at present, or why nothing is.
func (l *link) way() (way, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answer, l.why
}

// run lasts until ctx ends.
func (l *link) run(ctx context.Context) {
	defer l.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	l.look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			l.inspect(time.Now())
		case <-timer.C:
			if !l.again.IsZero() && !time.Now().Before(l.again) {
				l.inspect(time.Now())
			}
		case h := <-l.heard:
			l.hear(time.Now(), h)
		}
		l.send(time.Now())
		l.publish()
		switch {
		case l.wire != nil:
			timer.Reset(time.Until(l.found.next()))
		case !l.again.IsZero():
			timer.Reset(time.Until(l.again))
		default:
			timer.Stop()
		}
	}
}

// inspect looks at the interface. Another one of the same name, another address of ours or a lost carrier means that
// what was heard before says nothing of who is at the other end now.
func (l *link) inspect(now time.Time) {
	v, err := l.kernel.look(l.name, l.view.addr)
	if err == nil && v == l.view && l.wire != nil {
		return
	}
	l.hangUp()
	if err != nil || v != l.view {
		l.found = discovery{}
	}
	l.view, l.trouble, l.again = v, err, time.Time{}
	if errors.As(err, new(unusable)) {
		return
	}
	if err != nil {
		l.fail(now, err)
		return
	}
	w, err := l.kernel.open(v)
	if err != nil {
		l.fail(now, err)
		return
	}
	l.wire, l.heard, l.closed = w, make(chan heard), make(chan struct{})
	go listen(w, l.heard, l.closed)
}

// listen hands over what comes in until the wire fails or is closed.
func listen(w wire, to chan<- heard, closed <-chan struct{}) {
	for {
		m, err := w.receive()
		select {
		case <-closed:
			return
		case to <- heard{m, err}:
		}
		if err != nil {
			return
		}
	}
}

func (l *link) hear(now time.Time, h heard) {
	switch {
	case h.err != nil:
		l.fail(now, h.err)
	case h.advertisement:
		l.found.hear(now, h.from, h.lifetime)
	default:
		l.found.asked()
	}
}

// send sends what is due. A router that does not hear of us accepts no session, so what cannot be sent is as bad as a
// wire that is broken.
func (l *link) send(now time.Time) {
	if l.wire == nil {
		return
	}
	advertise, solicit := l.found.due(now)
	var err error
	if advertise {
		err = l.wire.advertise()
	}
	if solicit && err == nil {
		err = l.wire.solicit()
	}
	if err != nil {
		l.fail(now, err)
	}
}

// fail gives up the wire for a while.
func (l *link) fail(now time.Time, err error) {
	l.hangUp()
	l.trouble, l.again = err, now.Add(retry)
}

// stop forgets everything.
func (l *link) stop() {
	l.hangUp()
	l.view, l.found, l.trouble, l.again = view{}, discovery{}, unwatched(l.name), time.Time{}
	l.publish()
}

// unwatched is why nothing is known of a link that nobody looks at.
func unwatched(link string) error {
	return fmt.Errorf("routers are not looked for on interface %s", link)
}

func (l *link) hangUp() {
	if l.wire != nil {
		close(l.closed)
		_ = l.wire.Close()
		l.wire, l.heard, l.closed = nil, nil, nil
	}
}

// publish makes known what has changed.
func (l *link) publish() {
	var answer way
	why := l.trouble
	if why == nil {
		var router netip.Addr
		if router, why = l.found.router(l.view.name); why == nil {
			answer = way{link: l.view.name, index: l.view.index, from: l.view.addr, router: router}
		}
	}
	l.mu.Lock()
	news := answer != l.answer || (why == nil) != (l.why == nil) || why != nil && why.Error() != l.why.Error()
	l.answer, l.why = answer, why
	l.mu.Unlock()
	if news {
		l.changed()
	}
}
