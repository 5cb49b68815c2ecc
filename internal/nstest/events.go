package nstest

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Kernel is how a namespace's kernel routes a prefix; "" is that it has no such route.
func Kernel(t testing.TB, namespace, prefix string) string {
	t.Helper()
	family := "-4"
	if strings.Contains(prefix, ":") {
		family = "-6"
	}
	return strings.TrimSpace(Run(t, "ip", family, "-n", namespace, "route", "show", prefix))
}

// RouteEvents is what a namespace's kernel tells of changed routes.
type RouteEvents struct{ *Buffer }

// RouteEvent is one change of a route.
type RouteEvent struct {
	At      time.Time
	Deleted bool
	Prefix  string
}

// ListenForRoutes begins to collect route events. It listens when it returns: it has heard of a route that was made on
// the interface for the purpose.
func ListenForRoutes(t testing.TB, namespace, dev string) *RouteEvents {
	t.Helper()
	e := &RouteEvents{Start(t, namespace, Promptly("ip", "-ts", "-o", "monitor", "route")...).Out}
	Eventually(t, "the kernel's route events are heard", func() (bool, any) {
		Run(t, "ip", "-n", namespace, "route", "replace", control, "dev", dev)
		Run(t, "ip", "-n", namespace, "route", "del", control, "dev", dev)
		return strings.Contains(e.String(), control), e.String()
	})
	return e
}

// control is a prefix that nobody else has.
const control = "192.0.2.255"

// Of are the events of some prefixes, in their order. Prefixes are as iproute2 writes them: a host route's is the
// address alone.
func (e *RouteEvents) Of(prefixes ...string) []RouteEvent {
	var all []RouteEvent
	for line := range strings.Lines(e.String()) {
		stamp, text, _ := strings.Cut(strings.TrimPrefix(line, "["), "] ")
		at, err := time.ParseInLocation("2006-01-02T15:04:05.000000", stamp, time.Local)
		if err != nil {
			continue
		}
		text, deleted := strings.CutPrefix(text, "Deleted ")
		words := strings.Fields(text) // a route that leads nowhere has its kind first
		i := slices.IndexFunc(words[:min(2, len(words))], func(w string) bool { return slices.Contains(prefixes, w) })
		if i >= 0 {
			all = append(all, RouteEvent{at, deleted, words[i]})
		}
	}
	return all
}
