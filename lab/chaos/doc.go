// Package chaos holds the controller to its promises while its processes are killed, frozen and replaced, against the
// lab's real API server: no address is ever in two statuses that may not share it, none moves, and in the end no
// Service waits that could be served.
package chaos
