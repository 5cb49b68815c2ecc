package members

import (
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
	lost      time.Time // or not any more
	heard     time.Time // a packet came from its address, readable or not
	called    time.Time // a connection came from there
	acked     time.Time // it answered a packet
	connected time.Time // a connection to it came about
	exchanged time.Time // and it answered on that
	failed    time.Time // none came about, or nothing came back on it
	err       string    // why
	unread    time.Time // what came could not be decrypted
	plain     time.Time // what came was not encrypted
	refused   time.Time // it said that it could not decrypt
	conflict  time.Time // two speakers bear its name
	other     netip.AddrPort
	resident  string // the name of the speaker that answers in its place
}

// patience is how long packets may stay unanswered: so many rounds of probes that chance is not to blame.
func (f Detection) patience(speakers int) time.Duration {
	return max(recent, 5*time.Duration(speakers)*f.timing().interval)
}

// diagnose says in words what is wrong between a speaker and this one; "" when nothing is, or nothing is known yet.
func (e evidence) diagnose(alive bool, at netip.AddrPort, patience time.Duration, now time.Time) string {
	stands := func(t time.Time) bool { // and nothing has proved it wrong
		return within(t, settled, now) && !e.acked.After(t) && !e.exchanged.After(t) && !e.met.After(t)
	}
	switch {
	case within(e.conflict, recent, now):
		return fmt.Sprintf("two speakers bear this name: another one is at %s", e.other)
	case stands(e.refused):
		return "it cannot decrypt what is sent from here: it lacks the key in use"
	case stands(e.unread):
		return "what it sends cannot be decrypted: it has another key"
	case stands(e.plain):
		return "what it sends is not encrypted: it has no key"
	case alive:
		return e.diagnoseAlive(at, patience, now)
	case e.resident != "":
		return fmt.Sprintf("the speaker at %s bears another name, %s", at, e.resident)
	case e.failed.After(e.lost) || e.exchanged.After(e.lost):
		return e.diagnoseMissing(at, now)
	}
	return ""
}

func within(t time.Time, d time.Duration, now time.Time) bool { return !t.IsZero() && now.Sub(t) < d }

// unconnected reports whether connections do not come about, or are not answered.
func (e evidence) unconnected() bool {
	return e.failed.After(e.exchanged) && e.failed.After(e.connected) && e.failed.After(e.met)
}

func (e evidence) diagnoseAlive(at netip.AddrPort, patience time.Duration, now time.Time) string {
	answers := within(e.acked, patience, now) || within(e.met, patience, now)
	switch {
	case answers && e.unconnected():
		return fmt.Sprintf("it answers by UDP, but not by TCP: port %d may be blocked for TCP (%s)", at.Port(), e.err)
	case answers:
		return ""
	case within(e.heard, recent, now):
		return fmt.Sprintf("its packets arrive here, but it answers none: packets to UDP port %d of %s are lost", at.Port(), at.Addr())
	case !e.unconnected() && (within(e.connected, patience, now) || within(e.called, patience, now)):
		return fmt.Sprintf("it answers by TCP, but not by UDP: port %d may be blocked for UDP", at.Port())
	}
	return fmt.Sprintf("nothing comes from port %d of %s: only other speakers still reach it", at.Port(), at.Addr())
}

func (e evidence) diagnoseMissing(at netip.AddrPort, now time.Time) string {
	lately := func(t time.Time) bool { return within(t, settled, now) && t.After(e.lost) }
	switch {
	case lately(e.acked) && e.unconnected():
		return fmt.Sprintf("it answers by UDP, but not by TCP: port %d may be blocked for TCP (%s)", at.Port(), e.err)
	case lately(e.acked) && e.exchanged.After(e.failed):
		return "" // it is on its way
	case lately(e.exchanged) && e.exchanged.After(e.failed):
		return fmt.Sprintf("it answers by TCP, but not by UDP: port %d may be blocked for UDP", at.Port())
	case strings.Contains(e.err, syscall.ECONNREFUSED.Error()):
		return fmt.Sprintf("no speaker listens on port %d of %s", at.Port(), at.Addr())
	case lately(e.heard), lately(e.called):
		return fmt.Sprintf("its packets arrive here, but it answers none: what is sent to port %d of %s is lost", at.Port(), at.Addr())
	}
	return fmt.Sprintf("no answer from port %d of %s by TCP or UDP: the node is down, or the port is blocked (%s)", at.Port(), at.Addr(), e.err)
}

// note keeps the result of an attempt to exchange states.
func (e *evidence) note(err error, now time.Time) {
	if err == nil {
		e.exchanged = now
		return
	}
	if !e.failed.After(e.connected) { // else the connection did not come about: that says more
		e.failed, e.err = now, reason(err)
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

// reason is the end of an error, the same each time: what stands before it names ports that are not.
func reason(err error) string {
	text := strings.TrimSpace(err.Error())
	return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:])
}

// dialled notes whether a connection came about.
func (e *evidence) dialled(err error, now time.Time) {
	if err == nil {
		e.connected = now
		return
	}
	e.failed, e.err = now, reason(err)
}

// ponder is how long a problem has to last before it is told.
const ponder = 2 * time.Second

// complaint is a problem that is told: one that lasts, in words that do.
type complaint struct {
	told  string
	since time.Time // when there began to be one
	last  string    // the words now
	same  time.Time // since when
}

// hear takes the words of now, and reports whether what is told changes.
func (c *complaint) hear(words string, now time.Time) bool {
	before := c.told
	if words != c.last {
		if c.last == "" {
			c.since = now
		}
		c.last, c.same = words, now
	}
	switch {
	case words == "":
		c.told = ""
	case c.told == "" && now.Sub(c.since) >= ponder, now.Sub(c.same) >= ponder:
		c.told = words
	}
	return c.told != before
}
