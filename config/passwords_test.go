package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// A password of 80 bytes is one, whatever they are, and whoever prints the configuration does not show it.
func TestPassword(t *testing.T) {
	longest := strings.Repeat("é", 40)
	for text, want := range map[string]string{
		"x":                                 "x",
		longest:                             longest,
		`"*&#!% :"`:                         "*&#!% :",
		`"12345"`:                           "12345",
		`"x\r\n"`:                           "x",
		`"a\tb"`:                            "a\tb",
		"&secret hunter2, node_selectors: ": "hunter2",
		"~":                                 "",
	} {
		c, _ := parse(t, peerWith("password: "+text))
		if got := string(c.Peers[0].Password); got != want {
			t.Errorf("password: %s is %q", text, got)
		}
	}
	block, _ := parse(t, peersDocument("peer_address: 10.0.0.1\n  peer_asn: 1\n  my_asn: 1\n  password: |\n    a b"))
	if got := string(block.Peers[0].Password); got != "a b" {
		t.Errorf("a block scalar is %q", got)
	}
	c, warnings := parse(t, peerWith("password: hunter2"))
	data, err := json.Marshal(c)
	if shown := fmt.Sprintf("%v %+v %#v %s", c, c, c, data); err != nil || strings.Contains(shown, "hunter2") || len(warnings) > 0 {
		t.Errorf("%v %v: %s", err, warnings, shown)
	}
	other, _ := parse(t, peerWith("password: hunter3"))
	if c.Equal(other) {
		t.Error("another password is no change")
	}
}

func TestRelease(t *testing.T) {
	c, warnings := parse(t, onePool+"release: [10-20, 10.0.0.0-10.0.0.9, 'fd00::1/64', a]")
	if got := fmt.Sprint(c.Release); got != "[10-20 10.0.0.0-10.0.0.9 fd00::1/64 a]" {
		t.Errorf("releases %s", got)
	}
	const want = `[release[2] (line 2): "fd00::1/64" has host bits, so that fd00::/64 is meant; write fd00::/64]`
	if got := fmt.Sprint(warnings); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
