package members

import "time"

// Clocks are what a machine's clocks show, each since a time of its own.
type Clocks struct {
	Monotonic time.Duration // stands still while the machine is suspended
	Boot      time.Duration // goes on meanwhile
	Wall      time.Duration // is set by people and by NTP
}

// start is when this process began to measure.
var start = time.Now()

// hostClocks reads this machine's clocks.
func hostClocks() Clocks {
	now := time.Now()
	c := Clocks{Monotonic: now.Sub(start), Wall: time.Duration(now.UnixNano())}
	c.Boot = bootClock(c.Monotonic)
	return c
}

// lapse is how much longer it was from before to now than it should have been: the process did not run, the machine
// was suspended, or the clock was set.
func lapse(before, now Clocks, should time.Duration) time.Duration {
	passed := now.Monotonic - before.Monotonic
	return max(passed-should, now.Boot-before.Boot-passed, (now.Wall - before.Wall - passed).Abs())
}
