//go:build !linux

package members

import "time"

// bootClock is the monotonic clock: there is no other.
func bootClock() time.Duration { return time.Since(start) }
