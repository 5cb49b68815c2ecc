package nstest

import (
	"fmt"
	"slices"
	"strconv"
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
type RouteEvents struct {
	heard  *Buffer
	settle func() // until all that has happened was heard
}

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
	heard := Start(t, namespace, Promptly("ip", "-ts", "-o", "monitor", "route")...).Out
	asked := 0
	e := &RouteEvents{heard, func() {
		t.Helper()
		asked++
		route := []string{control, "dev", dev, "metric", strconv.Itoa(asked)}
		Eventually(t, "the kernel's route events are heard", func() (bool, any) {
			Run(t, "ip", append([]string{"-n", namespace, "route", "replace"}, route...)...)
			Run(t, "ip", append([]string{"-n", namespace, "route", "del"}, route...)...)
			return strings.Contains(heard.String(), fmt.Sprintf("%s dev %s scope link metric %d ", control, dev, asked)), heard.String()
		})
	}}
	e.settle()
	return e
}

// control is a prefix that nobody else has.
const control = "192.0.2.255"

// Of are the events of some prefixes until now, in their order. Prefixes are as iproute2 writes them: a host route's is the
// address alone.
func (e *RouteEvents) Of(prefixes ...string) []RouteEvent {
	e.settle()
	var all []RouteEvent
	for line := range strings.Lines(e.heard.String()) {
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
