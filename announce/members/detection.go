package members

import (
	"fmt"
	"log"
	"time"

	"github.com/hashicorp/memberlist"
)

// Detection is how fast the loss of a speaker is found out.
type Detection uint8

// Normal takes about 2 s and forgives a machine that is busy. Fast takes less than 1 s, for at most FastLimit speakers;
// a process that gets no time for half a second is lost.
const (
	Normal Detection = iota
	Fast
)

// FastLimit is how many speakers Fast is for.
const FastLimit = 50

// String is the word in the configuration.
func (f Detection) String() string {
	if f == Fast {
		return "fast"
	}
	return "normal"
}

// UnmarshalText reads the word; the empty one is normal.
func (f *Detection) UnmarshalText(text []byte) error {
	switch string(text) {
	case "", "normal":
		*f = Normal
	case "fast":
		*f = Fast
	default:
		return fmt.Errorf("failure detection %q: want normal or fast", text)
	}
	return nil
}

// MarshalText is String.
func (f Detection) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// timing of the probes: one member in each interval, which is to answer within timeout. One that does not is a suspect,
// and has so many intervals to contradict. How long it takes until a dead member is probed depends on the interval, and
// how much a busy one is forgiven on the time to contradict: so intervals are short, and there are many of them.
type timing struct {
	interval, timeout time.Duration
	suspicion         int
}

var timings = map[Detection]timing{
	Normal: {200 * time.Millisecond, 150 * time.Millisecond, 6},
	Fast:   {80 * time.Millisecond, 60 * time.Millisecond, 5},
}

const (
	retransmit  = 4                     // times log10 of the speakers that each passes a message on
	gossipRound = 50 * time.Millisecond // how often messages are passed on
	packetSize  = 1200                  // fits into the least MTU of IPv6 (RFC 8200 section 5), so anywhere

	// inMessage is how large a message of ours may be: a packet has room for it and memberlist's own.
	inMessage = 1000

	tcpTimeout    = 500 * time.Millisecond
	exchangeEvery = 15 * time.Second // all states, with one after the other
)

func (f Detection) timing() timing { return timings[f] }

// least is the time within which nobody is declared lost.
func (f Detection) least() time.Duration {
	return time.Duration(timings[f].suspicion) * timings[f].interval
}

// config is memberlist's.
func (m *Membership) config(t *transport) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name, c.Transport, c.Keyring = m.opts.Node, t, m.ring
	c.BindPort, c.AdvertisePort = int(m.opts.Port), int(m.opts.Port)
	timing := m.opts.Detection.timing()
	c.ProbeInterval, c.ProbeTimeout = timing.interval, timing.timeout
	c.SuspicionMult, c.SuspicionMaxTimeoutMult, c.AwarenessMaxMultiplier = timing.suspicion, 1, 1
	c.RetransmitMult, c.GossipInterval = retransmit, gossipRound
	c.PushPullInterval = 0 // see repair: everybody in turn, instead of somebody at random
	c.TCPTimeout, c.UDPBufferSize = tcpTimeout, packetSize
	c.EnableCompression = false             // states are compact, and LZW takes 100 KiB for each packet
	c.DeadNodeReclaimTime = time.Nanosecond // a node that comes back with another address is the same node
	c.Delegate, c.Events, c.Conflict, c.Ping = delegate{m}, delegate{m}, delegate{m}, delegate{m}
	c.Logger = log.New(m.lines, "", 0)
	return c
}
