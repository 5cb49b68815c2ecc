package config

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

const chartsOwn = "image: {tag: x}\ncontroller: {replicas: 1}\nglobal: {peers: 1}\nlog_level: 7\n"

func TestParseValues(t *testing.T) {
	plain, _ := parse(t, onePool)
	indented := "  " + onePool
	for name, values := range map[string]string{
		"a plain document":        onePool,
		"with the chart's own":    chartsOwn + onePool,
		"below the chart's name":  "kontena-network-lb:\n" + indented,
		"of a parent chart":       "postgresql: {auth: {}}\nglobal: {}\nkontena-network-lb:\n  image: {}\n" + indented + "enabled: 5\n",
		"of a parent with anchor": "ours: &ours\n" + indented + "kontena-network-lb: *ours\n",
	} {
		got, warnings, err := ParseValues([]byte(values))
		if err != nil || len(warnings) > 0 || !got.Equal(plain) {
			t.Errorf("%s: %+v %v %v", name, got, warnings, err)
		}
	}
}

func TestParseValuesRefuses(t *testing.T) {
	for _, tt := range []struct{ name, values, want string }{
		{"nothing but the chart's own", chartsOwn, "address_pools (line 1) is missing; " + addAPool},
		{"a misspelt key of the chart's own", onePool + "contoller: {}", "contoller (line 2) is not a key of the document; did you mean controller?"},
		{"a misspelt key of ours", onePool + "peer: {}", "peer (line 2) is not a key of the document; did you mean peers?"},
		{"nothing below the name", "kontena-network-lb:", "kontena-network-lb (line 1) is empty; write address_pools and, for BGP, peers, or enabled: false"},
		{"a list below the name", "kontena-network-lb: [a]", "kontena-network-lb (line 1) is a list, not a map; write address_pools and, for BGP, peers"},
		{"no pool below the name", "kontena-network-lb:\n  guard: off", "kontena-network-lb.address_pools (line 2) is missing; " + addAPool},
		{"no peer below the name", "kontena-network-lb:\n  " + bgpPool, `kontena-network-lb.peers (line 2) is missing, but pool "a" says bgp; ` + addAPeer},
		{"a mistake below the name", "kontena-network-lb:\n  address_pools:\n  - {name: a, protocol: layer2, addresses: [x]}", `kontena-network-lb.address_pools[0].addresses[0] (line 3): "x" is not valid: "x" is not an IP address; ` + addrForm},
		{"schema_version below the name", "schema_version: 5\nkontena-network-lb:\n  colour: red\n  " + onePool, "kontena-network-lb.colour (line 3) is not a key of the document; " + topKeys},
	} {
		_, _, err := ParseValues([]byte(tt.values))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got\n%v\nwant\n%s", tt.name, err, tt.want)
		}
	}
	_, warnings, err := ParseValues([]byte("peers: []\nkontena-network-lb: {enabled: false}\naddress_pools: []\n"))
	want := []string{
		"peers (line 1) stands beside kontena-network-lb, and has no effect on it; move it below kontena-network-lb",
		"address_pools (line 3) stands beside kontena-network-lb, and has no effect on it; move it below kontena-network-lb",
	}
	if got := sentences(warnings); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
}

// Every key that the chart takes is the document's or one of ChartKeys, and the other way round.
func TestChartKeys(t *testing.T) {
	data, err := os.ReadFile("../charts/kontena-network-lb/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Properties map[string]any }
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	known := slices.Concat(keys[theDocument], ChartKeys)
	for key := range schema.Properties {
		if !slices.Contains(known, key) {
			t.Errorf("ChartKeys lacks %s, which the chart's schema has", key)
		}
	}
	for _, key := range known {
		if _, ok := schema.Properties[key]; !ok {
			t.Errorf("the chart's schema lacks %s", key)
		}
	}
	if !slices.IsSorted(ChartKeys) || len(slices.Compact(slices.Clone(ChartKeys))) != len(ChartKeys) {
		t.Errorf("not in order: %s", strings.Join(ChartKeys, ", "))
	}
}
