package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const (
	good = "image: {tag: x}\naddress_pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24, 'fd00::/126'], exclude: [10.0.0.1]}]\n"
	odd  = "address_pools: [{name: a, protocol: [layer2, bgp], addresses: [10.0.0.9/24]}, {name: b, protocol: layer2, addresses: [10.1.0.1]}]\n" +
		"peers: [{peer_address: 10.2.0.1, peer_asn: 1, my_asn: 1, password: hunter2}]\n"
	bad = "address_pools:\n- name: a\n  protocol: ospf\n  addresses: [10.0.0.9/24]\npeers:\n- {peer_address: 10.2.0.1, my_asn: 1, password: hunter2, pasword: hunter2}\n"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name, document, args string
		code                 int
		out                  string
	}{
		{"valid", good, "", 0, "FILE: valid: 1 pool (addresses to assign: 255 IPv4, 4 IPv6), 0 peers\n"},
		{"disabled", "enabled: false", "", 0, "FILE: valid: 0 pools, 0 peers, enabled: false, so that nothing is installed\n"},
		{"warned of", odd, "", 0, `FILE:1:64: warning: address_pools[0].addresses[0]: "10.0.0.9/24" has host bits, so that 10.0.0.0/24 is meant; write 10.0.0.0/24
FILE: valid: 2 pools (addresses to assign: 257 IPv4), 1 peer, 1 warning
`},
		{"not valid", bad, "", 1, badText},
		{"only warned of", bad, "--warn-only", 0, badText},
		{"of a parent chart", "web: {}\nkontena-network-lb:\n  speaker: {}\n", "", 1,
			"FILE:3:3: kontena-network-lb.address_pools is missing; add a pool with name, protocol and addresses, or set enabled: false\nFILE: not valid: 1 mistake\n"},
		{"a place that is not known", "\x01", "", 1, "FILE: the document is not YAML: control characters are not allowed; save it as plain UTF-8 text\nFILE: not valid: 1 mistake\n"},
	} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(tt.document), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, from := range []struct{ name, stdin, args string }{
			{file, "", " -f " + file}, {"stdin", tt.document, ""}, {"stdin", tt.document, " -f -"},
		} {
			want := strings.ReplaceAll(tt.out, "FILE:", from.name+":")
			code, out, err := netlb(from.stdin, strings.Fields("validate "+tt.args+from.args)...)
			if code != tt.code || out != want || err != "" {
				t.Errorf("%s, %s: exit code %d, errors %q, output\n%s\nwant %d\n%s", tt.name, from.args, code, err, out, tt.code, want)
			}
		}
	}
}

const badText = `FILE:3:13: address_pools[0].protocol: "ospf" is not a protocol; use layer2, bgp or [layer2, bgp]
FILE:6:3: peers[0].peer_asn is missing; write the number of the autonomous system, such as 64500, or external or internal
FILE:6:58: peers[0].pasword is not a key of a peer; did you mean password?
FILE:4:15: warning: address_pools[0].addresses[0]: "10.0.0.9/24" has host bits, so that 10.0.0.0/24 is meant; write 10.0.0.0/24
FILE: not valid: 3 mistakes, 1 warning
`

func TestValidateJSON(t *testing.T) {
	type result struct {
		Valid            *bool
		Errors, Warnings []map[string]any
	}
	read := func(document string) (int, result) {
		code, out, errs := netlb(document, "validate", "-o", "json")
		var r result
		if err := json.Unmarshal([]byte(out), &r); err != nil || errs != "" || strings.Contains(out, "hunter2") {
			t.Fatalf("%v %s\n%s", err, errs, out)
		}
		return code, r
	}
	code, r := read(good)
	if code != 0 || r.Valid == nil || !*r.Valid || r.Errors == nil || r.Warnings == nil || len(r.Errors)+len(r.Warnings) > 0 {
		t.Errorf("a valid one: %d %+v", code, r)
	}
	code, r = read(bad)
	if code != 1 || r.Valid == nil || *r.Valid || len(r.Errors) != 3 || len(r.Warnings) != 1 {
		t.Fatalf("one that is not valid: %d %+v", code, r)
	}
	want := map[string]any{
		"path": "address_pools[0].protocol", "line": 3.0, "column": 13.0, "value": `"ospf"`,
		"problem": "is not a protocol", "remedy": "use layer2, bgp or [layer2, bgp]",
	}
	if !reflect.DeepEqual(r.Errors[0], want) {
		t.Errorf("got  %v\nwant %v", r.Errors[0], want)
	}
	if w := r.Warnings[0]; w["path"] != "address_pools[0].addresses[0]" || w["line"] != 4.0 || w["remedy"] != "write 10.0.0.0/24" {
		t.Errorf("warning %v", w)
	}
}

// broken is standard input and output that fail.
type broken struct{}

func (broken) Read([]byte) (int, error)  { return 0, errors.New("no input") }
func (broken) Write([]byte) (int, error) { return 0, errors.New("no output") }

func TestValidateWithoutStreams(t *testing.T) {
	for want, s := range map[string]streams{
		"reading standard input: no input": {in: broken{}, out: io.Discard},
		"writing the result: no output":    {in: strings.NewReader(good), out: broken{}},
	} {
		var errs strings.Builder
		s.err = &errs
		if code := run([]string{"validate"}, s); code != 2 || errs.String() != "netlb validate: "+want+"\n" {
			t.Errorf("exit code %d, errors %q, want %q", code, errs.String(), want)
		}
	}
}
