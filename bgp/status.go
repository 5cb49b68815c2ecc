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
	// Problem is what the engine refuses at present; "" is nothing.
	Problem string
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
}
