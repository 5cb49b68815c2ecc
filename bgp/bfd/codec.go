package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// State is that of a session, RFC 5880 section 6.2. The numbers are those of the wire.
type State uint8

// The states of RFC 5880 section 4.1.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

var stateNames = [...]string{"AdminDown", "Down", "Init", "Up"}

// String is the state as RFC 5880 writes it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// Diagnostic says why a system last left a state, RFC 5880 section 4.1. The numbers are those of the wire.
type Diagnostic uint8

// The diagnostics of RFC 5880 section 4.1.
const (
	NoDiagnostic Diagnostic = iota
	DetectionTimeExpired
	EchoFailed
	NeighbourSignalledDown
	ForwardingPlaneReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown
)

var diagnosticNames = [...]string{"no diagnostic", "control detection time expired", "echo function failed",
	"neighbour signalled session down", "forwarding plane reset", "path down", "concatenated path down",
	"administratively down", "reverse concatenated path down"}

// String is the diagnostic in words.
func (d Diagnostic) String() string {
	if int(d) < len(diagnosticNames) {
		return diagnosticNames[d]
	}
	return "diagnostic " + strconv.Itoa(int(d))
}

// Packet is a BFD Control packet without authentication, RFC 5880 section 4.1. Intervals are whole microseconds on
// the wire.
type Packet struct {
	Diagnostic              Diagnostic
	State                   State
	Poll, Final             bool
	ControlPlaneIndependent bool
	Demand                  bool
	Multiplier              uint8
	MyDiscriminator         uint32
	YourDiscriminator       uint32
	DesiredMinTx            time.Duration
	RequiredMinRx           time.Duration
	RequiredMinEchoRx       time.Duration
}

const (
	packetLength = 24
	version      = 1

	flagPoll, flagFinal, flagIndependent, flagAuthentication, flagDemand, flagMultipoint = 1 << 5, 1 << 4, 1 << 3, 1 << 2, 1 << 1, 1
)

// AppendBinary appends the packet as it goes over the wire. Intervals that the wire has no room for, from 71 minutes
// on, become the longest there is. The error is always nil.
func (p Packet) AppendBinary(b []byte) ([]byte, error) {
	flags := byte(p.State&3) << 6
	for _, f := range []struct {
		set bool
		bit byte
	}{{p.Poll, flagPoll}, {p.Final, flagFinal}, {p.ControlPlaneIndependent, flagIndependent}, {p.Demand, flagDemand}} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, version<<5|byte(p.Diagnostic&0x1f), flags, p.Multiplier, packetLength)
	b = binary.BigEndian.AppendUint32(b, p.MyDiscriminator)
	b = binary.BigEndian.AppendUint32(b, p.YourDiscriminator)
	for _, interval := range []time.Duration{p.DesiredMinTx, p.RequiredMinRx, p.RequiredMinEchoRx} {
		b = binary.BigEndian.AppendUint32(b, uint32(min(max(interval.Microseconds(), 0), math.MaxUint32)))
	}
	return b, nil
}

// ErrMalformed is what every error of Parse is.
var ErrMalformed = errors.New("malformed BFD control packet")

// Parse reads a packet, and refuses what RFC 5880 section 6.8.6 refuses without knowing the session. It refuses
// authenticated packets: no session here uses authentication.
func Parse(b []byte) (Packet, error) {
	refuse := func(format string, args ...any) (Packet, error) {
		return Packet{}, fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	if len(b) < packetLength {
		return refuse("%d octets, want %d at least", len(b), packetLength)
	}
	if v := b[0] >> 5; v != version {
		return refuse("version %d, want %d", v, version)
	}
	if l := int(b[3]); l < packetLength || l > len(b) {
		return refuse("length field %d in a payload of %d octets, want %d at least", l, len(b), packetLength)
	}
	flags := b[1]
	interval := func(at int) time.Duration { return time.Duration(binary.BigEndian.Uint32(b[at:])) * time.Microsecond }
	p := Packet{
		Diagnostic:              Diagnostic(b[0] & 0x1f),
		State:                   State(flags >> 6),
		Poll:                    flags&flagPoll != 0,
		Final:                   flags&flagFinal != 0,
		ControlPlaneIndependent: flags&flagIndependent != 0,
		Demand:                  flags&flagDemand != 0,
		Multiplier:              b[2],
		MyDiscriminator:         binary.BigEndian.Uint32(b[4:]),
		YourDiscriminator:       binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx:            interval(12),
		RequiredMinRx:           interval(16),
		RequiredMinEchoRx:       interval(20),
	}
	switch {
	case flags&flagAuthentication != 0:
		return refuse("authenticated, and no session uses authentication")
	case flags&flagMultipoint != 0:
		return refuse("the multipoint bit is set")
	case p.Multiplier == 0:
		return refuse("detection multiplier 0")
	case p.MyDiscriminator == 0:
		return refuse("my discriminator 0")
	case p.YourDiscriminator == 0 && p.State > Down:
		return refuse("your discriminator 0 in state %s", p.State)
	}
	return p, nil
}
