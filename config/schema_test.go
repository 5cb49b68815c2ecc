package config

import (
	"slices"
	"strings"
	"testing"
)

// What a newer document says beyond what is known here has no effect, and is said; the rest is in force.
func TestNewerSchemaVersion(t *testing.T) {
	const document = `
colour: red
addresspools: []
peers:
- peer_address: 10.0.0.1
  peer_asn: 1
  my_asn: 1
  bfd: {profile: fast}
  node_selectors: [{match_fields: {a: b}, match_labels: {rack: a}}]
address_pools: [{name: a, protocol: [layer2, bgp], addresses: [10.0.0.1/24], colour: 1h, colour: 2h}]
schema_version: 7
`
	const run = "run a version that knows schema_version 7"
	want := []string{
		"colour (line 2) is not a key of the document here, and has no effect; " + run,
		"addresspools (line 3) is not a key of the document here, and has no effect; " + run + ", unless you meant address_pools",
		"peers[0].bfd (line 8) is not a key of a peer here, and has no effect; " + run,
		"peers[0].node_selectors[0].match_fields (line 9) is not a key of a selector here, and has no effect; " + run,
		`address_pools[0].addresses[0] (line 10): "10.0.0.1/24" has host bits, so that 10.0.0.0/24 is meant; write 10.0.0.0/24`,
		"address_pools[0].colour (line 10) is not a key of an address pool here, and has no effect; " + run,
		"address_pools[0].colour (line 10) is not a key of an address pool here, and has no effect; " + run,
	}
	c, warnings := parse(t, document)
	if got := sentences(warnings); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(c.Pools) != 1 || len(c.Peers) != 1 || len(c.Peers[0].NodeSelectors) != 1 {
		t.Errorf("in force: %+v", c)
	}
}

// A required key that is misspelt is missing, and unknown ones are errors up to the version that is known.
func TestSchemaVersionIsRead(t *testing.T) {
	for document, valid := range map[string]bool{
		"schema_version: 2\ncolour: red\n" + onePool:                     true,
		"colour: red\nschema_version: 2147483647\n" + onePool:            true,
		"colour: red\nrelease: [&n 2]\nschema_version: *n\n" + onePool:   false, // release, not colour
		"schema_version: 1\ncolour: red\n" + onePool:                     false,
		"schema_version: ~\ncolour: red\n" + onePool:                     false,
		"schema_version: '2'\ncolour: red\n" + onePool:                   false,
		"schema_version: 2\naddress-pools: []\n":                         false,
		"schema_version: 2\n" + strings.ReplaceAll(onePool, "name", "n"): false,
	} {
		if _, _, err := Parse([]byte(document)); (err == nil) != valid {
			t.Errorf("%s: %v", document, err)
		}
	}
	_, _, err := Parse([]byte("colour: red\nrelease: [&n 2]\nschema_version: *n\n" + onePool))
	if got := Mistakes(err); len(got) != 1 || got[0].Path != "release[0]" {
		t.Errorf("an alias is not followed: %v", err)
	}
}

func sentences(warnings []Warning) []string {
	all := make([]string, 0, len(warnings))
	for _, w := range warnings {
		all = append(all, w.String())
	}
	return all
}
