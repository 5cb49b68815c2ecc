package speaker

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// kernel is a Discards that remembers.
type kernel struct {
	calls int
	has   []netip.Prefix
	err   error
}

func (k *kernel) Set(prefixes []netip.Prefix) error {
	k.calls++
	if k.err == nil {
		k.has = slices.SortedFunc(slices.Values(prefixes), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	}
	return k.err
}

func TestDiscards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("10.9.1.0/24")
		var wakes atomic.Int32
		k := &kernel{}
		d := discards{kernel: k, wake: func() { wakes.Add(1) }}
		step := func(what string, after time.Duration, wanted []netip.Prefix, has []netip.Prefix, calls int, woken int32) {
			t.Helper()
			time.Sleep(after) // the bubble's time
			synctest.Wait()
			if err := d.set(wanted); err != nil && !errors.Is(err, k.err) {
				t.Errorf("%s: %v", what, err)
			}
			if !slices.Equal(k.has, has) || k.calls != calls || wakes.Load() != woken {
				t.Errorf("%s: has %v after %d calls and %d wakes, want %v, %d, %d", what, k.has, k.calls, wakes.Load(), has, calls, woken)
			}
		}
		both := []netip.Prefix{a, b}
		step("leftovers are looked for", 0, nil, nil, 1, 0)
		step("and not again", time.Hour, nil, nil, 1, 0)
		step("two", time.Second, both, both, 2, 0)
		step("still two, which are looked after", time.Hour, both, both, 3, 0)
		step("one lingers", time.Second, both[:1], both, 4, 0)
		step("until then", linger-2*time.Second, both[:1], both, 5, 0)
		step("and goes", time.Second, both[:1], both[:1], 6, 2) // woken by both turns
		step("one lingers, and comes back", time.Second, nil, both[:1], 7, 2)
		step("to stay", time.Second, both[:1], both[:1], 8, 2)
		k.err = errors.New("no permission")
		step("an error", linger, nil, both[:1], 9, 3)
		step("is tried again", 0, nil, both[:1], 10, 3)
		step("by itself", linger, nil, both[:1], 11, 4)
		k.err = nil
		step("until it succeeds", 0, nil, nil, 12, 4)
		step("and then rests", time.Hour, nil, nil, 12, 4)
	})
}
