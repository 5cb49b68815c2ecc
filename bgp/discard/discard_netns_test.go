package discard_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/kontena/network-lb/bgp/discard"
	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// set gives a node its discard routes, and says what there is then.
func set(t *testing.T, node string, wanted ...string) string {
	t.Helper()
	var text string
	nstest.Do(t, node, func() {
		var r discard.Routes
		if err := r.Set(prefixes(wanted...)); err != nil {
			t.Fatal(err)
		}
		have, err := r.Prefixes()
		if err != nil {
			t.Fatal(err)
		}
		text = fmt.Sprint(have)
	})
	return text
}

func rules(t *testing.T, node string) string {
	t.Helper()
	var ours []string
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(nstest.Run(t, "ip", "-n", node, family, "rule")) {
			if strings.Contains(line, fmt.Sprint(discard.Table)) {
				ours = append(ours, family+" "+strings.Join(strings.Fields(line), " "))
			}
		}
	}
	return strings.Join(ours, "; ")
}

func TestNetnsSet(t *testing.T) {
	node := nstest.New(t, "node")
	const four, six = "-4 30178: not from all iif lo lookup 17178 proto 178", "-6 30178: not from all iif lo lookup 17178 proto 178"
	nstest.Run(t, "ip", "-n", node, "route", "add", "unreachable", "192.0.2.0/24", "table", fmt.Sprint(discard.Table)) // somebody's
	for _, c := range []struct {
		wanted      []string
		have, rules string
	}{
		{nil, "[]", ""},
		{[]string{"10.9.0.0/24", "10.9.7.9/16", "10.9.0.0/24"}, "[10.9.0.0/16 10.9.0.0/24]", four},
		{[]string{"10.9.0.0/24", "fd00:9::/64"}, "[10.9.0.0/24 fd00:9::/64]", four + "; " + six},
		{[]string{"10.9.0.0/25", "10.9.0.128/25", "fd00:9::1/128"}, "[10.9.0.0/25 10.9.0.128/25 fd00:9::1/128]", four + "; " + six},
		{[]string{"fd00:9::/64"}, "[fd00:9::/64]", six},
		{nil, "[]", ""},
	} {
		for range 2 {
			if got := set(t, node, c.wanted...); got != c.have {
				t.Errorf("of %v there is %s, want %s", c.wanted, got, c.have)
			}
			if got := rules(t, node); got != c.rules {
				t.Errorf("with %v the rules are\n%s\nwant\n%s", c.wanted, got, c.rules)
			}
		}
	}
	if left := nstest.Run(t, "ip", "-n", node, "route", "show", "table", fmt.Sprint(discard.Table)); !strings.Contains(left, "192.0.2.0/24") {
		t.Errorf("somebody else's route is gone: %q", left)
	}
}

// What an earlier process left goes, and what somebody took away comes back.
func TestNetnsSetMends(t *testing.T) {
	node := nstest.New(t, "node")
	set(t, node, "10.8.0.0/24", "10.9.0.0/24")
	nstest.Run(t, "ip", "-n", node, "rule", "add", "iif", "eth9", "lookup", fmt.Sprint(discard.Table), "protocol", "178") // of an older version
	if got := set(t, node, "10.9.0.0/24"); got != "[10.9.0.0/24]" {
		t.Errorf("the next process has %s", got)
	}
	want := rules(t, node)
	if strings.Count(want, ";") != 0 {
		t.Errorf("its rules are %s", want)
	}
	nstest.Run(t, "ip", "-n", node, "route", "flush", "table", fmt.Sprint(discard.Table))
	nstest.Run(t, "ip", "-n", node, "rule", "del", "pref", fmt.Sprint(discard.Priority))
	if got := set(t, node, "10.9.0.0/24"); got != "[10.9.0.0/24]" || rules(t, node) != want {
		t.Errorf("after a flush there is %s, %s", got, rules(t, node))
	}
}

func TestNetnsSetRefuses(t *testing.T) {
	node := nstest.New(t, "node")
	nstest.Do(t, node, func() {
		var r discard.Routes
		err := r.Set([]netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::ffff:10.0.0.0/104"), netip.MustParsePrefix("10.9.0.0/24")})
		if err == nil || strings.Count(err.Error(), "want an IPv4 or IPv6 prefix") != 3 {
			t.Errorf("refused: %v", err)
		}
		if have, err := r.Prefixes(); err != nil || !slices.Equal(have, prefixes("10.9.0.0/24")) {
			t.Errorf("there is %v, %v", have, err)
		}
	})
}

// Without the capability nothing is needed to have nothing, and the error names what is missing otherwise.
func TestNetnsSetWithoutNetAdmin(t *testing.T) {
	node := nstest.New(t, "node")
	run := func(wanted string) string {
		c := exec.Command("ip", "netns", "exec", node, "setpriv", "--bounding-set=-all", "--inh-caps=-all", os.Args[0], "-test.run=^TestHelper$")
		c.Env = append(os.Environ(), "NETWORK_LB_TEST_DISCARD="+wanted)
		out, _ := c.CombinedOutput()
		return string(out)
	}
	if out := run("none"); !strings.Contains(out, "set: <nil>") {
		t.Errorf("nothing: %s", out)
	}
	if out := run("10.9.0.0/24"); !strings.Contains(out, "discard routes need the capability NET_ADMIN") {
		t.Errorf("a route: %s", out)
	}
}

// TestHelper is the process that TestNetnsSetWithoutNetAdmin runs.
func TestHelper(t *testing.T) {
	text := os.Getenv("NETWORK_LB_TEST_DISCARD")
	if text == "" {
		t.Skip("is for another test")
	}
	var wanted []netip.Prefix
	if text != "none" {
		wanted = prefixes(text)
	}
	var r discard.Routes
	fmt.Println("set:", r.Set(wanted))
}

const (
	routerConfig = `
router id 10.0.1.2;
protocol device {}
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol bgp node { local as 65001; neighbor 10.0.1.1 as 64512; passive; ipv4 { import all; export none; }; ipv6 { import all; export none; next hop address 2001:db8:1::2; }; }
`
	nodeConfig = `
router id 10.0.1.1;
protocol device {}
protocol static { ipv4; route 10.9.0.0/24 unreachable; }
protocol static { ipv6; route fd00:9::/64 unreachable; }
protocol bgp upstream { local as 64512; neighbor 10.0.1.2 as 65001; connect delay time 1; ipv4 { import none; export all; }; ipv6 { import none; export all; next hop address 2001:db8:1::1; }; }
`
)

// network is a client behind a router that a node advertises aggregates to; of these the node has 10.9.0.5 and
// fd00:9::5, which it translates to a Pod's addresses as kube-proxy does.
func network(t *testing.T) (client, node string) {
	t.Helper()
	routers.Require(t)
	routers.Needs(t, "nft")
	client, node = nstest.New(t, "client"), nstest.New(t, "node")
	router, pod := nstest.New(t, "router"), nstest.New(t, "pod")
	nstest.Wire(t, client, "eth0", []string{"10.0.0.9/24", "2001:db8::9/64"}, router, "eth0", []string{"10.0.0.2/24", "2001:db8::2/64"})
	nstest.Wire(t, node, "eth1", []string{"10.0.1.1/24", "2001:db8:1::1/64"}, router, "eth1", []string{"10.0.1.2/24", "2001:db8:1::2/64"})
	nstest.Wire(t, node, "pod", []string{"10.244.0.1/24", "fd00:244::1/64"}, pod, "eth0", []string{"10.244.0.2/24", "fd00:244::2/64"})
	for _, way := range [][]string{{client, "10.0.0.2", "2001:db8::2"}, {node, "10.0.1.2", "2001:db8:1::2"}, {pod, "10.244.0.1", "fd00:244::1"}} {
		nstest.Run(t, "ip", "-n", way[0], "route", "add", "default", "via", way[1])
		nstest.Run(t, "ip", "-n", way[0], "route", "add", "default", "via", way[2])
	}
	for _, forwarder := range []string{router, node} {
		nstest.Run(t, "ip", "netns", "exec", forwarder, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
			"net.ipv6.icmp.ratelimit=0", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth1.send_redirects=0")
	}
	nstest.Run(t, "ip", "netns", "exec", node, "nft", `
		table ip nat {
			chain pre { type nat hook prerouting priority -100; ip daddr 10.9.0.5 dnat to 10.244.0.2; }
			chain out { type nat hook output priority -100; ip daddr 10.9.0.5 dnat to 10.244.0.2; }
		}
		table ip6 nat {
			chain pre { type nat hook prerouting priority -100; ip6 daddr fd00:9::5 dnat to fd00:244::2; }
			chain out { type nat hook output priority -100; ip6 daddr fd00:9::5 dnat to fd00:244::2; }
		}`)
	routers.StartBIRD(t, router, routerConfig)
	routers.StartBIRD(t, node, nodeConfig)
	nstest.Eventually(t, "the router has learnt the aggregates", func() (bool, any) {
		v4, v6 := nstest.Kernel(t, router, "10.9.0.0/24"), nstest.Kernel(t, router, "fd00:9::/64")
		return v4 != "" && v6 != "", []string{v4, v6}
	})
	return client, node
}

// ping says what becomes of a packet: "answer", or the ICMP error that comes.
// Kernels send few errors a second, so silence is asked again.
func ping(namespace, address string) (text string) {
	for range 5 {
		out, _ := exec.Command("ip", "netns", "exec", namespace, "ping", "-n", "-c", "1", "-W", "2", address).CombinedOutput()
		if text = string(out); strings.Contains(text, "1 received") || !strings.Contains(text, "100% packet loss") || strings.Contains(text, "errors") {
			break
		}
	}
	switch {
	case strings.Contains(text, "1 received"):
		return "answer"
	case strings.Contains(text, "Time to live exceeded"), strings.Contains(text, "Hop limit"):
		return "loop"
	case strings.Contains(text, "nreachable"), strings.Contains(text, "No route"):
		return "unreachable"
	}
	return text
}

func TestNetnsAggregateDoesNotLoop(t *testing.T) {
	client, node := network(t)
	see := func(when string, want map[string]string) {
		t.Helper()
		for _, c := range []struct{ what, namespace, address string }{
			{"a client, an assigned address", client, "10.9.0.5"}, {"a client, an assigned IPv6 address", client, "fd00:9::5"},
			{"a client, an unassigned address", client, "10.9.0.77"}, {"a client, an unassigned IPv6 address", client, "fd00:9::77"},
			{"the node, an assigned address", node, "10.9.0.5"}, {"the node, an assigned IPv6 address", node, "fd00:9::5"},
		} {
			expected := want["assigned"]
			if strings.Contains(c.what, "unassigned") {
				expected = want["unassigned"]
			}
			if got := ping(c.namespace, c.address); got != expected {
				t.Errorf("%s: %s: %s, want %s", when, c.what, got, expected)
			}
		}
	}
	see("without discard routes", map[string]string{"assigned": "answer", "unassigned": "loop"})
	set(t, node, "10.9.0.0/24", "fd00:9::/64")
	see("with them", map[string]string{"assigned": "answer", "unassigned": "unreachable"})
	// What the node itself sends to an unassigned address comes back from the router, and ends here.
	for _, address := range []string{"10.9.0.77", "fd00:9::77"} {
		if got := ping(node, address); got == "loop" || got == "answer" {
			t.Errorf("the node, %s: %s", address, got)
		}
	}
	set(t, node)
	see("without them again", map[string]string{"assigned": "answer", "unassigned": "loop"})
}
