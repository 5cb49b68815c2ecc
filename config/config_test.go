package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/selector"
)

func parse(t *testing.T, document string) (Config, []Warning) {
	t.Helper()
	c, warnings, err := Parse([]byte(document))
	if err != nil {
		t.Fatalf("%s\n%v", document, err)
	}
	return c, warnings
}

const everything = `
schema_version: 1
enabled: true
node_selector: {role: edge}
tolerations:
  - {operator: Exists, effect: NoSchedule}
  - {key: dedicated, value: lb, effect: NoExecute, toleration_seconds: 60}
load_balancer_class: example.com/edge
address_pools:
  - name: default
    protocol: layer2
    addresses: [10.20.0.0/24, 10.20.1.10-10.20.1.20, "fd00:20::/64", 10.20.2.7]
  - name: reserve
    protocol: [layer2, bgp]
    addresses: [10.30.0.0/24]
    exclude: [10.30.0.1, 10.30.0.128/25]
    disabled: true
    auto_assign: false
    avoid_buggy_ips: true
    priority: -1
    assignment: stable
    sharing: cluster
    requests: reserved
    max_per_namespace: 3
    sticky_ttl: 1h30m
    cooldown: 0
    namespaces: [prod, stage]
    namespace_selectors: [{match_labels: {team: web}}]
    service_selectors: [{match_labels: {expose: "yes"}}, {match_expressions: [{key: zone, operator: DoesNotExist}]}]
    node_selectors: [{match_expressions: [{key: zone, operator: DoesNotExist}]}, {match_labels: {team: web}}]
    reservations: [{address: 10.30.0.5, namespace: prod, service: web}]
    interfaces: [bond0, "eth[0-3]"]
    answer_ping: true
    conflict_probe: avoid
    bgp_advertisements:
      - {}
      - aggregation_length: 24
        aggregation_length_v6: 64
        localpref: 0
        med: 4294967295
        prepend: 3
        communities: [mine, "64500:7", no-export, two words]
        peers: [tor3, "[fd00::1]:1179", eth1]
        node_selectors: [{match_labels: {team: web}}]
        max_nodes: 8
        spread_by: topology.kubernetes.io/zone
        weight: endpoints
      - {localpref: null, service_selectors: [{match_labels: {expose: "yes"}}], aggregation_length: 32}
peers:
  - peer_address: 10.0.0.1
    peer_asn: 64501
    my_asn: 4294967295
    password: "correct horse: 5"
    node_selectors:
      - match_labels: {rack: a}
        match_expressions:
          - {key: kubernetes.io/hostname, operator: In, values: [worker-0, worker-1]}
      - match_expressions: [{key: zone, operator: DoesNotExist}]
  - {peer_address: "fd00::1", peer_port: 1179, peer_asn: internal, my_asn: 64500, password_secret: {name: routers.bgp, key: tor_2.Key}, max_received_routes: 0, bfd_profile: ""}
  - name: tor3
    peer_address: 10.0.0.3
    peer_asn: external
    my_asn: 64500
    source_address: 10.0.0.30
    router_id: 10.0.0.31
    hold_time: 9s
    keepalive_time: 2s
    connect_time: 3s
    ebgp_multihop: true
    graceful_restart: {enabled: false}
    bfd_profile: fast
    node_selectors: [{match_labels: {kubernetes.io/hostname: worker-3, rack: a}}]
  - {interface: eth1, peer_asn: 64501, my_asn: 64500, ttl_security: 2, graceful_restart: {restart_time: 1m}, bfd_profile: usual}
bfd_profiles:
  - {name: fast, receive_interval: 100ms, transmit_interval: 50ms, detect_multiplier: 5, minimum_ttl: 200, passive_mode: true}
  - {name: usual}
membership: {enabled: false, port: 1024}
failure_detection: fast
exclude_interfaces: [mgmt0, "p?p*"]
gratuitous_rate: 200
drain: {on_taints: [example.com/leaving], period: 1m, timeout: 1m, max_draining: 2}
restart_grace: 1m
bgp_communities: {mine: "large:64500:1:2", No-Export: "65535:65281", two words: "1:2"}
release: [reserve, gone, 10.20.0.9, 10.20.0.16/28, fd00:20::1-fd00:20::9]
`

func TestParse(t *testing.T) {
	got, warnings := parse(t, everything)
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	rack, _ := selector.New(map[string]string{"rack": "a"}, []selector.Requirement{
		{Key: "kubernetes.io/hostname", Operator: selector.In, Values: []string{"worker-1", "worker-0"}},
	})
	zone, _ := selector.New(nil, []selector.Requirement{{Key: "zone", Operator: selector.DoesNotExist}})
	team, _ := selector.New(map[string]string{"team": "web"}, nil)
	one, _ := selector.New(map[string]string{"kubernetes.io/hostname": "worker-3", "rack": "a"}, nil)
	expose, _ := selector.New(map[string]string{"expose": "yes"}, nil)
	minute := int64(60)
	want := Config{
		Enabled:      true,
		NodeSelector: map[string]string{"role": "edge"},
		Tolerations: []Toleration{
			{Operator: "Exists", Effect: "NoSchedule"},
			{Key: "dedicated", Operator: "Equal", Value: "lb", Effect: "NoExecute", Seconds: &minute},
		},
		FailureDetection: FastDetection, ExcludeInterfaces: []string{"mgmt0", "p?p*"}, GratuitousRate: 200, RestartGrace: time.Minute,
		Membership:        Membership{Port: 1024},
		Drain:             Drain{OnTaints: []string{"example.com/leaving"}, Period: time.Minute, Timeout: time.Minute, MaxDraining: 2},
		LoadBalancerClass: "example.com/edge",
		Pools: []Pool{
			{Name: "default", Layer2: true, AutoAssign: true, StickyTTL: 24 * time.Hour, Cooldown: time.Minute,
				Ranges: ranges(t, "10.20.0.0/24", "10.20.1.10-10.20.1.20", "fd00:20::/64", "10.20.2.7")},
			{Name: "reserve", Layer2: true, BGP: true, Ranges: ranges(t, "10.30.0.0/24"),
				Exclude: ranges(t, "10.30.0.1", "10.30.0.128/25"), Disabled: true, AvoidBuggyIPs: true, Priority: -1,
				Interfaces: []string{"bond0", "eth[0-3]"}, AnswerPing: true, ConflictProbe: ProbeAvoid, Assignment: ipam.Stable, Sharing: ipam.SharedByAll, Requests: ipam.RequestsIfReserved,
				StickyTTL: 90 * time.Minute, MaxPerNamespace: 3, Namespaces: []string{"prod", "stage"},
				NamespaceSelectors: selector.Any{team}, ServiceSelectors: selector.Any{expose, zone}, NodeSelectors: selector.Any{zone, team},
				Reservations: []Reservation{{netip.MustParseAddr("10.30.0.5"), "prod", "web"}},
				Advertisements: []announce.Advertisement{{}, {Length4: 24, Length6: 64, LocalPref: bgp.Some(0), MED: bgp.Some(4294967295),
					Prepend: 3, Peers: []string{"tor3", "[fd00::1]:1179", "eth1"}, Nodes: selector.Any{team}, MaxNodes: 8, SpreadBy: "topology.kubernetes.io/zone", Weight: announce.ByEndpoints, Communities: []bgp.Community{
						bgp.LargeCommunity(64500, 1, 2), bgp.StandardCommunity(64500<<16 | 7), bgp.StandardCommunity(0xffffff01), bgp.StandardCommunity(1<<16 | 2),
					}}, {Length4: 32, Services: selector.Any{expose}}}},
		},
		Peers: []Peer{
			{Peer: bgp.Peer{Name: "10.0.0.1", Address: netip.MustParseAddr("10.0.0.1"), PeerASN: 64501, MyASN: 4294967295,
				Password: "correct horse: 5", RestartTime: 30 * time.Second, MaxReceived: 100_000},
				NodeSelectors: selector.Any{rack, zone}},
			{Peer: bgp.Peer{Name: "[fd00::1]:1179", Address: netip.MustParseAddr("fd00::1"), Port: 1179, PeerASN: 64500, MyASN: 64500,
				RestartTime: 30 * time.Second}, PasswordSecret: SecretKey{"routers.bgp", "tor_2.Key"}},
			{Peer: bgp.Peer{Name: "tor3", Address: netip.MustParseAddr("10.0.0.3"), External: true, MyASN: 64500,
				Source: netip.MustParseAddr("10.0.0.30"), RouterID: netip.MustParseAddr("10.0.0.31"), HoldTime: 9 * time.Second,
				KeepaliveTime: 2 * time.Second, ConnectTime: 3 * time.Second, Multihop: 255, MaxReceived: 100_000,
				BFD: bgp.BFD{Enabled: true, Receive: 100 * time.Millisecond, Transmit: 50 * time.Millisecond, Multiplier: 5,
					MinimumTTL: 200, Passive: true}}, NodeSelectors: selector.Any{one}},
			{Peer: bgp.Peer{Name: "eth1", Interface: "eth1", PeerASN: 64501, MyASN: 64500, RestartTime: time.Minute, TTLSecurity: 2,
				MaxReceived: 100_000, BFD: bgp.BFD{Enabled: true}.WithDefaults()}},
		},
		Release: []string{"reserve", "gone", "10.20.0.9", "10.20.0.16/28", "fd00:20::1-fd00:20::9"},
	}
	if !got.Equal(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	pools := got.AllocatorPools()
	reserve := ipam.Pool{Name: "reserve", Ranges: ranges(t, "10.30.0.0/24"), Exclude: ranges(t, "10.30.0.1", "10.30.0.128/25"),
		AvoidBuggyIPs: true, Disabled: true, Manual: true, Priority: -1, Assignment: ipam.Stable, Requests: ipam.RequestsIfReserved,
		Sharing: ipam.SharedByAll, MaxPerNamespace: 3, StickyTTL: 90 * time.Minute,
		Selector:     audience{[]string{"prod", "stage"}, selector.Any{team}, selector.Any{expose, zone}},
		Reservations: []ipam.Reservation{{Address: netip.MustParseAddr("10.30.0.5"), Owner: "prod/web"}}}
	if len(pools) != 2 || pools[0].Name != "default" || pools[0].Manual || pools[0].Selector != nil || !reflect.DeepEqual(pools[1], reserve) {
		t.Errorf("the allocator's pools: %+v", pools)
	}
	allocator, err := ipam.New(pools)
	if err != nil {
		t.Fatalf("the allocator refuses them: %v", err)
	}
	if _, err := allocator.SetPools(nil, got.Release...); err != nil {
		t.Errorf("the allocator refuses the release: %v", err)
	}
}

func ranges(t *testing.T, texts ...string) []ipam.Range {
	t.Helper()
	all := make([]ipam.Range, 0, len(texts))
	for _, s := range texts {
		r, err := ipam.ParseRange(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// All spellings say the same: ours, the addon's and MetalLB's.
func TestSpellings(t *testing.T) {
	ours, _ := parse(t, everything)
	inner := regexp.MustCompile(`[ {][a-z]+_[a-z_]+:`) // a key of ours that is not the document's own
	for name, spell := range map[string]*strings.Replacer{
		"kebab-case": strings.NewReplacer("toleration_seconds", "toleration-seconds", "auto_assign", "auto-assign", "avoid_buggy_ips", "avoid-buggy-ips",
			"peer_address", "peer-address", "peer_asn", "peer-asn", "my_asn", "my-asn", "node_selectors", "node-selectors",
			"password_secret", "password-secret", "match_labels", "match-labels", "match_expressions", "match-expressions", "max_per_namespace", "max-per-namespace", "sticky_ttl", "sticky-ttl",
			"namespace_selectors", "namespace-selectors", "service_selectors", "service-selectors",
			"answer_ping", "answer-ping", "conflict_probe", "conflict-probe", " bgp_advertisements:", " bgp-advertisements:", "max_nodes", "max-nodes", "spread_by", "spread-by", " aggregation_length_v6:", " aggregation-length-v6:", " aggregation_length:", " aggregation-length:", " peer_port:", " peer-port:", " source_address:", " source-address:", " router_id:", " router-id:", " hold_time:", " hold-time:", " keepalive_time:", " keepalive-time:", " connect_time:", " connect-time:", " ebgp_multihop:", " ebgp-multihop:", " ttl_security:", " ttl-security:", " graceful_restart:", " graceful-restart:", " restart_time:", " restart-time:", " max_received_routes:", " max-received-routes:", " bfd_profile:", " bfd-profile:", " receive_interval:", " receive-interval:", " transmit_interval:", " transmit-interval:", " detect_multiplier:", " detect-multiplier:", " minimum_ttl:", " minimum-ttl:", " passive_mode:", " passive-mode:", "{restart_time:", "{restart-time:", "on_taints", "on-taints", "max_draining", "max-draining", "localpref", "local-pref"),
		"camelCase": strings.NewReplacer("toleration_seconds", "tolerationSeconds", "auto_assign", "autoAssign", "avoid_buggy_ips", "avoidBuggyIps",
			"peer_address", "peerAddress", "peer_asn", "peerAsn", "my_asn", "myAsn", "node_selectors", "nodeSelectors",
			"password_secret", "passwordSecret", "match_labels", "matchLabels", "match_expressions", "matchExpressions", "max_per_namespace", "maxPerNamespace", "sticky_ttl", "stickyTtl",
			"namespace_selectors", "namespaceSelectors", "service_selectors", "serviceSelectors",
			"answer_ping", "answerPing", "conflict_probe", "conflictProbe", " bgp_advertisements:", " bgpAdvertisements:", "max_nodes", "maxNodes", "spread_by", "spreadBy", " aggregation_length_v6:", " aggregationLengthV6:", " aggregation_length:", " aggregationLength:", " peer_port:", " peerPort:", " source_address:", " sourceAddress:", " router_id:", " routerId:", " hold_time:", " holdTime:", " keepalive_time:", " keepaliveTime:", " connect_time:", " connectTime:", " ebgp_multihop:", " ebgpMultihop:", " ttl_security:", " ttlSecurity:", " graceful_restart:", " gracefulRestart:", " restart_time:", " restartTime:", " max_received_routes:", " maxReceivedRoutes:", " bfd_profile:", " bfdProfile:", " receive_interval:", " receiveInterval:", " transmit_interval:", " transmitInterval:", " detect_multiplier:", " detectMultiplier:", " minimum_ttl:", " minimumTtl:", " passive_mode:", " passiveMode:", "{restart_time:", "{restartTime:", "on_taints", "onTaints", "max_draining", "maxDraining", "localpref", "localPref"),
		"MetalLB's": strings.NewReplacer("avoid_buggy_ips", "avoidBuggyIPs", "sticky_ttl", "stickyTTL", "peer_address", "peerAddress", "peer_asn", "peerASN", "my_asn", "myASN", "router_id", "routerID", "ebgp_multihop", "ebgpMultiHop", "minimum_ttl", "minimumTTL", "localpref", "local_pref"),
	} {
		document := spell.Replace(everything)
		if theirs, _ := parse(t, document); !theirs.Equal(ours) {
			t.Errorf("%s: got  %+v\nwant %+v", name, theirs, ours)
		}
		if left := inner.FindString(document); left != "" && name != "MetalLB's" {
			t.Errorf("%s: %s is not tried", name, left)
		}
	}
}

// The document of TestParse has every key there is, so that the tests that spell it otherwise try each.
func TestEverythingIsThere(t *testing.T) {
	for of, known := range keys {
		for _, key := range known {
			if !regexp.MustCompile(`\b` + key + `:`).MatchString(everything) {
				t.Errorf("it lacks %s of %s", key, of)
			}
		}
	}
}

// The two examples of the addon's documentation, word for word but for the addresses.
func TestDocumentedExamples(t *testing.T) {
	bgp, _ := parse(t, `
peers:
  - peer_address: 10.0.0.1
    peer_asn: 64501
    my_asn: 64500
    node_selectors:
      - match-expressions:
          - key: kubernetes.io/hostname
            operator: In
            values: [worker-0]
  - peer_address: 10.0.0.2
    peer_asn: 64501
    my_asn: 64500
    node_selectors:
      - match-expressions:
          - key: kubernetes.io/hostname
            operator: In
            values: [worker-1]
address_pools:
  - name: default
    protocol: bgp
    addresses:
      - 10.20.0.0/24
`)
	for i, p := range bgp.Peers {
		for j, node := range []string{"worker-0", "worker-1"} {
			if p.NodeSelectors.Matches(map[string]string{"kubernetes.io/hostname": node}) != (i == j) {
				t.Errorf("peer %s matches %s: %v", p.Name, node, i != j)
			}
		}
	}
	layer2, _ := parse(t, `
node_selector: ""
tolerations:
  - operator: Exists
    effect: NoSchedule
address_pools:
  - name: default
    protocol: layer2
    addresses:
      - 172.31.0.200-172.31.0.250
`)
	if p := layer2.Pools[0]; !p.Layer2 || p.BGP || !p.AutoAssign || layer2.NodeSelector != nil || !layer2.Enabled {
		t.Errorf("got %+v", layer2)
	}
}

// Every document in examples/ that is configuration is valid.
func TestExampleFiles(t *testing.T) {
	for _, name := range []string{"bgp.yaml", "layer2.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, warnings, err := Parse(text); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", name, warnings, err)
		}
	}
}

func TestAccepted(t *testing.T) {
	const pool = "\naddress_pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]\n"
	plain, _ := parse(t, pool)
	for name, document := range map[string]string{
		"empty node_selector":       `node_selector: ""` + pool,
		"empty map":                 "node_selector: {}" + pool,
		"keys without a value":      "enabled:\nnode_selector:\ntolerations: ~\npeers: null" + pool,
		"empty lists":               "tolerations: []\npeers: []" + pool,
		"JSON":                      `{"address_pools": [{"name": "a", "protocol": "layer2", "addresses": ["10.0.0.0/24"]}]}`,
		"one protocol in a list":    strings.Replace(pool, "layer2", "[layer2]", 1),
		"aliases":                   "tolerations: &none []\npeers: *none" + pool,
		"a marker at both ends":     "---" + pool + "...\n",
		"Windows line ends":         strings.ReplaceAll(pool, "\n", "\r\n"),
		"a byte order mark":         "\ufeff" + pool,
		"touching, not overlapping": pool,
	} {
		if got, warnings := parse(t, document); !got.Equal(plain) || len(warnings) > 0 {
			t.Errorf("%s: %+v %v", name, got, warnings)
		}
	}
	for name, document := range map[string]string{
		"nothing else": "enabled: false",
		"empty lists":  "enabled: false\naddress_pools: []\npeers: []",
		"BGP, no peer": "enabled: false\naddress_pools: [{name: a, protocol: bgp, addresses: [10.0.0.1]}]",
	} {
		if got, _ := parse(t, document); got.Enabled {
			t.Errorf("%s: enabled", name)
		}
	}
	// Helm may render a large number so.
	got, _ := parse(t, "peers: [{peer_address: 10.0.0.1, peer_asn: 4.294967295e+09, my_asn: 6.45e4}]"+pool)
	if p := got.Peers[0]; p.PeerASN != 4294967295 || p.MyASN != 64500 {
		t.Errorf("AS numbers %d and %d", p.PeerASN, p.MyASN)
	}
	// One router may have several sessions, with different nodes.
	parse(t, `peers:
  - {peer_address: 10.0.0.1, peer_asn: 1, my_asn: 2, node_selectors: [{match_labels: {rack: a}}]}
  - {peer_address: 10.0.0.1, peer_asn: 1, my_asn: 3, node_selectors: [{match_labels: {rack: b}}]}`+pool)
}

func TestWarnings(t *testing.T) {
	c, warnings := parse(t, "address_pools:\n- name: a\n  protocol: layer2\n  addresses: [10.0.0.9/24, 'fd00::9/64', 10.0.1.0/24]")
	got := sentences(warnings)
	want := []string{
		`address_pools[0].addresses[0] (line 4): "10.0.0.9/24" has host bits, so that 10.0.0.0/24 is meant; write 10.0.0.0/24`,
		`address_pools[0].addresses[1] (line 4): "fd00::9/64" has host bits, so that fd00::/64 is meant; write fd00::/64`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if c.Pools[0].Ranges[0].String() != "10.0.0.0/24" {
		t.Errorf("ranges %v", c.Pools[0].Ranges)
	}
}

// The small document that aliases blow up to a huge one ends soon, and with an error.
func TestAliasesAreBounded(t *testing.T) {
	row := func(of string) string { return "[" + strings.TrimSuffix(strings.Repeat(of+", ", 600), ", ") + "]" }
	document := onePool + "peers:\n- peer_address: 10.0.0.1\n  node_selectors:\n  - match_expressions: [&a x]\n" +
		"  - &b {match_expressions: " + row("*a") + "}\n- {peer_address: 10.0.0.2, node_selectors: " + row("*b") + "}\n"
	_, _, err := Parse([]byte(document))
	if err == nil || err.Error() != "the document becomes too large; use fewer aliases" {
		t.Errorf("%.300v", err)
	}
}

func TestEqual(t *testing.T) {
	a, _ := parse(t, everything)
	b, _ := parse(t, strings.Replace(everything, "[worker-0, worker-1]", "[worker-1, worker-0]", 1))
	c, _ := parse(t, strings.Replace(everything, "worker-1", "worker-2", 1))
	if !a.Equal(b) || a.Equal(c) || a.Equal(Config{}) {
		t.Errorf("equal: %v %v %v", a.Equal(b), a.Equal(c), a.Equal(Config{}))
	}
}

func TestAnycastAddresses(t *testing.T) {
	c, _ := parse(t, `address_pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24, 'fd00::/64', 'fd01::8-fd01::b', 'fd02::/127', 'fd03::/128', 'fd04::1-fd04::f']}]`)
	if got, want := c.AnycastAddresses(), ranges(t, "fd00::", "fd01::8"); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Helm reads a bare off as false, and what it renders says so.
func TestProbeOff(t *testing.T) {
	for _, off := range []string{"off", "false", `"off"`} {
		if c, _ := parse(t, ruleDocument("conflict_probe: "+off)); c.Pools[0].ConflictProbe != ProbeOff {
			t.Errorf("%s is read as %v", off, c.Pools[0].ConflictProbe)
		}
	}
}
