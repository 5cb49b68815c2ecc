package config

import (
	"fmt"
	"slices"
	"strings"
)

// object is a kind of map in the document.
type object string

const (
	theDocument  object = "the document"
	aMembership  object = "membership"
	aDrain       object = "drain"
	aToleration  object = "a toleration"
	aPool        object = "an address pool"
	aReservation object = "a reservation"
	anAdvert     object = "an advertisement"
	aPeer        object = "a peer"
	aSecretKey   object = "a reference to a Secret"
	aRestart     object = "graceful_restart"
	aBFDProfile  object = "a BFD profile"
	aSelector    object = "a selector"
	anExpression object = "an expression"
)

// keys is every key that a document may have. The document's own keys are written as here; those of the maps inside
// it also in kebab-case and camelCase, which is how earlier documents and MetalLB's have them.
var keys = map[object][]string{
	theDocument: {"schema_version", "enabled", "node_selector", "tolerations", "load_balancer_class", "address_pools", "peers",
		"bfd_profiles", "bgp_communities", "membership", "failure_detection", "exclude_interfaces", "gratuitous_rate", "drain",
		"restart_grace", "release"},
	aToleration: {"key", "operator", "value", "effect", "toleration_seconds"},
	aPool: {"name", "protocol", "addresses", "exclude", "disabled", "auto_assign", "avoid_buggy_ips", "priority", "assignment",
		"sticky_ttl", "cooldown",
		"sharing", "requests", "max_per_namespace", "reservations", "namespaces", "namespace_selectors", "service_selectors", "node_selectors",
		"interfaces", "answer_ping", "conflict_probe", "bgp_advertisements"},
	aMembership:  {"enabled", "port"},
	aDrain:       {"on_taints", "period", "timeout", "max_draining"},
	aReservation: {"address", "namespace", "service"},
	anAdvert: {"aggregation_length", "aggregation_length_v6", "localpref", "med", "prepend", "communities", "peers",
		"node_selectors", "service_selectors", "max_nodes", "spread_by", "weight"},
	aPeer: {"peer_address", "interface", "peer_asn", "my_asn", "node_selectors", "name", "peer_port", "source_address", "router_id",
		"hold_time", "keepalive_time", "connect_time", "password", "password_secret", "ebgp_multihop", "ttl_security",
		"graceful_restart", "max_received_routes", "bfd_profile"},
	aRestart:     {"enabled", "restart_time"},
	aBFDProfile:  {"name", "receive_interval", "transmit_interval", "detect_multiplier", "minimum_ttl", "passive_mode"},
	aSecretKey:   {"name", "key"},
	aSelector:    {"match_labels", "match_expressions"},
	anExpression: {"key", "operator", "values"},
}

// theirs are MetalLB's words where they are not ours with other capitals or signs between them.
var theirs = map[string][]string{
	"localpref": {"localPref", "local_pref", "local-pref"}, "ebgp_multihop": {"ebgpMultiHop"},
}

// spellings returns the ways to write a key, the first of which is ours. MetalLB writes peerASN and avoidBuggyIPs.
func spellings(of object, key string) []string {
	if of == theDocument || !strings.Contains(key, "_") {
		return append([]string{key}, theirs[key]...)
	}
	var camel strings.Builder
	for i, word := range strings.Split(key, "_") {
		if i > 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		camel.WriteString(word)
	}
	all := []string{key, strings.ReplaceAll(key, "_", "-"), camel.String()}
	for word, capital := range map[string]string{"Asn": "ASN", "Ips": "IPs", "Ttl": "TTL", "Id": "ID"} {
		if stem, ok := strings.CutSuffix(camel.String(), word); ok {
			all = append(all, stem+capital)
		}
	}
	return append(all, theirs[key]...)
}

// lookUp returns the known key that a text spells.
func lookUp(of object, text string) (key string, ok bool) {
	for _, key := range keys[of] {
		if slices.Contains(spellings(of, key), text) {
			return key, true
		}
	}
	return "", false
}

// suggest says what may have been meant by an unknown key: one of this map that is nearly the same, else where such a key
// belongs, else the nearest one of this map, which is returned too, else all keys there are.
func (r *reader) suggest(of object, text string) (meant, remedy string) {
	known := keys[of]
	switch {
	case of != theDocument:
	case r.beside == nil && slices.Contains(ChartKeys, text):
		return "", "it is a key of the chart's own, for its values alone; leave it out"
	default:
		known = slices.Concat(known, r.beside)
	}
	near := nearest(text, known)
	if near == "" || distance(fold(text), fold(near)) > 1 {
		for _, other := range []object{theDocument, aPool, anAdvert, aReservation, aPeer, aSecretKey, aMembership, aBFDProfile, aSelector, anExpression, aToleration} {
			if _, ok := lookUp(other, text); ok && other != of {
				return "", fmt.Sprintf("it is a key of %s; %s has %s", other, of, strings.Join(keys[of], ", "))
			}
		}
	}
	if near != "" {
		return near, fmt.Sprintf("did you mean %s?", near)
	}
	return "", fmt.Sprintf("%s has %s", of, strings.Join(keys[of], ", "))
}

// nearest returns the candidate that a text was probably meant to be, or "".
func nearest(text string, candidates []string) string {
	best, least := "", 0
	for _, c := range candidates {
		d := distance(fold(text), fold(c))
		if d <= max(1, len(fold(c))/3) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// fold makes the spellings of a key alike.
func fold(key string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(key))
}

// distance counts the letters to insert, drop, replace or swap with their neighbour to make b from a (optimal string
// alignment).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	var before []int
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, above[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
