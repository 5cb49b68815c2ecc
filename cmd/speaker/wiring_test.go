package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontena/network-lb/cmd/internal/process"
)

func TestGracePeriod(t *testing.T) {
	for text, want := range map[string]string{
		"60s": "", "0": "",
		"60":  `--grace-period: "60" is not a time span; write a number with a unit, such as 60s`,
		"-1s": `--grace-period: "-1s" is not a time span; write a number with a unit, such as 60s`,
		"":    `--grace-period: "" is not a time span; write a number with a unit, such as 60s`,
	} {
		_, err := gracePeriod(process.Values{"grace-period": text})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Only a process that is known to end for good has time to drain its node.
func TestRemaining(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	for _, tt := range []struct {
		state string
		keep  func() bool
		some  bool
	}{{"/state", no, true}, {"/state", yes, false}, {"", no, false}} {
		got := remaining(process.Values{"state": tt.state}, time.Minute, tt.keep)
		if some := got > 50*time.Second && got <= time.Minute; some != tt.some || !some && got != 0 {
			t.Errorf("%+v: %s", tt, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		slow := func() bool { time.Sleep(time.Second); return false }
		if got := remaining(process.Values{"state": "/state"}, time.Minute, slow); got != 59*time.Second {
			t.Errorf("%s after a second", got)
		}
	})
}
