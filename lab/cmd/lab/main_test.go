package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kontena/network-lb/lab"
)

func TestFamilies(t *testing.T) {
	for _, test := range []struct {
		args []string
		want lab.Families
	}{
		{nil, lab.Dual},
		{[]string{"--families", "ipv6"}, lab.IPv6},
		{[]string{"--families=ipv4"}, lab.IPv4},
		{[]string{"--families=dual"}, lab.Dual},
	} {
		if got, err := families(test.args); err != nil || got != test.want {
			t.Errorf("%q: %s, %v, want %s", test.args, got, err, test.want)
		}
	}
}

// What up does not understand leaves the machine alone.
func TestUpMisused(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"up --families both", `"both" is not one of dual, ipv4 and ipv6`},
		{"up ipv6", `up takes no argument "ipv6"`},
		{"up --family ipv6", "not defined"},
		{"up --help", "no such command"}, // shows the commands, and no mistake
	} {
		err := run(context.Background(), strings.Fields(test.args))
		if !errors.Is(err, errMisused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("lab %s: %v, want %s", test.args, err, test.want)
		}
	}
}
