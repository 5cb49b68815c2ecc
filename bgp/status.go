package bgp

import "time"

// PeerStatus is what became of a peer.
type PeerStatus struct {
	// Peer as it was given to Set, with defaults.
	Peer Peer
	// State of the session, and since when.
	State State
	Since time.Time
	// Reason of the last loss or failure, in words for a person; "" when there was none. An Established
	// session keeps it.
	Reason string
	// Lost is why the last Established session ended, and LostAt when; zero when none has.
	Lost   string
	LostAt time.Time
	// Problem is what the engine refuses at present; "" is nothing.
	Problem string
	// Conn is the connection of an Established session; otherwise zero.
	Conn Conn
	// Liveness is what watches the peer; zero when nothing does (Peer.BFD).
	Liveness LivenessStatus
	// Sent and Received count messages of all connections since the peer was first given to Set, 5 s old at most.
	Sent, Received Messages
	// IPv4 and IPv6 count the prefixes.
	IPv4, IPv6 FamilyStatus
	// Flaps counts how often an Established session was lost.
	Flaps int
}

// FamilyStatus counts one family's prefixes of a peer.
type FamilyStatus struct {
	// Wanted by Set.
	Wanted int `json:"wanted"`
	// Sent in the present session, 0 when none is Established.
	Sent int `json:"sent"`
	// Withheld says why wanted prefixes are not sent though the session is Established; "" is no objection.
	Withheld string `json:"withheld,omitempty"`
	// Received from the peer in the present session, and used for nothing; 5 s old at most.
	Received int `json:"received,omitempty"`
}
