package nstest

import (
	"strings"
	"testing"
)

// Wire joins two namespaces by a veth pair, and gives each end its addresses ("10.0.1.1/24"). Both ends are up, and
// IPv6 addresses usable at once.
func Wire(t testing.TB, a, aIf string, aAddrs []string, b, bIf string, bAddrs []string) {
	t.Helper()
	Run(t, "ip", "-n", a, "link", "add", aIf, "type", "veth", "peer", "name", bIf, "netns", b)
	for _, end := range []struct {
		namespace, dev string
		addrs          []string
	}{{a, aIf, aAddrs}, {b, bIf, bAddrs}} {
		for _, addr := range end.addrs {
			args := []string{"-n", end.namespace, "addr", "add", addr, "dev", end.dev}
			if strings.Contains(addr, ":") {
				args = append(args, "nodad")
			}
			Run(t, "ip", args...)
		}
		Run(t, "ip", "-n", end.namespace, "link", "set", end.dev, "up")
	}
}

// Forward makes a namespace a router.
func Forward(t testing.TB, namespace string) {
	t.Helper()
	Run(t, "ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
}
