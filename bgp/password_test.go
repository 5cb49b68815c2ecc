package bgp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestPasswordShowsItselfToNobody(t *testing.T) {
	const secret = "s3cret"
	p := peer("a", "10.0.0.1")
	p.Password = secret
	status := PeerStatus{Peer: p}
	shown := map[string]string{
		"error":  fmt.Errorf("peer %v: %w", p, fmt.Errorf("password %s", p.Password)).Error(),
		"String": p.Password.String(), "GoString": p.Password.GoString(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%c", "%U", "%t", "%80s", "%T"} {
		shown[verb] = fmt.Sprintf(verb, p.Password)
		shown[verb+" in a struct"] = fmt.Sprintf(verb, status)
		shown[verb+" by pointer"] = fmt.Sprintf(verb, &p)
		shown[verb+" in a map"] = fmt.Sprintf(verb, map[Password][]any{secret: {p.Password}})
	}
	for _, v := range []any{p.Password, &p.Password, status, map[string]Password{"a": secret}} {
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown[fmt.Sprintf("JSON of %T", v)] = string(out)
	}
	for what, encoder := range map[string]zapcore.Encoder{
		"zap's console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
		"zap's JSON":    zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
	} {
		out, err := encoder.EncodeEntry(zapcore.Entry{}, []zapcore.Field{
			zap.Any("peer", p), zap.Stringer("password", p.Password), zap.Reflect("status", status)})
		if err != nil {
			t.Fatal(err)
		}
		shown[what] = out.String()
	}
	hex, upper := fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)
	for what, text := range shown {
		for _, form := range []string{secret, hex, upper, "73 33 63", "115 51 99"} {
			if strings.Contains(text, form) {
				t.Errorf("%s shows %s", what, text)
			}
		}
	}
	if got := fmt.Sprintf("%v %q %#v", p.Password, p.Password, p.Password); got != `(hidden) "(hidden)" bgp.Password("(hidden)")` {
		t.Error(got)
	}
	if got := fmt.Sprintf("%v %q", Password(""), Password("")); got != ` ""` {
		t.Error(got)
	}
	if string(p.Password) != secret {
		t.Error("the password is lost")
	}
}

func TestPasswordOfAPeer(t *testing.T) {
	p := peer("a", "10.0.0.1")
	for _, good := range []int{0, 1, 80} {
		p.Password = Password(strings.Repeat("x", good))
		if err := p.Validate(); err != nil {
			t.Errorf("%d bytes: %v", good, err)
		}
	}
	p.Password = Password(strings.Repeat("ä", 41)) // 82 bytes, fewer characters
	if err := p.Validate(); err == nil || err.Error() != "password: 82 bytes long: want at most 80" {
		t.Errorf("%v", err)
	}
	p.Password, p.Address = "x", netip.MustParseAddr("fe80::1%eth0")
	const want = "password: not possible with the link-local address"
	if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
	p.Password = ""
	if err := p.Validate(); err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("%v", err)
	}
	a, b := peer("a", "10.0.0.1"), peer("a", "10.0.0.1")
	a.Password, b.Password = "x", "y"
	if a == b || a.session() != b.session() {
		t.Error("a password is part of a peer, not of what a session is bound to")
	}
}

func TestChangedPasswordIsOfNewConnections(t *testing.T) {
	run(t, func(b bench) {
		peers := two()
		key := func(p Password) {
			b.Helper()
			peers[0].Password = p
			b.set(peers, route("10.9.0.1/32"))
		}
		b.network.SetPassword(r1, "right")
		key("wrong")
		const reason = "no answer from 10.0.0.1:179 (TCP); a wrong or missing password looks like this too"
		if s := b.state(0, Connect); s.Reason != reason || s.Flaps != 0 {
			t.Errorf("%+v", s)
		}
		b.after(time.Minute)
		key("right")
		s := b.state(0, Established)
		if time.Since(s.Since) != 0 || s.Flaps != 0 {
			t.Errorf("not dialled at once: %+v", s)
		}
		b.after(time.Minute)
		key("next")
		if after := b.state(0, Established); !after.Since.Equal(s.Since) || after.Peer.Password != "next" {
			t.Errorf("the session did not survive: %+v", after)
		}
		_, before := b.network.Counts(r1)
		b.network.SetPassword(r1, "next")
		synctest.Wait()
		if s := b.state(0, Established); s.Flaps != 1 || time.Since(s.Since) != 0 {
			t.Errorf("%+v", s)
		}
		if _, dials := b.network.Counts(r1); dials != before+1 {
			t.Errorf("%d dials, want one", dials-before)
		}
		if s := b.state(1, Established); s.Flaps != 0 || time.Since(s.Since) != 2*time.Minute {
			t.Errorf("the other: %+v", s)
		}
	})
}

// A peer that waits for its next dial, or for the answer to its OPEN, does not wait on with the old password.
func TestChangedPasswordEndsWaiting(t *testing.T) {
	for _, c := range []struct {
		how   Behaviour
		after time.Duration
		state State
	}{{Refuses, 10 * time.Minute, Idle}, {Silent, 5 * time.Second, OpenSent}} {
		run(t, func(b bench) {
			b.network.Behave(r1, c.how, "")
			b.set(two())
			b.after(c.after)
			b.state(0, c.state)
			_, before := b.network.Counts(r1)
			peers := two()
			peers[0].Password = "that the router does not have"
			b.set(peers)
			b.state(0, Connect)
			if _, dials := b.network.Counts(r1); dials != before+1 {
				t.Errorf("%d dials, want one at once", dials-before)
			}
		})
	}
}

func TestUnansweredPeerIsLoggedOnce(t *testing.T) {
	run(t, func(b bench) {
		core, seen := observer.New(zapcore.InfoLevel)
		b.speaker = NewSpeaker(b.network, Options{Logger: zap.New(core)})
		defer b.speaker.Close(false)
		logged := func(want int) {
			b.Helper()
			if n := seen.FilterMessage("BGP peer cannot be connected to, still trying").Len(); n != want {
				b.Errorf("logged %d times, want %d: %v", n, want, seen.All())
			}
		}
		b.network.SetPassword(r1, "one")
		b.set(two()[:1])
		logged(1)
		b.network.SetPassword(r1, "another")
		synctest.Wait()
		logged(1)
		b.network.SetPassword(r1, "")
		synctest.Wait()
		b.state(0, Established)
		b.after(time.Minute)
		b.network.Behave(r1, Away, "the connection broke")
		synctest.Wait()
		b.state(0, Connect)
		logged(2)
	})
}
