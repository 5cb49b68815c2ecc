// Package bfd finds out in milliseconds that a neighbour is dead: Bidirectional Forwarding Detection (RFC 5880) over
// UDP, for connected neighbours (RFC 5881) and across several hops (RFC 5883), over IPv4 and IPv6, in asynchronous
// mode, without authentication and echo.
//
// A Manager owns the sockets, and each of its sessions watches one neighbour. No capability is needed. A session can
// be handed over to the next process without the neighbour seeing any change: Session.Suspend and Options.Resume.
package bfd
