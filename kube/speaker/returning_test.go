package speaker

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A speaker that is gone is expected back for half a minute, and no longer once it is there.
func TestReturning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var woken atomic.Int32
		var a absences
		look := func(want []string, running ...string) {
			t.Helper()
			there := map[string]bool{}
			for _, n := range running {
				there[n] = true
			}
			var got []string
			for n := range a.look(there, time.Now(), func() { woken.Add(1) }) {
				got = append(got, n)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("with speakers on %v, %v are expected back, want %v", running, got, want)
			}
		}
		look(nil, "a", "b")
		look([]string{"a"}, "b")
		time.Sleep(20 * time.Second)
		look([]string{"a", "b"})
		look([]string{"b"}, "a")
		look([]string{"a", "b"})
		time.Sleep(returning - 10*time.Second)
		look([]string{"a", "b"})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if woken.Load() != 3 { // a was gone twice, and b once
			t.Errorf("woken %d times, want 3", woken.Load())
		}
		look(nil)
	})
}
