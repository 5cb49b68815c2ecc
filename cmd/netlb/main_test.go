package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kontena/network-lb/cmd/internal/processtest"
)

// netlb runs the command line and returns what came of it.
func netlb(stdin string, args ...string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	code = run(args, streams{strings.NewReader(stdin), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args     string
		code     int
		out, err string // how they begin; "": nothing at all
	}{
		{"", 2, "", "netlb checks the configuration"},
		{"--help", 0, "netlb checks the configuration", ""},
		{"-h", 0, "netlb checks the configuration", ""},
		{"help", 0, "netlb checks the configuration", ""},
		{"help validate", 0, "netlb validate says", ""},
		{"validate --help", 0, "netlb validate says", ""},
		{"--version", 0, "netlb dev\n", ""},
		{"validate --version", 0, "netlb validate dev\n", ""},
		{"vaildate", 2, "", `netlb: there is no command "vaildate"; there is validate`},
		{"explain", 2, "", `netlb: there is no command "explain"; there is validate`},
		{"-f x", 2, "", "netlb: unknown flag -f; flags come after the command, see netlb --help"},
		{"validate --colour", 2, "", "netlb validate: unknown flag: --colour"},
		{"validate values.yaml", 2, "", `netlb validate: unexpected argument "values.yaml"; netlb validate takes flags only, see --help`},
		{"validate -o yaml", 2, "", `netlb validate: --output: "yaml" is not a format; use text or json`},
		{"validate -f /does/not/exist", 2, "", "netlb validate: reading --file: open /does/not/exist"},
		{"validate --warn-only -f /does/not/exist", 2, "", "netlb validate: reading --file: open /does/not/exist"},
	} {
		code, out, err := netlb("", strings.Fields(tt.args)...)
		if code != tt.code || !begins(out, tt.out) || !begins(err, tt.err) {
			t.Errorf("netlb %s: exit code %d, output %q, errors %q", tt.args, code, out, err)
		}
	}
}

func begins(text, with string) bool {
	return strings.HasPrefix(text, with) && (text == "") == (with == "")
}

func TestFlagsPage(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"validate", "--help"}} {
		_, help, _ := netlb("", args...)
		processtest.HelpPage(t, "netlb "+strings.Join(args, " "), help)
	}
}
