package nstest

import (
	"strings"
	"testing"
)

// Wire joins two namespaces by a veth pair, and gives each end its addresses ("10.0.1.1/24"). Both ends are up,
// and settled.
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
	Settled(t, a, aIf)
	Settled(t, b, bIf)
}

// Settled waits until an interface that was set up has its carrier and its IPv6 link-local address, and may use its
// IPv6 addresses. The kernel does that in its own time, of which a busy machine may take seconds; until then nothing
// can be sent to a neighbour by IPv6.
func Settled(t testing.TB, namespace, dev string) {
	t.Helper()
	Eventually(t, dev+" in "+namespace+" is settled", func() (bool, any) {
		link := Run(t, "ip", "-n", namespace, "-o", "link", "show", "dev", dev)
		addrs := Run(t, "ip", "-n", namespace, "-6", "-o", "addr", "show", "dev", dev)
		up := strings.Contains(link, " state UP ") && strings.Contains(addrs, " fe80::")
		return up && !strings.Contains(addrs, " tentative"), link + addrs
	})
}

// Forward makes a namespace a router.
func Forward(t testing.TB, namespace string) {
	t.Helper()
	Run(t, "ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
}
