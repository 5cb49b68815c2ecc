package members

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// recent is how long something that was seen counts, and settled what only an attempt can show.
const (
	recent  = 5 * time.Second
	settled = rejoinMost * 3 / 2
)

// evidence is when what was last seen of a speaker; zero: never.
type evidence struct {
	met       time.Time // it was taken for alive
	heard     time.Time // something came from its address, readable or not
	acked     time.Time // it answered a packet
	exchanged time.Time // it answered on a connection that was made from here
	unread    time.Time // what came could not be decrypted
	plain     time.Time // what came was not encrypted
	refused   time.Time // it said that it could not decrypt
	conflict  time.Time // two speakers bear its name
	other     netip.AddrPort
	connected time.Time // a connection to it came about
	failed    time.Time // none did, or nothing came back on it
	err       error     // why
	resident  string    // the name of the speaker that answers in its place
}

// patience is how long packets may stay unanswered: so many rounds of probes that chance is not to blame.
func (f Detection) patience(speakers int) time.Duration {
	return max(recent, 5*time.Duration(speakers)*f.timing().interval)
}

// diagnose says in words what is wrong between a speaker and this one; "" when nothing is, or nothing is known yet.
func (e evidence) diagnose(alive bool, at netip.AddrPort, patience time.Duration, now time.Time) string {
	since := func(t time.Time, d time.Duration) bool { return !t.IsZero() && now.Sub(t) < d }
	stands := func(t time.Time) bool { // and nothing has proved it wrong
		return since(t, settled) && !e.acked.After(t) && !e.exchanged.After(t) && !e.met.After(t)
	}
	answers := since(e.acked, patience)
	switch {
	case since(e.conflict, recent):
		return fmt.Sprintf("two speakers bear this name: another one is at %s", e.other)
	case stands(e.refused):
		return "it cannot decrypt what is sent from here: it lacks the key in use"
	case stands(e.unread):
		return "what it sends cannot be decrypted: it has another key"
	case stands(e.plain):
		return "what it sends is not encrypted: it has no key"
	case alive:
		return e.diagnoseAlive(answers || since(e.met, patience), since(e.heard, patience), at)
	case e.resident != "":
		return fmt.Sprintf("the speaker at %s bears another name, %s", at, e.resident)
	case !e.failed.IsZero():
		return e.diagnoseMissing(answers, since(e.heard, recent), since(e.exchanged, recent), at)
	}
	return ""
}

// unconnected reports whether connections do not come about, or are not answered.
func (e evidence) unconnected() bool {
	return e.failed.After(e.exchanged) && e.failed.After(e.connected) && e.failed.After(e.met)
}

func (e evidence) diagnoseAlive(answers, heard bool, at netip.AddrPort) string {
	switch {
	case answers && e.unconnected():
		return fmt.Sprintf("it answers by UDP, but not by TCP: port %d may be blocked for TCP (%v)", at.Port(), e.err)
	case answers:
		return ""
	case heard:
		return fmt.Sprintf("its packets arrive here, but it answers none: packets to UDP port %d of %s are lost", at.Port(), at.Addr())
	}
	return fmt.Sprintf("packets to and from UDP port %d of %s are lost: only TCP or other speakers still reach it", at.Port(), at.Addr())
}

func (e evidence) diagnoseMissing(answers, heard, exchanged bool, at netip.AddrPort) string {
	switch {
	case errors.Is(e.err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no speaker listens on port %d of %s", at.Port(), at.Addr())
	case answers:
		return fmt.Sprintf("it answers by UDP, but not by TCP: port %d may be blocked for TCP (%v)", at.Port(), e.err)
	case exchanged:
		return fmt.Sprintf("it answers by TCP, but not by UDP: port %d may be blocked for UDP", at.Port())
	case heard:
		return fmt.Sprintf("its packets arrive here, but it answers none: what is sent to port %d of %s is lost", at.Port(), at.Addr())
	}
	return fmt.Sprintf("no answer from port %d of %s by TCP or UDP: the node is down, or the port is blocked (%v)", at.Port(), at.Addr(), e.err)
}

// note keeps the result of an attempt to exchange states.
func (e *evidence) note(err error, now time.Time) {
	if err == nil {
		e.exchanged, e.err = now, nil
		return
	}
	if !e.failed.After(e.connected) || e.err == nil { // else the connection did not come about: that says more
		e.failed, e.err = now, errors.New(reason(err))
	}
	switch text := err.Error(); { // memberlist's errors have no types
	case strings.Contains(text, "remote error") && strings.Contains(text, "no installed keys could decrypt"):
		e.refused = now
	case strings.Contains(text, "no installed keys could decrypt"):
		e.unread = now
	case strings.Contains(text, "remote state is not encrypted"):
		e.plain = now
	}
}

// reason is what is new in an error of memberlist's, "1 error occurred:\n\t* failed to join 10.0.0.2:17946: …".
func reason(err error) string {
	text := strings.TrimSpace(err.Error())
	if _, rest, ok := strings.Cut(text, "failed to join "); ok {
		_, text, _ = strings.Cut(rest, ": ")
	}
	return text
}

// dialled notes whether a connection came about.
func (e *evidence) dialled(err error, now time.Time) {
	if err == nil {
		e.connected = now
		return
	}
	e.failed, e.err = now, err
}
