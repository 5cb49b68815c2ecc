package layer2

import (
	"time"

	"go.uber.org/zap"
)

// receive answers questions until the transport is closed.
func (r *Responder) receive() {
	for {
		q, err := r.transport.Receive()
		if err != nil {
			return
		}
		if err := r.answers.answer(q, r.transport.Send); err != nil {
			r.log.Debug("answering", zap.Stringer("address", q.Target.IP), zap.Int("link", q.Link), zap.Error(err))
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
	var first time.Time
	for index, st := range r.stations {
		if r.closed || !st.link.ready() {
			continue
		}
		for now := time.Now(); ; now = time.Now() {
			addr, ok := st.schedule.pop(now)
			if !ok {
				break
			}
			for _, f := range gratuitous(index, Host{addr, st.link.MAC}) {
				err := r.transport.Send(f)
				r.answers.announced(index, err)
				if err != nil {
					r.log.Debug("announcing", zap.Stringer("address", addr), zap.String("interface", st.link.Name), zap.Error(err))
				}
			}
		}
		if next, ok := st.schedule.next(); ok && (first.IsZero() || next.Before(first)) {
			first = next
		}
	}
	return first, !first.IsZero()
}
