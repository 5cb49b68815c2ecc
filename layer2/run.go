package layer2

import (
	"time"

	"go.uber.org/zap"
)

// receive answers questions until the transport is closed, and takes note of what others say of the addresses.
func (r *Responder) receive() {
	for {
		q, err := r.transport.Receive()
		if err != nil {
			return
		}
		if err := r.answers.answer(q, r.transport.Send); err != nil {
			r.log.Debug("answering", zap.Stringer("address", q.Target.IP), zap.Int("link", q.Link), zap.Error(err))
		}
		if host, ok := given(q); ok && !r.watch.isOwn(host.MAC) {
			r.probing.heard(spot{q.Link, host.IP}, host.MAC)
			r.heard(spot{q.Link, host.IP}, host.MAC)
		}
	}
}

// announce follows the interfaces, and announces what is due.
func (r *Responder) announce(changed <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-changed:
			changed = r.look()
		case <-r.wake:
		case <-timer.C:
		}
		if next, ok := r.announceDue(); ok {
			timer.Reset(time.Until(next))
		}
	}
}

// look decides anew from the interfaces as they are now, and returns what tells that they are so no more.
func (r *Responder) look() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	links, changed := r.transport.Links()
	if !r.closed {
		r.reconcile(links, time.Now())
	}
	return changed
}

// announceDue sends what is due and says when there is more to send, if ever.
func (r *Responder) announceDue() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.watch.takeDefences() {
		if st, ok := r.stations[s.link]; ok {
			st.schedule.defend(s.addr)
		}
	}
	first := r.forgetProbed(time.Now())
	for index, st := range r.stations {
		if r.closed || !st.link.ready() {
			continue
		}
		r.announceOn(index, st)
		if next, ok := st.schedule.next(); ok && (first.IsZero() || next.Before(first)) {
			first = next
		}
	}
	return first, !first.IsZero()
}

// announceOn sends what is due on an interface.
func (r *Responder) announceOn(index int, st *station) {
	for now := time.Now(); ; now = time.Now() {
		addr, defence := st.schedule.popDefence(now)
		if !defence {
			var ok bool
			if addr, ok = st.schedule.pop(now); !ok {
				return
			}
		}
		frames := gratuitous(index, Host{addr, st.link.MAC})
		if defence {
			frames = frames[:1]
		}
		for _, f := range frames {
			err := r.transport.Send(f)
			r.answers.count(index, gratuitousFrames, err)
			if err != nil {
				r.log.Debug("announcing", zap.Stringer("address", addr), zap.String("interface", st.link.Name), zap.Error(err))
			}
		}
	}
}
