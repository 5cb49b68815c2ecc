package config

// advertised is a document whose only pool has an advertisement, in line 2, and two peers.
func advertised(advertisements string) string {
	return poolDocument("{name: a, protocol: bgp, addresses: [10.0.0.0/25, 10.0.0.128/25, 10.0.9.4, 'fd00::/64'], bgp_advertisements: ["+advertisements+"]}") +
		"peers: [{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}, {name: tor2, peer_address: 10.0.0.2, peer_asn: 1, my_asn: 1}]\n"
}

const (
	oneNode         = "node_selectors: [{match_labels: {kubernetes.io/hostname: a}}]"
	anAdvertisement = "aggregation_length, aggregation_length_v6, localpref, med, prepend, communities, peers, node_selectors, service_selectors, max_nodes, spread_by, weight"
	aMetric         = "write a number from 0 to 4294967295, or leave it out"
	aLength         = "write the length of the prefixes that are advertised, or leave it out for host routes"
	aCommunity      = "write two numbers such as 64500:100, large:64500:1:2, or a well-known name such as no-export"
	bothAre         = "and both are for the same prefixes, peers and nodes; give both the same, or only one of them any, or keep their peers or nodes apart"
	apart           = "and both are for the same nodes; keep one of them, or give them node_selectors of which no node matches both"
	namesApart      = "and both are for the same nodes; give them different names, or node_selectors of which no node matches both"
	perNode         = "is for one node, and this peer's node_selectors do not name one by kubernetes.io/hostname; write a peer for each node, with node_selectors: [{match_labels: {kubernetes.io/hostname: NODE}}], or leave it out"
	aProfile        = "give it a name of lower-case letters, digits and '-', such as fast"
	anInterval      = "write a time span from 10ms to 1m, such as 300ms"
	aPeerName       = "use letters, digits, '-', '_', '.' and ':', 63 at most and a letter or digit at both ends, such as tor1"
	anInterface     = "write the name of an interface of the nodes, such as eth1"
	ownAddress      = "write an address of the node, of the same family as the router's"
	aHold           = "write whole seconds from 3s to 65535s, such as 30s"
	aRestartTime    = "write whole seconds from 1s to 4095s, such as 30s"
	aMultihop       = "write false, true, or the TTL of what is sent, from 2 to 255"
	hops            = "write how many hops away the router is at most, 1 if it is directly connected, 0 for no check"
	linkLocal       = "is not possible with interface, whose session is between link-local addresses; leave it out"
)

// bgpRefusals continues the table.
var bgpRefusals = []struct{ name, document, want string }{
	// Advertisements.
	{"advertisements of a layer2 pool", ruleDocument("bgp_advertisements: []"), "address_pools[0].bgp_advertisements (line 2) is for BGP, and this pool is for layer2 alone; add bgp to protocol, or leave it out"},
	{"advertisements that are a map", poolDocument("{name: a, protocol: bgp, addresses: [10.0.0.0/25], bgp_advertisements: {med: 1}}") + "peers: [{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}]", "address_pools[0].bgp_advertisements (line 2) is a map; write a list"},
	{"an advertisement that is text", advertised("all"), `address_pools[0].bgp_advertisements[0] (line 2): "all" is text; write a map with ` + anAdvertisement},
	{"misspelt key of an advertisement", advertised("{aggregation_lengt: 32}"), "address_pools[0].bgp_advertisements[0].aggregation_lengt (line 2) is not a key of an advertisement; did you mean aggregation_length?"},
	{"a key of an advertisement in a pool", ruleDocument("localpref: 1"), "address_pools[0].localpref (line 2) is not a key of an address pool; it is a key of an advertisement; an address pool has " + poolKeys},
	{"a weight of its own", advertised("{weight: 3}"), "address_pools[0].bgp_advertisements[0].weight (line 2): 3 is not text; write what weights are, in quotes: \"3\""},
	{"an unknown weight", advertised("{weight: cpu}"), `address_pools[0].bgp_advertisements[0].weight (line 2): "cpu" is not known; use none, endpoints or node`},
	{"a misspelt weight", advertised("{weight: endpoint}"), `address_pools[0].bgp_advertisements[0].weight (line 2): "endpoint" is not known; did you mean endpoints?`},
	{"two weights", advertised("{weight: node}, {weight: none}, {weight: endpoints}"), `address_pools[0].bgp_advertisements[2].weight (line 2): "endpoints" is not the weight of address_pools[0].bgp_advertisements[0], node in line 2, ` + bothAre},
	{"fewer nodes than none", advertised("{max_nodes: -1}"), "address_pools[0].bgp_advertisements[0].max_nodes (line 2): -1 is not between 0 and 2147483647; write how many nodes advertise an address at most, 0 for all of them"},
	{"nodes as text", advertised("{maxNodes: all}"), `address_pools[0].bgp_advertisements[0].maxNodes (line 2): "all" is not a number; write how many nodes advertise an address at most, 0 for all of them`},
	{"nodes spread by no label", advertised("{max_nodes: 2, spread_by: the zone}"), `address_pools[0].bgp_advertisements[0].spread_by (line 2): "the zone" is not a label key; ` + labelKey},
	{"spread by several labels", advertised("{max_nodes: 2, spread_by: [zone]}"), "address_pools[0].bgp_advertisements[0].spread_by (line 2) is a list; write the key of a label of nodes"},
	{"spread without max_nodes", advertised("{spread-by: zone}"), `address_pools[0].bgp_advertisements[0].spread-by (line 2): "zone" spreads the nodes of max_nodes, and there is none; add max_nodes, or leave it out`},
	{"spread over all nodes", advertised("{spread_by: zone, max_nodes: 0}"), `address_pools[0].bgp_advertisements[0].spread_by (line 2): "zone" spreads the nodes of max_nodes, and there is none; add max_nodes, or leave it out`},
	{"aggregation length zero", advertised("{aggregation_length: 0}"), "address_pools[0].bgp_advertisements[0].aggregation_length (line 2): 0 is not between 1 and 32; " + aLength},
	{"aggregation length too long", advertised("{aggregation_length: 33, aggregation_length_v6: 129}"), "address_pools[0].bgp_advertisements[0].aggregation_length (line 2): 33 is not between 1 and 32; " + aLength + "\naddress_pools[0].bgp_advertisements[0].aggregation_length_v6 (line 2): 129 is not between 1 and 128; " + aLength},
	{"an aggregate that is not the pool's", advertised("{aggregation_length: 24}"), "address_pools[0].bgp_advertisements[0].aggregation_length (line 2): 24 makes 10.0.9.0/24, and not all of that is in this pool; write 32 or more"},
	{"an IPv6 aggregate that is not the pool's", advertised("{aggregation-length-v6: 48}"), "address_pools[0].bgp_advertisements[0].aggregation-length-v6 (line 2): 48 makes fd00::/48, and not all of that is in this pool; write 64 or more"},
	{"an aggregate of what two ranges have, and more", poolDocument("{name: a, protocol: bgp, addresses: [10.0.0.0-10.0.1.99], bgp_advertisements: [{aggregation_length: 24}]}") + "peers: [{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}]", "address_pools[0].bgp_advertisements[0].aggregation_length (line 2): 24 makes 10.0.1.0/24, and not all of that is in this pool; write 30 or more"},
	{"an aggregate for some Services", advertised("{aggregation_length_v6: 64, serviceSelectors: [{}]}"), "address_pools[0].bgp_advertisements[0].serviceSelectors (line 2) would leave out a part of the aggregates, and cannot be given together with aggregation_length_v6; leave out one of the two"},
	{"localpref negative", advertised("{localpref: -1}"), "address_pools[0].bgp_advertisements[0].localpref (line 2): -1 is not between 0 and 4294967295; " + aMetric},
	{"med too large", advertised("{med: 4294967296}"), "address_pools[0].bgp_advertisements[0].med (line 2): 4294967296 is not between 0 and 4294967295; " + aMetric},
	{"localpref as text", advertised("{localPref: high}"), `address_pools[0].bgp_advertisements[0].localPref (line 2): "high" is not a number; ` + aMetric},
	{"prepend too long", advertised("{prepend: 65}"), "address_pools[0].bgp_advertisements[0].prepend (line 2): 65 is not between 0 and 64; write how many more times our ASN is to be in the path, such as 2"},
	{"an unknown community", advertised("{communities: [mine]}"), `address_pools[0].bgp_advertisements[0].communities[0] (line 2): "mine" is not a community; name one of bgp_communities, or ` + aCommunity},
	{"a misspelt well-known community", advertised("{communities: [no_export]}"), `address_pools[0].bgp_advertisements[0].communities[0] (line 2): "no_export" is not a community; did you mean no-export?`},
	{"a misspelt community", "bgp_communities: {customers: '1:2'}\n" + advertised("{communities: [custmers]}"), `address_pools[0].bgp_advertisements[0].communities[0] (line 3): "custmers" is not a community; did you mean customers?`},
	{"a community in other capitals", "bgp_communities: {Mine: '1:2'}\n" + advertised("{communities: [mine]}"), `address_pools[0].bgp_advertisements[0].communities[0] (line 3): "mine" is not a community; did you mean Mine?`},
	{"a community twice", "bgp_communities: {mine: '65535:65281'}\n" + advertised("{communities: [mine, no-export]}"), `address_pools[0].bgp_advertisements[0].communities[1] (line 3): "no-export" is there twice; keep one of them`},
	{"a community as a number", advertised("{communities: [5]}"), `address_pools[0].bgp_advertisements[0].communities[0] (line 2): 5 is not text; write a community, in quotes: "5"`},
	{"communities that are text", advertised("{communities: no-export}"), `address_pools[0].bgp_advertisements[0].communities (line 2): "no-export" is text; write a list`},
	{"an unknown peer", advertised("{peers: [elsewhere]}"), `address_pools[0].bgp_advertisements[0].peers[0] (line 2): "elsewhere" is not the name of a peer; the peers are 10.0.0.1, tor2`},
	{"a misspelt peer", advertised("{peers: [tor1]}"), `address_pools[0].bgp_advertisements[0].peers[0] (line 2): "tor1" is not the name of a peer; did you mean tor2?`},
	{"a peer by address that has a name", advertised("{peers: [10.0.0.2]}"), `address_pools[0].bgp_advertisements[0].peers[0] (line 2): "10.0.0.2" is not the name of a peer; the peers are 10.0.0.1, tor2`},
	{"a peer named twice", advertised("{peers: [tor2, tor2]}"), `address_pools[0].bgp_advertisements[0].peers[1] (line 2): "tor2" is there twice; keep one of them`},
	{"a peer where there is none", poolDocument("{name: a, protocol: bgp, addresses: [10.0.0.0/25], bgp_advertisements: [{peers: [a]}]}"), `peers (line 2) is missing, but pool "a" says bgp; ` + addAPeer + "\naddress_pools[0].bgp_advertisements[0].peers[0] (line 2): \"a\" is not the name of a peer; there is none: leave it out"},
	{"two local preferences", advertised("{localpref: 1}, {localpref: 2}"), "address_pools[0].bgp_advertisements[1].localpref (line 2): 2 is not the localpref of address_pools[0].bgp_advertisements[0], 1 in line 2, " + bothAre},
	{"two local preferences at one peer", advertised("{localpref: 1, peers: [tor2]}, {localpref: 2, peers: [10.0.0.1]}, {localpref: 3, peers: [10.0.0.1, tor2]}"), "address_pools[0].bgp_advertisements[2].localpref (line 2): 3 is not the localpref of address_pools[0].bgp_advertisements[0], 1 in line 2, " + bothAre + "\naddress_pools[0].bgp_advertisements[2].localpref (line 2): 3 is not the localpref of address_pools[0].bgp_advertisements[1], 2 in line 2, " + bothAre},
	{"two MEDs of one aggregate", advertised("{med: 1, aggregation_length_v6: 64}, {med: 0, aggregation_length: 30, aggregation_length_v6: 64}"), "address_pools[0].bgp_advertisements[1].med (line 2): 0 is not the med of address_pools[0].bgp_advertisements[0], 1 in line 2, " + bothAre + "\naddress_pools[0].bgp_advertisements[1].aggregation_length (line 2): 30 makes 10.0.9.4/30, and not all of that is in this pool; write 32 or more"},
	{"two MEDs at the same nodes", advertised("{med: 1, node_selectors: [{match_labels: {a: b}}]}, {med: 2, aggregation_length: 32, node_selectors: [{match_labels: {a: b}}, {match_labels: {c: d}}]}"), "address_pools[0].bgp_advertisements[1].med (line 2): 2 is not the med of address_pools[0].bgp_advertisements[0], 1 in line 2, " + bothAre},
	{"two MEDs of the same Services", advertised("{med: 1}, {med: 2, service_selectors: [{match_labels: {a: b}}]}"), "address_pools[0].bgp_advertisements[1].med (line 2): 2 is not the med of address_pools[0].bgp_advertisements[0], 1 in line 2, " + bothAre},

	// Communities.
	{"communities as a list", onePool + "bgp_communities: ['1:2']", "bgp_communities (line 2) is a list; write a map of names and communities, or leave it out"},
	{"a community that is none", onePool + "bgp_communities: {mine: '1:2:3'}", `bgp_communities[mine] (line 2): "1:2:3" is not a community; ` + aCommunity},
	{"a community that is too large", onePool + "bgp_communities: {mine: '65536:1'}", `bgp_communities[mine] (line 2): "65536:1" is not a community; ` + aCommunity},
	{"a community of a number", onePool + "bgp_communities: {mine: 12}", `bgp_communities[mine] (line 2): 12 is not text; write a community, in quotes: "12"`},
	{"a community without a name", onePool + "bgp_communities: {'': '1:2'}", `bgp_communities[""] (line 2): "" is no name; write the name that advertisements use`},
	{"a name that stands for another", onePool + "bgp_communities: {no-export: '1:2'}", `bgp_communities[no-export] (line 2): "1:2" is not what no-export stands for already; use another name, or no-export`},
	{"a community that is there twice", onePool + "bgp_communities: {a: '1:2', a: '1:3'}", "bgp_communities[a] (line 2) is there twice, first in line 2; keep one of them"},

	// BFD profiles.
	{"profiles as a map", onePool + "bfd_profiles: {fast: {}}", "bfd_profiles (line 2) is a map; write a list"},
	{"a profile without a name", onePool + "bfd_profiles: [{passive_mode: true}]", "bfd_profiles[0].name (line 2) is missing; " + aProfile},
	{"a profile's bad name", onePool + "bfd_profiles: [{name: Fast}]", `bfd_profiles[0].name (line 2): "Fast" is not a DNS label; ` + aProfile},
	{"two profiles of one name", onePool + "bfd_profiles: [{name: fast}, {name: fast}]", `bfd_profiles[1].name (line 2): "fast" is already the name of the BFD profile in line 2; give every profile its own name`},
	{"an interval without a unit", onePool + "bfd_profiles: [{name: fast, receiveInterval: 300}]", "bfd_profiles[0].receiveInterval (line 2): 300 has no unit; " + anInterval},
	{"an interval too short", onePool + "bfd_profiles: [{name: fast, transmit_interval: 9ms}]", `bfd_profiles[0].transmit_interval (line 2): "9ms" is not between 10ms and 1m; ` + anInterval},
	{"an interval too long", onePool + "bfd_profiles: [{name: fast, receive-interval: 2m}]", `bfd_profiles[0].receive-interval (line 2): "2m" is not between 10ms and 1m; ` + anInterval},
	{"a multiplier of one", onePool + "bfd_profiles: [{name: fast, detect_multiplier: 1}]", "bfd_profiles[0].detect_multiplier (line 2): 1 is not between 2 and 255; write how many packets in a row may be missed, such as 3"},
	{"a minimum TTL of 255", onePool + "bfd_profiles: [{name: fast, minimum_ttl: 255}]", "bfd_profiles[0].minimum_ttl (line 2): 255 is not between 1 and 254; write the least TTL that packets of a router several hops away arrive with, such as 254"},
	{"passive mode in words", onePool + "bfd_profiles: [{name: fast, passive_mode: on}]", `bfd_profiles[0].passive_mode (line 2): "on" is not true or false; write true or false, without quotes`},
	{"a profile with echo", onePool + "bfd_profiles: [{name: fast, echo_mode: true}]", "bfd_profiles[0].echo_mode (line 2) is not a key of a BFD profile; a BFD profile has name, receive_interval, transmit_interval, detect_multiplier, minimum_ttl, passive_mode"},
	{"an unknown profile", peerWith("bfd_profile: fast"), `peers[0].bfd_profile (line 3): "fast" is not the name of a BFD profile; add it to bfd_profiles, or leave it out`},
	{"a misspelt profile", peerWith("bfd_profile: fsat") + "bfd_profiles: [{name: fast}]", `peers[0].bfd_profile (line 3): "fsat" is not the name of a BFD profile; did you mean fast?`},
	{"a profile that is not there", peerWith("bfd_profile: other") + "bfd_profiles: [{name: fast}, {name: usual}]", `peers[0].bfd_profile (line 3): "other" is not the name of a BFD profile; the profiles are fast, usual`},

	// Peers.
	{"a peer with address and interface", peerWith("interface: eth1"), `peers[0].interface (line 3): "eth1" cannot be given together with peer_address; keep one of them`},
	{"a peer with a bad interface", peersDocument("{interface: eth1/0, peer_asn: 1, my_asn: 1}"), `peers[0].interface (line 3): "eth1/0" is not the name of an interface; ` + anInterface},
	{"a peer with an empty interface", peersDocument("{interface: '', peer_asn: 1, my_asn: 1}"), `peers[0].interface (line 3): "" is not the name of an interface; ` + anInterface},
	{"two peers on one interface", peersDocument("{interface: eth1, peer_asn: 1, my_asn: 1}", "{interface: eth1, peer_asn: 2, my_asn: 1}"), `peers[1].interface (line 4): "eth1" is also the interface of peers[0] (line 3), ` + apart},
	{"two peers of one name", peersDocument("{name: tor, peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}", "{name: tor, peer_address: 10.0.0.2, peer_asn: 1, my_asn: 1}"), `peers[1].name (line 4): "tor" is also the name of peers[0] (line 3), ` + namesApart},
	{"a peer called as another's address", peersDocument("{peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}", "{name: 10.0.0.1, peer_address: 10.0.0.2, peer_asn: 1, my_asn: 1}"), `peers[1].name (line 4): "10.0.0.1" is also the name of peers[0] (line 3), ` + namesApart},
	{"two peers of one address and port", peersDocument("{name: a, peer_address: 10.0.0.1, peer_asn: 1, my_asn: 1}", "{name: b, peer_address: 10.0.0.1, peer_port: 179, peer_asn: 1, my_asn: 1}"), `peers[1].peer_address (line 4): "10.0.0.1" is also the address of peers[0] (line 3), ` + apart},
	{"a bad name of a peer", peerWith("name: the router"), `peers[0].name (line 3): "the router" is not a name; ` + aPeerName},
	{"an empty name of a peer", peerWith("name: ''"), `peers[0].name (line 3): "" is not a name; ` + aPeerName},
	{"port zero", peerWith("peer_port: 0"), "peers[0].peer_port (line 3): 0 is not between 1 and 65535; write a TCP port, such as 179"},
	{"port too large", peerWith("peerPort: 65536"), "peers[0].peerPort (line 3): 65536 is not between 1 and 65535; write a TCP port, such as 179"},
	{"source that is a name", peerWith("source_address: eth0, " + oneNode), `peers[0].source_address (line 3): "eth0" is not an IP address; ` + ownAddress},
	{"source of the other family", peerWith("source_address: 'fd00::1', " + oneNode), `peers[0].source_address (line 3): "fd00::1" is not of the family of the router's address 10.0.0.1; ` + ownAddress},
	{"source that is link-local", peerWith("source_address: 169.254.0.1, " + oneNode), `peers[0].source_address (line 3): "169.254.0.1" is not an address to connect from; ` + ownAddress},
	{"source in IPv6 form", peerWith("source_address: '::ffff:10.0.0.2', " + oneNode), `peers[0].source_address (line 3): "::ffff:10.0.0.2" is an IPv4 address in IPv6 form; write 10.0.0.2`},
	{"source on every node", peerWith("source_address: 10.0.0.2"), `peers[0].source_address (line 3): "10.0.0.2" ` + perNode},
	{"source on several nodes", peerWith("source-address: 10.0.0.2, node_selectors: [{match_labels: {rack: a}}]"), `peers[0].source-address (line 3): "10.0.0.2" ` + perNode},
	{"source on two nodes", peerWith("source_address: 10.0.0.2, node_selectors: [{match_expressions: [{key: kubernetes.io/hostname, operator: In, values: [a, b]}]}]"), `peers[0].source_address (line 3): "10.0.0.2" ` + perNode},
	{"source on one node or another", peerWith("source_address: 10.0.0.2, node_selectors: [{match_labels: {kubernetes.io/hostname: a}}, {match_labels: {kubernetes.io/hostname: b}}]"), `peers[0].source_address (line 3): "10.0.0.2" ` + perNode},
	{"source with interface", peersDocument("{interface: eth1, peer_asn: 1, my_asn: 1, source_address: 10.0.0.2, " + oneNode + "}"), `peers[0].source_address (line 3): "10.0.0.2" ` + linkLocal},
	{"router ID on every node", peerWith("router_id: 10.0.0.2"), `peers[0].router_id (line 3): "10.0.0.2" ` + perNode},
	{"router ID of IPv6", peerWith("router_id: 'fd00::1', " + oneNode), `peers[0].router_id (line 3): "fd00::1" is not an IPv4 address; write an IPv4 address, such as 10.0.0.11`},
	{"router ID of zeros", peerWith("routerID: 0.0.0.0, " + oneNode), `peers[0].routerID (line 3): "0.0.0.0" is not an IPv4 address; write an IPv4 address, such as 10.0.0.11`},
	{"router ID as a number", peerWith("router_id: 5, " + oneNode), `peers[0].router_id (line 3): 5 is not text; write an IP address, in quotes: "5"`},
	{"hold time too short", peerWith("hold_time: 2s"), `peers[0].hold_time (line 3): "2s" is not between 3s and 18h12m15s; ` + aHold},
	{"hold time of zero", peerWith("hold_time: 0"), "peers[0].hold_time (line 3): 0 is not between 3s and 18h12m15s; " + aHold},
	{"hold time too long", peerWith("hold_time: 65536s"), `peers[0].hold_time (line 3): "65536s" is not between 3s and 18h12m15s; ` + aHold},
	{"hold time in parts of seconds", peerWith("hold_time: 3500ms"), `peers[0].hold_time (line 3): "3500ms" is not in whole seconds; ` + aHold},
	{"hold time without a unit", peerWith("hold-time: 90"), "peers[0].hold-time (line 3): 90 has no unit; " + aHold},
	{"keepalive above hold", peerWith("hold_time: 9s, keepalive_time: 10s"), `peers[0].keepalive_time (line 3): "10s" is above the hold time of 9s; write at most that, or leave it out for a third of it`},
	{"keepalive above the usual hold", peerWith("keepalive_time: 31s"), `peers[0].keepalive_time (line 3): "31s" is above the hold time of 30s; write at most that, or leave it out for a third of it`},
	{"keepalive of half a second", peerWith("keepalive_time: 500ms"), `peers[0].keepalive_time (line 3): "500ms" is not between 1s and 18h12m15s; write whole seconds, at most the hold time, such as 10s`},
	{"connect time of zero", peerWith("connect_time: 0"), "peers[0].connect_time (line 3): 0 is not between 1s and 18h12m15s; write whole seconds, such as 1s"},
	{"multihop on iBGP", peerWith("ebgp_multihop: true"), "peers[0].ebgp_multihop (line 3): true is for eBGP, and this router is of our own AS, where any number of hops is fine; leave it out"},
	{"multihop on internal", peersDocument("{peer_address: 10.0.0.1, peer_asn: internal, my_asn: 1, ebgpMultiHop: 3}"), "peers[0].ebgpMultiHop (line 3): 3 is for eBGP, and this router is of our own AS, where any number of hops is fine; leave it out"},
	{"multihop with ttl_security", peersDocument("{peer_address: 10.0.0.1, peer_asn: external, my_asn: 1, ebgp_multihop: 3, ttl_security: 2}"), "peers[0].ebgp_multihop (line 3): 3 cannot be given together with ttl_security, which has hops of its own; keep one of them"},
	{"multihop with interface", peersDocument("{interface: eth1, peer_asn: 2, my_asn: 1, ebgp_multihop: 3}"), "peers[0].ebgp_multihop (line 3): 3 is not possible with interface, whose router is directly connected; leave it out"},
	{"multihop of one hop", peersDocument("{peer_address: 10.0.0.1, peer_asn: 2, my_asn: 1, ebgp_multihop: 1}"), "peers[0].ebgp_multihop (line 3): 1 is not between 2 and 255; " + aMultihop},
	{"multihop in words", peersDocument("{peer_address: 10.0.0.1, peer_asn: 2, my_asn: 1, ebgp_multihop: far}"), `peers[0].ebgp_multihop (line 3): "far" is not a number; ` + aMultihop},
	{"ttl_security of 255 hops", peerWith("ttl_security: 255"), "peers[0].ttl_security (line 3): 255 is not between 0 and 254; " + hops},
	{"ttl_security as true", peerWith("ttl_security: true"), "peers[0].ttl_security (line 3): true is not a number; " + hops},
	{"graceful restart as true", peerWith("graceful_restart: true"), "peers[0].graceful_restart (line 3): true is true or false; write a map with enabled, restart_time"},
	{"misspelt key of graceful_restart", peerWith("graceful_restart: {time: 30s}"), "peers[0].graceful_restart.time (line 3) is not a key of graceful_restart; graceful_restart has enabled, restart_time"},
	{"restart time too long", peerWith("gracefulRestart: {restartTime: 4096s}"), `peers[0].gracefulRestart.restartTime (line 3): "4096s" is not between 1s and 1h8m15s; ` + aRestartTime},
	{"restart time of zero", peerWith("graceful_restart: {restart_time: 0}"), "peers[0].graceful_restart.restart_time (line 3): 0 is not between 1s and 1h8m15s; " + aRestartTime},
	{"received routes negative", peerWith("max_received_routes: -1"), "peers[0].max_received_routes (line 3): -1 is not between 0 and 2147483647; write how many routes the router may send, 0 for any number"},
	{"a password with interface", peersDocument("{interface: eth1, peer_asn: 1, my_asn: 1, password: hunter2}"), "peers[0].password (line 3) " + linkLocal + ", or write the router's peer_address in place of interface"},
	{"a password's Secret with interface", peersDocument("{interface: eth1, peer_asn: 1, my_asn: 1, password_secret: {name: a, key: hunter2}}"), "peers[0].password_secret (line 3) " + linkLocal + ", or write the router's peer_address in place of interface"},
}
