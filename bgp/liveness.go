package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Liveness finds out that a peer is dead before the hold time does; package bgp/bfd is one, through an adapter.
type Liveness interface {
	// Watch begins to watch the peer of a session that has just become Established. changed may be called at any
	// time from any goroutine and returns at once; it is given Down at most once for every time the peer was up. An
	// error means that nothing watches the peer; the session goes on without, and Watch is called again later.
	Watch(t Target, changed func(LivenessStatus)) (Watch, error)
}

// Watch is one peer that is being watched. Its methods are called by one goroutine at a time; those of different
// ones in parallel.
type Watch interface {
	// Set changes the parameters while it runs.
	Set(BFD)
	// Suspend prepares a planned restart of this process: the peer is asked to wait for the next one, which
	// resumes where this one stopped, and is sent nothing from then on. It takes a few hundred milliseconds at most.
	// Only Close comes after it, or the end of the process.
	Suspend()
	// Close ends it, and tells the peer that it is on purpose.
	Close()
}

// Target is the peer of an Established session.
type Target struct {
	Peer Peer
	// Local and Remote are the addresses of the session; link-local ones have their interface as zone.
	Local, Remote netip.Addr
	// Interface that packets to the peer leave by; "" if the engine does not know.
	Interface string
	// Multihop says that the peer is in no subnet of that interface, but behind a router.
	Multihop bool
}

// LivenessState is a state of RFC 5880 section 6.2.
type LivenessState int

// The states, with the numbers that BFD gives them.
const (
	LivenessAdminDown LivenessState = iota
	LivenessDown
	LivenessInit
	LivenessUp
)

var livenessNames = [...]string{"AdminDown", "Down", "Init", "Up"}

// String is the RFC's name of the state.
func (s LivenessState) String() string {
	if s < 0 || int(s) >= len(livenessNames) {
		return fmt.Sprintf("LivenessState(%d)", int(s))
	}
	return livenessNames[s]
}

// MarshalText makes the state readable in JSON.
func (s LivenessState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *LivenessState) UnmarshalText(text []byte) error {
	for i, name := range livenessNames {
		if name == string(text) {
			*s = LivenessState(i)
			return nil
		}
	}
	return fmt.Errorf("parsing BFD state %q: unknown", text)
}

// LivenessStatus is what is known of a watched peer.
type LivenessStatus struct {
	State LivenessState `json:"state"`
	// Reason of the present state, in words for a person.
	Reason string `json:"reason,omitempty"`
	// Dead says that the session is to be given up at once.
	Dead bool `json:"dead,omitempty"`
	// Since when the state is what it is.
	Since time.Time `json:"since,omitzero"`
}

// Defaults of BFD's zero fields.
const (
	DefaultBFDInterval   = 300 * time.Millisecond
	DefaultBFDMultiplier = 3
	DefaultMinimumTTL    = 254
)

// BFD is how a peer is watched (RFC 5880). It is comparable; the zero value watches nothing, other zero fields have
// defaults.
type BFD struct {
	Enabled bool
	// Receive is the least interval at which we take packets, Transmit the one at which we want to send them: 10 ms
	// to 60 s; 0 is 300 ms. The router's own may make both slower.
	Receive, Transmit time.Duration
	// Multiplier is how many packets of ours the router may miss before it takes us for dead, 2 to 255; 0 is 3.
	Multiplier uint8
	// MinimumTTL that packets of a router which is not directly connected arrive with, 1 to 254; 0 is 254. (From
	// a directly connected one it is always 255, RFC 5881 section 5.)
	MinimumTTL uint8
	// Passive waits for the router's first packet.
	Passive bool
}

// WithDefaults returns b with its zero fields filled in; BFD that is not enabled has no parameters.
func (b BFD) WithDefaults() BFD {
	if !b.Enabled {
		return BFD{}
	}
	if b.Receive == 0 {
		b.Receive = DefaultBFDInterval
	}
	if b.Transmit == 0 {
		b.Transmit = DefaultBFDInterval
	}
	if b.Multiplier == 0 {
		b.Multiplier = DefaultBFDMultiplier
	}
	if b.MinimumTTL == 0 {
		b.MinimumTTL = DefaultMinimumTTL
	}
	return b
}

// Validate says everything that is wrong with the parameters.
func (b BFD) Validate() error {
	if !b.Enabled {
		return nil
	}
	var m mistakes
	d := b.WithDefaults()
	const least, most = 10 * time.Millisecond, time.Minute
	for _, i := range []struct {
		what string
		v    time.Duration
	}{{"receive", d.Receive}, {"transmit", d.Transmit}} {
		if i.v < least || i.v > most || i.v%time.Microsecond != 0 {
			m.add("%s interval %s: want whole microseconds from %s to %s", i.what, i.v, least, most)
		}
	}
	if d.Multiplier < 2 {
		m.add("detect multiplier %d: want 2 to 255", d.Multiplier)
	}
	if d.MinimumTTL > 254 {
		m.add("minimum TTL %d: want 1 to 254", d.MinimumTTL)
	}
	return errors.Join(m...)
}
