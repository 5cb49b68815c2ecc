package bfd

import "time"

// Status of a session.
type Status struct {
	State State
	// Dead is that the neighbour is to be given up: the session was Up, and went Down because nothing was heard for
	// the detection time or the neighbour says that it is Down. It is not set when the neighbour was taken down on
	// purpose (AdminDown), nor before the session was first Up, and it is over when the session comes back.
	Dead  bool
	Since time.Time // of the state

	// Diagnostic is why this end is in its state, and RemoteDiagnostic why the neighbour is in its own.
	Diagnostic, RemoteDiagnostic Diagnostic
	RemoteState                  State
	// The discriminators by which the two ends name the session; Remote is 0 while the neighbour is not heard.
	LocalDiscriminator, RemoteDiscriminator uint32

	Transmit   time.Duration // negotiated interval of what is sent, before jitter
	Receive    time.Duration // negotiated interval of what the neighbour sends, before jitter
	Detection  time.Duration // how long the neighbour may be silent; 0 while it is not heard
	Negotiated bool          // no Poll Sequence runs: the neighbour has the present parameters

	Ups, Downs uint64 // how often it came Up, and left Up for Down
	// Packets of this session: sent, that could not be sent, taken in, and refused for their TTL.
	Sent, Unsent, Received, Refused uint64
	// Late is how often this process was held up so long that detection started anew, in place of taking a neighbour
	// for dead that it may only not have heard.
	Late uint64
	// SendError is why the last packet could not be sent; empty when it could.
	SendError string
}

func (m *machine) status() Status {
	return Status{
		State: m.state, Dead: m.dead, Since: m.since,
		Diagnostic: m.diag, RemoteDiagnostic: m.remoteDiag, RemoteState: m.remoteState,
		LocalDiscriminator: m.local, RemoteDiscriminator: m.remote,
		Transmit: m.interval(), Receive: m.expected(), Detection: m.detection(), Negotiated: m.state == Up && !m.polling,
		Ups: m.ups, Downs: m.downs, Late: m.late,
	}
}
