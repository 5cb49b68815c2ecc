package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Parts of the documents below; each document is one refusal, or shows that several are reported together.
const (
	onePool = "address_pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]\n"
	bgpPool = "address_pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/24]}]\n"
	onePeer = onePool + "peers: [{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1, node_selectors: [%s]}]\n"
)

func poolDocument(rest string) string { return "address_pools:\n- " + rest + "\n" }

func ruleDocument(rules string) string {
	return poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.0/25, 10.0.0.128/25], " + rules + "}")
}

// peerWith is a document whose only peer has further keys, in line 3.
func peerWith(keys string) string {
	return peersDocument("{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1, " + keys + "}")
}

func peersDocument(elements ...string) string {
	return bgpPool + "peers:\n- " + strings.Join(elements, "\n- ") + "\n"
}

const (
	longName   = "use lower-case letters, digits and '-', 63 at most and a letter or digit at both ends, such as default"
	labelKey   = "use letters, digits, '-', '_' and '.', 63 at most and a letter or digit at both ends, optionally after a DNS prefix and '/'"
	labelVal   = "use letters, digits, '-', '_' and '.', 63 at most and a letter or digit at both ends, or nothing"
	addrForm   = "write a CIDR, a range such as 10.20.1.10-10.20.1.20, or an address"
	addrList   = "list CIDRs, ranges and single addresses, such as [10.20.0.0/24, 10.20.1.10-10.20.1.20]"
	aReserved  = "write an address of this pool, such as 10.20.0.5"
	addAPool   = "add a pool with name, protocol and addresses, or set enabled: false"
	addAPeer   = "add a peer with peer_address, peer_asn and my_asn, or use protocol: layer2"
	anAS       = "write the number of the autonomous system, such as 64500"
	aPeersAS   = anAS + ", or external or internal"
	peerKeys   = "peer_address, interface, peer_asn, my_asn, node_selectors, name, peer_port, source_address, router_id, hold_time, keepalive_time, connect_time, password, password_secret, ebgp_multihop, ttl_security, graceful_restart, max_received_routes, bfd_profile"
	aRouter    = "write the IP address of the router, such as 10.0.0.1"
	topKeys    = "the document has schema_version, enabled, node_selector, tolerations, load_balancer_class, address_pools, peers, bfd_profiles, bgp_communities, membership, failure_detection, exclude_interfaces, gratuitous_rate, drain, restart_grace, release"
	poolKeys   = "name, protocol, addresses, exclude, disabled, auto_assign, avoid_buggy_ips, priority, assignment, sticky_ttl, cooldown, sharing, requests, max_per_namespace, reservations, namespaces, namespace_selectors, service_selectors, node_selectors, interfaces, answer_ping, conflict_probe, bgp_advertisements"
	secretName = "use lower-case letters, digits, '-' and '.', 253 at most and a letter or digit at both ends of each part, as Secrets are named"
	secretKey  = "use letters, digits, '-', '_' and '.', 253 at most, as in the Secret"
	aSchema    = "write the version of the keys in use, 1 at least, or leave it out"
	aRelease   = "list names of pools, addresses, ranges and CIDRs, such as [default, 10.20.0.5, 10.20.1.0/24]"
	aPort      = "write a port that is free on every node, 1024 to 65535, such as 17946"
	aGrace     = "write how long others stand in for a speaker that restarts, 5s to 10m, such as 30s"
	noGlob     = "is neither the name of an interface nor a glob of such; write the name of an interface, or a part of it with * and ?, such as eth1 or bond*"
	aSpan      = "write a number with a unit, such as 90s, 10m or 24h, or 0"
	yamlHelp   = "check indentation, colons, brackets and quotes there and in the line before"
)

// refusals has at least one row for every reason to refuse a document, with the whole text that the operator reads.
var refusals = []struct{ name, document, want string }{
	// The document.
	{"empty", "", "the document (line 1) is empty; write address_pools and, for BGP, peers, or enabled: false"},
	{"only a comment", "# nothing\n", "the document (line 1) is empty; write address_pools and, for BGP, peers, or enabled: false"},
	{"null", "~", "the document (line 1) is empty; write address_pools and, for BGP, peers, or enabled: false"},
	{"a list", "- a", "the document (line 1) is a list, not a map; write address_pools and, for BGP, peers"},
	{"text", "hello", "the document (line 1) is text, not a map; write address_pools and, for BGP, peers"},
	{"two documents", onePool + "---\n" + onePool, "the document (line 2) is followed by another one; put everything into one document, without ---"},
	{"not YAML", onePool + "peers: [\n- a", "the document (line 2) is not YAML: did not find expected node content; " + yamlHelp},
	{"not YAML after it", onePool + "---\n- [", "the document (line 3) is not YAML: did not find expected node content; " + yamlHelp},
	{"not YAML, first line", "{", "the document (line 1) is not YAML: did not find expected node content; " + yamlHelp},
	{"tabs", "peers:\n\t- a", "the document (line 2) is not YAML: found character that cannot start any token; indent with blanks, not tabs, and quote a value that begins with a special character"},
	{"not text", onePool + "\x01", "the document is not YAML: control characters are not allowed; save it as plain UTF-8 text"},
	{"unknown alias", "peers:\n- *a", "the document (line 2) has an alias (*) without an anchor (&); write the value itself, in quotes if it begins with *"},

	// Layer 2.
	{"membership in a word", onePool + "membership: true", "membership (line 2): true is true or false; write a map with enabled, port"},
	{"misspelt key of membership", onePool + "membership: {prot: 1}", "membership.prot (line 2) is not a key of membership; did you mean port?"},
	{"membership in words", onePool + "membership: {enabled: maybe}", `membership.enabled (line 2): "maybe" is not true or false; write true or false, without quotes`},
	{"a privileged port", onePool + "membership: {port: 80}", "membership.port (line 2): 80 is not between 1024 and 65535; " + aPort},
	{"an unknown detection", onePool + "failure_detection: faster", `failure_detection (line 2): "faster" is not known; use normal or fast`},
	{"no detection", onePool + "failure_detection: slow", `failure_detection (line 2): "slow" is not known; use normal or fast`},
	{"no rate", onePool + "gratuitous_rate: 0", "gratuitous_rate (line 2): 0 is not between 1 and 10000; write how many frames a second may announce addresses on an interface, 1 to 10000"},
	{"no grace", onePool + "restart_grace: 0", "restart_grace (line 2): 0 is not between 5s and 10m; " + aGrace},
	{"too short a grace", onePool + "restart_grace: 4999ms", "restart_grace (line 2): \"4999ms\" is not between 5s and 10m; " + aGrace},
	{"too long a grace", onePool + "restart_grace: 11m", "restart_grace (line 2): \"11m\" is not between 5s and 10m; " + aGrace},
	{"a grace without a unit", onePool + "restart_grace: 30", "restart_grace (line 2): 30 has no unit; " + aGrace},
	{"an interface with a blank", onePool + "exclude_interfaces: [eth0 eth1]", `exclude_interfaces[0] (line 2): "eth0 eth1" ` + noGlob},
	{"an open glob", onePool + `exclude_interfaces: ["eth["]`, `exclude_interfaces[0] (line 2): "eth[" ` + noGlob},
	{"an interface twice", onePool + `exclude_interfaces: [a, a]`, `exclude_interfaces[1] (line 2): "a" is there twice; keep one of them`},
	{"a number as an interface", ruleDocument("interfaces: [1]"), `address_pools[0].interfaces[0] (line 2): 1 is not text; write the name of an interface, in quotes: "1"`},
	{"an empty interface", ruleDocument("interfaces: ['']"), `address_pools[0].interfaces[0] (line 2): "" ` + noGlob},
	{"interfaces of BGP", poolDocument("{name: a, protocol: bgp, addresses: [10.0.0.0/24], interfaces: [eth0]}") + "peers: [{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}]",
		"address_pools[0].interfaces (line 2) is for layer2, and this pool is for BGP alone; leave it out, or add layer2 to the protocol"},
	{"another probe", ruleDocument("conflict_probe: on"), `address_pools[0].conflict_probe (line 2): "on" is not known; use report, off or avoid`},
	{"pings of BGP", poolDocument("{name: a, protocol: bgp, addresses: [10.0.0.0/24], answer_ping: false}") + "peers: [{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}]",
		"address_pools[0].answer_ping (line 2) is for layer2, and this pool is for BGP alone; leave it out, or add layer2 to the protocol"},

	// Draining.
	{"a drain in a word", onePool + "drain: true", "drain (line 2): true is true or false; write a map with on_taints, period, timeout, max_draining"},
	{"misspelt key of drain", onePool + "drain: {max_drain: 1}", "drain.max_drain (line 2) is not a key of drain; did you mean max_draining?"},
	{"no period", onePool + "drain: {period: 0}", "drain.period (line 2): 0 is not between 1s and 1h; write how long routers have to take other nodes, such as 30s"},
	{"a period without a unit", onePool + "drain: {period: 30}", "drain.period (line 2): 30 has no unit; write how long routers have to take other nodes, such as 30s"},
	{"an endless timeout", onePool + "drain: {timeout: 25h}", `drain.timeout (line 2): "25h" is not between 1s and 24h; write after what time an address is given up that no other node announces, such as 5m`},
	{"a short timeout", onePool + "drain: {period: 1m, timeout: 30s}", `drain.timeout (line 2): "30s" makes the timeout of 30s shorter than the period of 1m; write a timeout that is at least as long as the period`},
	{"a long period", onePool + "drain: {period: 10m}", `drain.period (line 2): "10m" makes the timeout of 5m shorter than the period of 10m; write a timeout that is at least as long as the period`},
	{"nobody drains", onePool + "drain: {max_draining: 0}", "drain.max_draining (line 2): 0 is not between 1 and 100; write how many nodes may be on their way out at a time, such as 1"},
	{"a taint that is none", onePool + "drain: {on_taints: [a b]}", `drain.on_taints[0] (line 2): "a b" is not a label key; ` + labelKey},
	{"a taint twice", onePool + "drain: {on_taints: [a, a]}", `drain.on_taints[1] (line 2): "a" is there twice; keep one of them`},

	// Keys.
	{"misspelt key", onePool + "peer: []", "peer (line 2) is not a key of the document; did you mean peers?"},
	{"misspelt key without a value", onePool + "tolerration:", "tolerration (line 2) is not a key of the document; did you mean tolerations?"},
	{"misspelt required key", "adddress_pools: []", "adddress_pools (line 1) is not a key of the document; did you mean address_pools?"},
	{"another spelling at the top", strings.Replace(onePool, "address_pools", "address-pools", 1), "address-pools (line 1) is not a key of the document; did you mean address_pools?"},
	{"misspelt key of a pool", poolDocument("{name: a, protocol: layer2, adresses: [10.0.0.1]}"), "address_pools[0].adresses (line 2) is not a key of an address pool; did you mean addresses?"},
	{"misspelt key of a peer", peersDocument("{peer_addr: 10.0.0.1, peer_asn: 1, my_asn: 1}"), "peers[0].peer_addr (line 3) is not a key of a peer; did you mean peer_address?"},
	{"misspelt key of a selector", fmt.Sprintf(onePeer, "{matchLabel: {a: b}}"), "peers[0].node_selectors[0].matchLabel (line 2) is not a key of a selector; did you mean match_labels?"},
	{"misspelt key of an expression", fmt.Sprintf(onePeer, "{match_expressions: [{key: a, operator: In, value: [b]}]}"), "peers[0].node_selectors[0].match_expressions[0].value (line 2) is not a key of an expression; did you mean values?"},
	{"misspelt key of a toleration", onePool + "tolerations: [{operator: Exists, effects: NoSchedule}]", "tolerations[0].effects (line 2) is not a key of a toleration; did you mean effect?"},
	{"a mixed spelling", poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.1], auto_Assign: true}"), "address_pools[0].auto_Assign (line 2) is not a key of an address pool; did you mean auto_assign?"},
	{"a key that belongs elsewhere", onePool + "peer_asn: 1", "peer_asn (line 2) is not a key of the document; it is a key of a peer; " + topKeys},
	{"a key of the chart", onePool + "global: {}", "global (line 2) is not a key of the document; it is a key of the chart's own, for its values alone; leave it out"},
	{"a number as key", onePool + "1: 2", "1 (line 2) is not a key of the document; " + topKeys},
	{"an empty key", onePool + `"": 2`, `"" (line 2) is not a key of the document; ` + topKeys},
	{"an empty key in a pool", ruleDocument(`" ": 2`), `address_pools[0]." " (line 2) is not a key of an address pool; an address pool has ` + poolKeys},
	{"an empty key among labels", onePool + `node_selector: {"": a}`, `node_selector[""] (line 2): "" is missing; name the label to look at`},
	{"a key of two lines", onePool + `"a\nb": 2`, `"a\nb" (line 2) is not a key of the document; ` + topKeys},
	{"a long key", onePool + "a: 1\n? " + strings.Repeat("b", 1000) + "\n: 2", "a (line 2) is not a key of the document; " + topKeys + "\n" +
		strings.Repeat("b", 80) + "… (line 3) is not a key of the document; " + topKeys},
	{"a key of a pool at the top", "addresses: [10.0.0.1]", "addresses (line 1) is not a key of the document; it is a key of an address pool; " + topKeys + "\naddress_pools (line 1) is missing; " + addAPool},
	{"a list as key", onePool + "? [a]\n: b", "the document (line 2) has a list as a key; a key is one of schema_version, enabled, node_selector, tolerations, load_balancer_class, address_pools, peers, bfd_profiles, bgp_communities, membership, failure_detection, exclude_interfaces, gratuitous_rate, drain, restart_grace, release"},
	{"a merge", onePool + "<<: {peers: []}", "<< (line 2) is a merge, which is not supported; write the keys out"},
	{"a key twice", onePool + onePool, "address_pools (line 2) is there twice, first in line 1; keep one of them"},
	{"two spellings of a key", poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.1], auto_assign: true,\n   autoAssign: true}"), "address_pools[0].autoAssign (line 3) is the same key as auto_assign in line 2; keep one of them"},

	// Types.
	{"text for a bool", onePool + "enabled: yes", `enabled (line 2): "yes" is not true or false; write true or false, without quotes`},
	{"a number for a bool", onePool + "enabled: 1", "enabled (line 2): 1 is not true or false; write true or false, without quotes"},
	{"text for a list", "address_pools: default", `address_pools (line 1): "default" is text; write a list`},
	{"a map for a list", "address_pools: {name: a}", "address_pools (line 1) is a map; write a list"},
	{"a number for a list", onePool + "peers: 1", "peers (line 2): 1 is a number; write a list"},
	{"a bool for a list", onePool + "peers: false", "peers (line 2): false is true or false; write a list"},
	{"a date for a list", onePool + "peers: 2026-01-31", "peers (line 2): 2026-01-31 is a timestamp; write a list"},
	{"text for a map", "address_pools: [default]", `address_pools[0] (line 1): "default" is text; write a map with ` + poolKeys},
	{"nothing for a map", onePool + "tolerations:\n-", "tolerations[0] (line 3) is empty; write a map with key, operator, value, effect, toleration_seconds"},
	{"a number for text", poolDocument("{name: 5, protocol: layer2, addresses: [10.0.0.1]}"), `address_pools[0].name (line 2): 5 is not text; write a name, in quotes: "5"`},
	{"a list for text", poolDocument("{name: [a], protocol: layer2, addresses: [10.0.0.1]}"), "address_pools[0].name (line 2) is a list; write a name"},
	{"text for addresses", poolDocument("{name: a, protocol: layer2, addresses: 10.0.0.1}"), `address_pools[0].addresses (line 2): "10.0.0.1" is text; write a list`},
	{"a number in quotes", peersDocument(`{peer_address: 10.0.0.1, peer_asn: "64500", my_asn: 1}`), `peers[0].peer_asn (line 3): "64500" is not a number; write it without quotes`},
	{"text for a number", peersDocument("{peer_address: 10.0.0.1, peer_asn: AS64500, my_asn: 1}"), `peers[0].peer_asn (line 3): "AS64500" is not a number; ` + aPeersAS},
	{"a fraction", peersDocument("{peer_address: 10.0.0.1, peer_asn: 1.10, my_asn: 1}"), "peers[0].peer_asn (line 3): 1.10 is not a whole number in digits; " + aPeersAS},
	{"a hexadecimal number", peersDocument("{peer_address: 10.0.0.1, peer_asn: 0x10, my_asn: 1}"), "peers[0].peer_asn (line 3): 0x10 is not a whole number in digits; " + aPeersAS},
	{"text for labels", onePool + "node_selector: edge", `node_selector (line 2): "edge" is text; write a map of labels, or leave it out`},
	{"a number for a label", onePool + "node_selector: {edge: 1}", `node_selector[edge] (line 2): 1 is not text; write a label value, in quotes: "1"`},
	{"a bool for a label", onePool + "node_selector: {edge: true}", `node_selector[edge] (line 2): true is not text; write a label value, in quotes: "true"`},
	{"a label twice", onePool + "node_selector: {a: b, a: c}", "node_selector[a] (line 2) is there twice, first in line 2; keep one of them"},

	// node_selector and tolerations.
	{"bad label key", onePool + "node_selector: {-a: b}", `node_selector[-a] (line 2): "-a" is not a label key; ` + labelKey},
	{"bad label value", onePool + "node_selector: {a: b c}", `node_selector[a] (line 2): "b c" is not a label value; ` + labelVal},
	{"a number as operator of a toleration", onePool + "tolerations: [{operator: 1}]", `tolerations[0].operator (line 2): 1 is not text; write one of Exists, Equal, in quotes: "1"`},
	{"unknown operator of a toleration", onePool + "tolerations: [{operator: exist}]", `tolerations[0].operator (line 2): "exist" is not known; did you mean Exists?`},
	{"unknown effect", onePool + "tolerations: [{operator: Exists, effect: Drain}]", `tolerations[0].effect (line 2): "Drain" is not known; use NoSchedule, PreferNoSchedule or NoExecute`},
	{"toleration without key and operator", onePool + "tolerations: [{effect: NoSchedule}]", "tolerations[0] (line 2) needs a key unless the operator is Exists; add a key, or write operator: Exists"},
	{"toleration without key", onePool + "tolerations: [{operator: Equal}]", "tolerations[0].operator (line 2) needs a key unless the operator is Exists; add a key, or write operator: Exists"},
	{"bad taint key", onePool + "tolerations: [{key: a b, operator: Exists}]", `tolerations[0].key (line 2): "a b" is not a label key; ` + labelKey},
	{"bad taint value", onePool + "tolerations: [{key: a, value: b c}]", `tolerations[0].value (line 2): "b c" is not a label value; ` + labelVal},
	{"value with Exists", onePool + "tolerations: [{key: a, operator: Exists, value: b}]", `tolerations[0].value (line 2): "b" has no meaning with operator Exists; leave it out, or use operator: Equal`},
	{"seconds without NoExecute", onePool + "tolerations: [{operator: Exists, tolerationSeconds: 5}]", "tolerations[0].tolerationSeconds (line 2): 5 has no meaning without effect NoExecute; leave it out, or use effect: NoExecute"},
	{"seconds as text", onePool + "tolerations: [{operator: Exists, effect: NoExecute, toleration_seconds: 5s}]", `tolerations[0].toleration_seconds (line 2): "5s" is not a number; write a whole number of seconds`},

	// address_pools.
	{"no pools", "enabled: true", "address_pools (line 1) is missing; " + addAPool},
	{"pools without a value", "enabled: true\naddress_pools:", "address_pools (line 2) has no value; " + addAPool},
	{"an empty list of pools", "address_pools: []", "address_pools (line 1) has no pool, and at least one is needed; " + addAPool},
	{"pool without a name", poolDocument("{protocol: layer2, addresses: [10.0.0.1]}"), "address_pools[0].name (line 2) is missing; " + longName},
	{"pool with an empty name", poolDocument(`{name: "", protocol: layer2, addresses: [10.0.0.1]}`), `address_pools[0].name (line 2): "" is not a DNS label; ` + longName},
	{"pool name in capitals", poolDocument("{name: Default, protocol: layer2, addresses: [10.0.0.1]}"), `address_pools[0].name (line 2): "Default" is not a DNS label; ` + longName},
	{"pool name too long", poolDocument("{name: " + strings.Repeat("a", 64) + ", protocol: layer2, addresses: [10.0.0.1]}"), `address_pools[0].name (line 2): "` + strings.Repeat("a", 64) + `" is not a DNS label; ` + longName},
	{"pool name twice", poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.1]}\n- {name: a, protocol: layer2, addresses: [10.0.0.2]}"), `address_pools[1].name (line 3): "a" is already the name of the pool in line 2; give every pool its own name`},
	{"no protocol", poolDocument("{name: a, addresses: [10.0.0.1]}"), "address_pools[0].protocol (line 2) is missing; use layer2, bgp or [layer2, bgp]"},
	{"unknown protocol", poolDocument("name: a\n  protocol: ospf\n  addresses: [10.0.0.1]"), `address_pools[0].protocol (line 3): "ospf" is not a protocol; use layer2, bgp or [layer2, bgp]`},
	{"protocol in capitals", poolDocument("{name: a, protocol: Layer2, addresses: [10.0.0.1]}"), `address_pools[0].protocol (line 2): "Layer2" is not a protocol; did you mean layer2?`},
	{"unknown protocol in a list", poolDocument("{name: a, protocol: [layer2, rip], addresses: [10.0.0.1]}"), `address_pools[0].protocol[1] (line 2): "rip" is not a protocol; use layer2, bgp or [layer2, bgp]`},
	{"no protocol in a list", poolDocument("{name: a, protocol: [], addresses: [10.0.0.1]}"), "address_pools[0].protocol (line 2) names no protocol; use layer2, bgp or [layer2, bgp]"},
	{"a protocol twice", poolDocument("{name: a, protocol: [layer2, layer2], addresses: [10.0.0.1]}"), `address_pools[0].protocol[1] (line 2): "layer2" is there twice; keep one of them`},
	{"no addresses", poolDocument("{name: a, protocol: layer2}"), "address_pools[0].addresses (line 2) is missing; " + addrList},
	{"empty addresses", poolDocument("{name: a, protocol: layer2, addresses: []}"), "address_pools[0].addresses (line 2) has no address; " + addrList},
	{"an empty address", poolDocument(`{name: a, protocol: layer2, addresses: [""]}`), `address_pools[0].addresses[0] (line 2): "" is not valid: an address is missing; ` + addrForm},
	{"no address", poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.256]}"), `address_pools[0].addresses[0] (line 2): "10.0.0.256" is not valid: "10.0.0.256" is not an IP address; ` + addrForm},
	{"no CIDR", poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.0/33]}"), `address_pools[0].addresses[0] (line 2): "10.0.0.0/33" is not valid: "10.0.0.0/33" is not a CIDR; ` + addrForm},
	{"mixed families", poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.1-fd00::9]}"), `address_pools[0].addresses[0] (line 2): "10.0.0.1-fd00::9" is not valid: 10.0.0.1 and fd00::9 are of different families; ` + addrForm},
	{"end before start", poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.9-10.0.0.1]}"), `address_pools[0].addresses[0] (line 2): "10.0.0.9-10.0.0.1" is not valid: the range ends at 10.0.0.1, before it starts at 10.0.0.9; ` + addrForm},
	{"overlap within a pool", poolDocument("{name: a, protocol: layer2, addresses: [10.0.0.9, 10.0.0.0/24]}"), `address_pools[0].addresses[1] (line 2): 10.0.0.0/24 overlaps 10.0.0.9 of pool "a" at address_pools[0].addresses[0] (line 2); leave every address to one of them`},
	{"overlap between pools", poolDocument("{name: b, protocol: layer2, addresses: ['fd00::/64']}\n- {name: a, protocol: layer2, addresses: ['fd00::9-fd01::']}"), `address_pools[1].addresses[0] (line 3): fd00::9-fd01:: overlaps fd00::/64 of pool "b" at address_pools[0].addresses[0] (line 2); leave every address to one of them`},
	{"auto_assign as text", poolDocument(`{name: a, protocol: layer2, addresses: [10.0.0.1], auto-assign: "false"}`), `address_pools[0].auto-assign (line 2): "false" is not true or false; write true or false, without quotes`},
	{"disabled as text", ruleDocument(`disabled: "no"`), `address_pools[0].disabled (line 2): "no" is not true or false; write true or false, without quotes`},
	{"priority as text", ruleDocument("priority: high"), `address_pools[0].priority (line 2): "high" is not a number; write a whole number; the pool with the higher one is tried first`},
	{"a huge priority", ruleDocument("priority: 3000000000"), `address_pools[0].priority (line 2): 3000000000 is not between -2147483648 and 2147483647; write a whole number; the pool with the higher one is tried first`},
	{"unknown assignment", ruleDocument("assignment: random"), `address_pools[0].assignment (line 2): "random" is not known; use lowest or stable`},
	{"misspelt assignment", ruleDocument("assignment: Stable"), `address_pools[0].assignment (line 2): "Stable" is not known; did you mean stable?`},
	{"assignment as a number", ruleDocument("assignment: 1"), `address_pools[0].assignment (line 2): 1 is not text; write a way to assign, in quotes: "1"`},
	{"unknown requests", ruleDocument("requests: [any]"), "address_pools[0].requests (line 2) is a list; write whose requests are granted"},
	{"requests of some", ruleDocument("requests: some"), `address_pools[0].requests (line 2): "some" is not known; use any, reserved or none`},
	{"exclude as text", ruleDocument("exclude: 10.0.0.1"), `address_pools[0].exclude (line 2): "10.0.0.1" is text; write a list`},
	{"excluding nonsense", ruleDocument("exclude: [x]"), `address_pools[0].exclude[0] (line 2): "x" is not valid: "x" is not an IP address; ` + addrForm},
	{"excluding what is outside", ruleDocument("exclude: [10.0.0.128-10.0.1.3]"), `address_pools[0].exclude[0] (line 2): "10.0.0.128-10.0.1.3" is not in this pool; list what is in addresses of this pool, in the same forms`},
	{"excluding another family", ruleDocument("exclude: ['fd00::1']"), `address_pools[0].exclude[0] (line 2): "fd00::1" is not in this pool; list what is in addresses of this pool, in the same forms`},
	{"reserving outside", ruleDocument("reservations: [{address: 10.0.1.1, namespace: a, service: b}]"), `address_pools[0].reservations[0].address (line 2): "10.0.1.1" is not in this pool; ` + aReserved},
	{"reserving a range", ruleDocument("reservations: [{address: 10.0.0.0/31, namespace: a, service: b}]"), `address_pools[0].reservations[0].address (line 2): "10.0.0.0/31" is not one address; ` + aReserved},
	{"reserving nonsense", ruleDocument("reservations: [{address: x, namespace: a, service: b}]"), `address_pools[0].reservations[0].address (line 2): "x" is not valid: "x" is not an IP address; ` + aReserved},
	{"reserving no text", ruleDocument("reservations: [{address: 10, namespace: a, service: b}]"), `address_pools[0].reservations[0].address (line 2): 10 is not text; write an address, in quotes: "10"`},
	{"reserving what is excluded", ruleDocument("exclude: [10.0.0.0/30], reservations: [{address: 10.0.0.1, namespace: a, service: b}]"), `address_pools[0].reservations[0].address (line 2): "10.0.0.1" is excluded; reserve another address, or take it out of exclude`},
	{"reserving twice", ruleDocument("reservations: [{address: 10.0.0.1, namespace: a, service: b}, {address: 10.0.0.1, namespace: a, service: c}]"), `address_pools[0].reservations[1].address (line 2): "10.0.0.1" is reserved for a/b already; keep one of them`},
	{"reserving no address", ruleDocument("reservations: [{namespace: a, service: b}]"), "address_pools[0].reservations[0].address (line 2) is missing; " + aReserved},
	{"reserving for no namespace", ruleDocument("reservations: [{address: 10.0.0.1, service: b}]"), "address_pools[0].reservations[0].namespace (line 2) is missing; write the namespace of the Service"},
	{"reserving for no Service", ruleDocument("reservations: [{address: 10.0.0.1, namespace: a, service: A}]"), `address_pools[0].reservations[0].service (line 2): "A" is not a DNS label; write the name of the Service`},
	{"reserving for a name", ruleDocument("reservations: [{address: 10.0.0.1, name: b, namespace: a, service: b}]"), "address_pools[0].reservations[0].name (line 2) is not a key of a reservation; it is a key of an address pool; a reservation has address, namespace, service"},
	{"sharing by all", ruleDocument("sharing: all"), `address_pools[0].sharing (line 2): "all" is not known; use namespace, cluster or none`},
	{"misspelt sharing", ruleDocument("sharing: Cluster"), `address_pools[0].sharing (line 2): "Cluster" is not known; did you mean cluster?`},
	{"sharing as a bool", ruleDocument("sharing: false"), `address_pools[0].sharing (line 2): false is not text; write who may share an address, in quotes: "false"`},
	{"a class that is none", onePool + "load_balancer_class: a b", `load_balancer_class (line 2): "a b" is not a label key; ` + labelKey},
	{"a class that is a number", onePool + "load_balancer_class: 7", `load_balancer_class (line 2): 7 is not text; write the class of Services, in quotes: "7"`},
	{"a span without a unit", ruleDocument("sticky_ttl: 30"), "address_pools[0].sticky_ttl (line 2): 30 has no unit; " + aSpan},
	{"a span in a unit that is none", ruleDocument("cooldown: 2d"), `address_pools[0].cooldown (line 2): "2d" is not a time span; ` + aSpan},
	{"a negative span", ruleDocument("cooldown: -1s"), `address_pools[0].cooldown (line 2): "-1s" is not between 0s and 8760h; ` + aSpan},
	{"a span that is too long", ruleDocument("sticky_ttl: 8761h"), `address_pools[0].sticky_ttl (line 2): "8761h" is not between 0s and 8760h; ` + aSpan},
	{"a truth for a span", ruleDocument("sticky_ttl: true"), "address_pools[0].sticky_ttl (line 2): true is not a time span; " + aSpan},
	{"a list for a span", ruleDocument("sticky_ttl: [1s]"), "address_pools[0].sticky_ttl (line 2) is not a time span; " + aSpan},
	{"a negative quota", ruleDocument("max_per_namespace: -1"), "address_pools[0].max_per_namespace (line 2): -1 is not between 0 and 2147483647; write how many addresses a namespace may have, 0 for any number"},
	{"a quota as text", ruleDocument(`maxPerNamespace: "3"`), `address_pools[0].maxPerNamespace (line 2): "3" is not a number; write it without quotes`},
	{"one namespace as text", ruleDocument("namespaces: prod"), `address_pools[0].namespaces (line 2): "prod" is text; write a list`},
	{"a namespace that is none", ruleDocument("namespaces: [prod, Prod]"), `address_pools[0].namespaces[1] (line 2): "Prod" is not a DNS label; use lower-case letters, digits and '-', 63 at most and a letter or digit at both ends, as namespaces are named`},
	{"a namespace as a number", ruleDocument("namespaces: [1]"), `address_pools[0].namespaces[0] (line 2): 1 is not text; write the name of a namespace, in quotes: "1"`},
	{"a namespace twice", ruleDocument("namespaces: [prod, prod]"), `address_pools[0].namespaces[1] (line 2): "prod" is there twice; keep one of them`},
	{"namespace selectors as a map", ruleDocument("namespace_selectors: {match_labels: {a: b}}"), "address_pools[0].namespace_selectors (line 2) is a map; write a list"},
	{"a bad namespace selector", ruleDocument("namespaceSelectors: [{matchLabels: {a b: c}}]"), `address_pools[0].namespaceSelectors[0].matchLabels[a b] (line 2): "a b" is not a label key; ` + labelKey},
	{"a bad service selector", ruleDocument("service-selectors: [{match_expressions: [{key: a, operator: Is}]}]"), `address_pools[0].service-selectors[0].match_expressions[0].operator (line 2): "Is" is not known; use In, NotIn, Exists or DoesNotExist`},
	{"one node selector", ruleDocument("nodeSelectors: {match_labels: {a: b}}"), "address_pools[0].nodeSelectors (line 2) is a map; write a list"},
	{"a bad node selector", ruleDocument("node_selectors: [{match_labels: {rack: a/b}}]"), `address_pools[0].node_selectors[0].match_labels[rack] (line 2): "a/b" is not a label value; use letters, digits, '-', '_' and '.', 63 at most and a letter or digit at both ends, or nothing`},
	{"two spellings of selectors", ruleDocument("service-selectors: [], service_selectors: []"), "address_pools[0].service_selectors (line 2) is the same key as service-selectors in line 2; keep one of them"},
	{"bgp without peers", poolDocument("name: a\n  protocol: bgp\n  addresses: [10.0.0.1]"), `peers (line 2) is missing, but pool "a" says bgp; ` + addAPeer},
	{"bgp with no peer", bgpPool + "peers: []", `peers (line 2) has no peer, but pool "a" says bgp; ` + addAPeer},

	// peers.
	{"peer without address", peersDocument("{peer_asn: 1, my_asn: 1}"), "peers[0].peer_address (line 3) is missing; " + aRouter},
	{"peer with an empty address", peersDocument(`{peer_address: "", peer_asn: 1, my_asn: 1}`), `peers[0].peer_address (line 3): "" is not an IP address; ` + aRouter},
	{"peer with a number", peersDocument("{peer_address: 10, peer_asn: 1, my_asn: 1}"), `peers[0].peer_address (line 3): 10 is not text; write an IP address, in quotes: "10"`},
	{"peer with a name", peersDocument("{peer_address: tor1, peer_asn: 1, my_asn: 1}"), `peers[0].peer_address (line 3): "tor1" is not an IP address; ` + aRouter},
	{"peer with a prefix", peersDocument("{peer_address: 10.0.0.1/24, peer_asn: 1, my_asn: 1}"), `peers[0].peer_address (line 3): "10.0.0.1/24" is not an IP address; ` + aRouter},
	{"peer with a group address", peersDocument("{peer_address: 224.0.0.1, peer_asn: 1, my_asn: 1}"), `peers[0].peer_address (line 3): "224.0.0.1" is not the address of a router; ` + aRouter},
	{"peer with no address at all", peersDocument("{peer_address: 0.0.0.0, peer_asn: 1, my_asn: 1}"), `peers[0].peer_address (line 3): "0.0.0.0" is not the address of a router; ` + aRouter},
	{"peer with a link-local address", peersDocument("{peer_address: 'fe80::1', peer_asn: 1, my_asn: 1}"), `peers[0].peer_address (line 3): "fe80::1" is a link-local address, which does not say the interface; write another address of the router, or its interface in place of the address`},
	{"peer with a mapped address", peersDocument("{peer_address: '::ffff:10.0.0.1', peer_asn: 1, my_asn: 1}"), `peers[0].peer_address (line 3): "::ffff:10.0.0.1" is an IPv4 address in IPv6 form; write 10.0.0.1`},
	{"peer without its ASN", peersDocument("{peer_address: 10.0.0.1, my_asn: 1}"), "peers[0].peer_asn (line 3) is missing; " + aPeersAS},
	{"peer without our ASN", peersDocument("{peer_address: 10.0.0.1, peer_asn: 1}"), "peers[0].my_asn (line 3) is missing; " + anAS},
	{"ASN zero", peersDocument("{peer_address: 10.0.0.1, peer_asn: 0, my_asn: 1}"), "peers[0].peer_asn (line 3): 0 is not between 1 and 4294967295; " + aPeersAS},
	{"ASN too large", peersDocument("{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 4294967296}"), "peers[0].my_asn (line 3): 4294967296 is not between 1 and 4294967295; " + anAS},
	{"ASN far too large", peersDocument("{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 99999999999999999999}"), "peers[0].my_asn (line 3): 99999999999999999999 is not between 1 and 4294967295; " + anAS},
	{"ASN by a wrong word", peersDocument("{peer_address: 10.0.0.1, peer_asn: extern, my_asn: 1}"), `peers[0].peer_asn (line 3): "extern" is not a number; ` + aPeersAS},
	{"our ASN by word", peersDocument("{peer_address: 10.0.0.1, peer_asn: 1, my_asn: external}"), `peers[0].my_asn (line 3): "external" is not a number; ` + anAS},
	{"a peer twice", peersDocument("{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}", "{peer_address: 10.0.0.1, peer_asn: 2, my_asn: 1, node_selectors: [{match_labels: {a: b}}]}"), `peers[1].peer_address (line 4): "10.0.0.1" is also the address of peers[0] (line 3), and both are for the same nodes; keep one of them, or give them node_selectors of which no node matches both`},

	// Passwords, which no text shows.
	{"an empty password", peerWith(`password: ""`), "peers[0].password (line 3) is empty; write 1 to 80 bytes, or leave it out"},
	{"a password of a line break", peerWith(`password: "\n"`), "peers[0].password (line 3) is empty; write 1 to 80 bytes, or leave it out"},
	{"a long password", peerWith("password: " + strings.Repeat("é", 41)), "peers[0].password (line 3) has 82 bytes, and TCP MD5 takes 80; write 1 to 80 bytes, or leave it out"},
	{"a number as password", peerWith("password: 12345"), "peers[0].password (line 3) is not text; write a password, in quotes"},
	{"a bool as password", peerWith("password: true"), "peers[0].password (line 3) is not text; write a password, in quotes"},
	{"a tag as password", peerWith("password: !hunter2 x"), "peers[0].password (line 3) is not text; write a password, in quotes"},
	{"a map as password", peerWith("password: {hunter2: hunter2}"), "peers[0].password (line 3) is a map; write a password"},
	{"a list as password", peerWith("password: [hunter2]"), "peers[0].password (line 3) is a list; write a password"},
	{"an alias as password", peerWith("password: *hunter2"), "the document (line 3) has an alias (*) without an anchor (&); write the value itself, in quotes if it begins with *"},
	{"an anchor as password", peerWith("password: &hunter2"), "peers[0].password (line 3) has an anchor (&) and no value; put it into quotes if it begins with &"},
	{"a password without its blank", peerWith("password:hunter2"), "peers[0].password:… (line 3) is not a key of a peer; a peer has " + peerKeys},
	{"only a password without its blank", peersDocument("PASSWORD:hunter2"), `peers[0] (line 3): "PASSWORD:…" is text; write a map with ` + peerKeys},
	{"a misspelt password", peerWith("pasword: hunter2"), "peers[0].pasword (line 3) is not a key of a peer; did you mean password?"},
	{"a password twice", peerWith("password: hunter2, password: hunter2"), "peers[0].password (line 3) is there twice, first in line 3; keep one of them"},
	{"a password of a pool", ruleDocument("password: hunter2"), "address_pools[0].password (line 2) is not a key of an address pool; it is a key of a peer; an address pool has " + poolKeys},
	{"two passwords", peerWith("password: hunter2, passwordSecret: {name: a, key: b}"), "peers[0].passwordSecret (line 3) cannot be given together with password; keep one of them"},
	{"a password as reference", peerWith("password_secret: hunter2"), "peers[0].password_secret (line 3) is a single value; write a map with name, key"},
	{"a reference without a name", peerWith("password_secret: {key: b}"), "peers[0].password_secret.name (line 3) is missing; write the name of a Secret in the namespace of the installation"},
	{"a reference without a key", peerWith("password-secret: {name: a}"), "peers[0].password-secret.key (line 3) is missing; write the key of the Secret that the password stands under"},
	{"an empty reference", peerWith("password_secret: {name: , key: ~}"), "peers[0].password_secret.name (line 3) has no value; write the name of a Secret in the namespace of the installation\n" +
		"peers[0].password_secret.key (line 3) has no value; write the key of the Secret that the password stands under"},
	{"a reference to a bad name", peerWith("password_secret: {name: Router, key: b}"), `peers[0].password_secret.name (line 3): "Router" is not a DNS subdomain; ` + secretName},
	{"a reference to an empty name", peerWith(`password_secret: {name: "", key: b}`), `peers[0].password_secret.name (line 3): "" is not a DNS subdomain; ` + secretName},
	{"a reference to a long name", peerWith("password_secret: {name: " + strings.Repeat("a", 254) + ", key: b}"), `peers[0].password_secret.name (line 3): "` + strings.Repeat("a", 80) + `"… is not a DNS subdomain; ` + secretName},
	{"a reference to a bad key", peerWith("password_secret: {name: a.b-c, key: b/c}"), `peers[0].password_secret.key (line 3): "b/c" is not a key that a Secret can have; ` + secretKey},
	{"a reference to a key of dots", peerWith("password_secret: {name: a, key: ..}"), `peers[0].password_secret.key (line 3): ".." is not a key that a Secret can have; ` + secretKey},
	{"a reference to a long key", peerWith("password_secret: {name: a, key: " + strings.Repeat("a", 254) + "}"), `peers[0].password_secret.key (line 3): "` + strings.Repeat("a", 80) + `"… is not a key that a Secret can have; ` + secretKey},
	{"a reference to a number", peerWith("password_secret: {name: a, key: 1}"), `peers[0].password_secret.key (line 3): 1 is not text; write a key of the Secret, in quotes: "1"`},
	{"a misspelt key of a reference", peerWith("password_secret: {nam: a, key: b}"), "peers[0].password_secret.nam (line 3) is not a key of a reference to a Secret; did you mean name?"},

	// schema_version and release.
	{"schema_version zero", onePool + "schema_version: 0", "schema_version (line 2): 0 is not between 1 and 2147483647; " + aSchema},
	{"a fraction as schema_version", onePool + "schema_version: 1.5", "schema_version (line 2): 1.5 is not a whole number in digits; " + aSchema},
	{"schema_version as text", onePool + "schema_version: v1", `schema_version (line 2): "v1" is not a number; ` + aSchema},
	{"schema_version in quotes", onePool + `schema_version: "1"`, `schema_version (line 2): "1" is not a number; write it without quotes`},
	{"an unknown key of this schema_version", onePool + "schema_version: 1\ncolour: red", "colour (line 3) is not a key of the document; " + topKeys},
	{"a key twice in a newer schema_version", "schema_version: 2\nenabled: true\nenabled: true\n" + onePool, "enabled (line 3) is there twice, first in line 2; keep one of them"},
	{"an unknown value in a newer schema_version", "schema_version: 2\n" + ruleDocument("assignment: random"), `address_pools[0].assignment (line 3): "random" is not known; use lowest or stable`},
	{"a required key is unknown in a newer schema_version", "schema_version: 2\n" + poolDocument("{name: a, protocol: layer2, adresses: [10.0.0.1]}"), "address_pools[0].addresses (line 3) is missing; " + addrList},
	{"release as text", onePool + "release: default", `release (line 2): "default" is text; write a list`},
	{"releasing a number", onePool + "release: [10]", `release[0] (line 2): 10 is not text; write an address or the name of a pool, in quotes: "10"`},
	{"releasing nonsense", onePool + "release: [10.0.0.256]", `release[0] (line 2): "10.0.0.256" is neither an address nor the name of a pool; ` + aRelease},
	{"releasing everything", onePool + `release: [a, "*"]`, `release[1] (line 2): "*" is neither an address nor the name of a pool; ` + aRelease},
	{"releasing an upturned range", onePool + "release: [10.0.0.9-10.0.0.1]", `release[0] (line 2): "10.0.0.9-10.0.0.1" is neither an address nor the name of a pool; ` + aRelease},

	// Selectors.
	{"selector that is text", fmt.Sprintf(onePeer, "a=b"), `peers[0].node_selectors[0] (line 2): "a=b" is text; write a map with match_labels, match_expressions`},
	{"bad key in match_labels", fmt.Sprintf(onePeer, "{match_labels: {a b: c}}"), `peers[0].node_selectors[0].match_labels[a b] (line 2): "a b" is not a label key; ` + labelKey},
	{"unknown operator", fmt.Sprintf(onePeer, "{match_expressions: [{key: a, operator: in, values: [b]}]}"), `peers[0].node_selectors[0].match_expressions[0].operator (line 2): "in" is not known; use In`},
	{"no operator", fmt.Sprintf(onePeer, "{match-expressions: [{key: a}]}"), "peers[0].node_selectors[0].match-expressions[0].operator (line 2) is missing; use In, NotIn, Exists or DoesNotExist"},
	{"no key", fmt.Sprintf(onePeer, "{match_expressions: [{operator: Exists}]}"), "peers[0].node_selectors[0].match_expressions[0].key (line 2) is missing; name the label to look at"},
	{"bad key", fmt.Sprintf(onePeer, "{match_expressions: [{key: -, operator: Exists}]}"), `peers[0].node_selectors[0].match_expressions[0].key (line 2): "-" is not a label key; ` + labelKey},
	{"no values", fmt.Sprintf(onePeer, "{match_expressions: [{key: a, operator: NotIn}]}"), "peers[0].node_selectors[0].match_expressions[0].values (line 2) are missing for operator NotIn; list at least one value"},
	{"values too many", fmt.Sprintf(onePeer, "{match_expressions: [{key: a, operator: Exists, values: [b]}]}"), "peers[0].node_selectors[0].match_expressions[0].values (line 2) cannot be given for operator Exists; leave values out, or use In"},
	{"bad value", fmt.Sprintf(onePeer, "{match_expressions: [{key: a, operator: In, values: [b, c d]}]}"), `peers[0].node_selectors[0].match_expressions[0].values[1] (line 2): "c d" is not a label value; ` + labelVal},
	{"a number as value", fmt.Sprintf(onePeer, "{match_expressions: [{key: a, operator: In, values: [1]}]}"), `peers[0].node_selectors[0].match_expressions[0].values[0] (line 2): 1 is not text; write a label value, in quotes: "1"`},
	{"text for values", fmt.Sprintf(onePeer, "{match_expressions: [{key: a, operator: In, values: b}]}"), `peers[0].node_selectors[0].match_expressions[0].values (line 2): "b" is text; write a list`},

	// All of it.
	{"many mistakes, by line", "peers:\n- {peer_address: x}\naddress_pools:\n- protocol: ospf\n  name: a\nenabled: no\n", strings.Join([]string{
		"peers[0].peer_asn (line 2) is missing; " + aPeersAS,
		"peers[0].my_asn (line 2) is missing; " + anAS,
		`peers[0].peer_address (line 2): "x" is not an IP address; ` + aRouter,
		"address_pools[0].addresses (line 4) is missing; " + addrList,
		`address_pools[0].protocol (line 4): "ospf" is not a protocol; use layer2, bgp or [layer2, bgp]`,
		`enabled (line 6): "no" is not true or false; write true or false, without quotes`,
	}, "\n")},
}

func TestRefusals(t *testing.T) {
	seen := map[string]bool{}
	for _, tc := range slices.Concat(refusals, bgpRefusals) {
		t.Run(tc.name, func(t *testing.T) {
			if seen[tc.name] {
				t.Error("two rows have this name")
			}
			seen[tc.name] = true
			c, _, err := Parse([]byte(tc.document))
			if err == nil {
				t.Fatalf("accepted:\n%s", tc.document)
			}
			if err.Error() != tc.want {
				t.Errorf("got\n%v\nwant\n%s", err, tc.want)
			}
			if strings.Contains(tc.document, "hunter2") && strings.Contains(fmt.Sprintf("%v %+v", err, Mistakes(err)), "hunter2") {
				t.Error("the password is shown")
			}
			if !c.Equal(Config{}) {
				t.Errorf("a configuration came with the error: %+v", c)
			}
			if got := len(Mistakes(err)); got != strings.Count(tc.want, "\n")+1 {
				t.Errorf("%d mistakes", got)
			}
		})
	}
}
