package bgp

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// lastWords is an Engine whose sessions tell that they are lost while they are being closed.
type lastWords struct{ *Memory }

type lastWord struct {
	Session
	notify func(Event)
}

func (e lastWords) Open(peer Peer, notify func(Event)) (Session, error) {
	s, err := e.Memory.Open(peer, notify)
	return lastWord{s, notify}, err
}

func (s lastWord) Close(keepRoutes bool) {
	s.notify(Event{State: Idle, Reason: "the connection broke"})
	s.Session.Close(keepRoutes)
}

// TestNewsOfTheOldSession has a peer change so that it needs a new session, which is not to hear what the old one says.
func TestNewsOfTheOldSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench{t, new(Memory), nil}
		b.speaker = NewSpeaker(lastWords{b.network}, Options{})
		defer b.speaker.Close(false)
		peers := two()[:1]
		b.set(peers, route("10.9.0.1/32"))
		b.state(0, Established)
		b.after(time.Hour)
		peers[0].RouterID = netip.MustParseAddr("192.0.2.77")
		b.set(peers, route("10.9.0.1/32"))
		if s := b.state(0, Established); s.Reason != "" || s.Flaps != 0 {
			t.Errorf("the new session heard the old one: %+v", s)
		}
		if _, dials := b.network.Counts(r1); dials != 2 {
			t.Errorf("dialled %d times, want once for each form of the peer", dials)
		}
	})
}
