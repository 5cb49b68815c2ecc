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
		{"vaildate", 2, "", `netlb: there is no command "vaildate"; there is validate, drain, undrain`},
		{"explain", 2, "", `netlb: there is no command "explain"; there is validate, drain, undrain`},
		{"-f x", 2, "", "netlb: unknown flag -f; flags come after the command, see netlb --help"},
		{"drain", 2, "", "netlb drain: NODE is missing: netlb drain NODE"},
		{"drain a b", 2, "", `netlb drain: unexpected argument "b" after NODE, see --help`},
		{"drain a --timeout soon", 2, "", `netlb drain: --timeout: "soon" is not a time span; write a number with a unit, such as 90s`},
		{"drain a --kubeconfig /does/not/exist", 1, "", "netlb drain: finding the cluster: stat /does/not/exist"},
		{"undrain --kubeconfig /does/not/exist a", 1, "", "netlb undrain: finding the cluster: stat /does/not/exist"},
		{"drain --help", 0, "netlb drain has a node's traffic", ""},
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
	for _, args := range [][]string{{"--help"}, {"validate", "--help"}, {"drain", "--help"}, {"undrain", "--help"}} {
		_, help, _ := netlb("", args...)
		processtest.HelpPage(t, "netlb "+strings.Join(args, " "), help)
	}
}
