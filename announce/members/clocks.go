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
func hostClocks() Clocks { return readClocks(time.Now, bootClock) }

// readClocks reads all clocks at one moment: if the process stands still between two of them, it begins anew, or that
// would be noticed twice, with this reading and with the next.
func readClocks(now func() time.Time, boot func() time.Duration) (c Clocks) {
	for range 10 {
		c.Boot = boot()
		t := now()
		c.Monotonic, c.Wall = t.Sub(start), time.Duration(t.UnixNano())
		if boot()-c.Boot < time.Millisecond {
			break
		}
	}
	return c
}

// lapse is how much longer it was from before to now than it should have been: the process did not run, the machine
// was suspended, or the clock was set.
func lapse(before, now Clocks, should time.Duration) time.Duration {
	passed := now.Monotonic - before.Monotonic
	return max(passed-should, now.Boot-before.Boot-passed, (now.Wall - before.Wall - passed).Abs())
}
