package process

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var testOptions = []Option{
	{Name: "log-level", Default: "info", Usage: "how much is logged"},
	{Name: "node-name", Required: true, Usage: "name of the node"},
}

func TestParsePrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "options.yaml")
	if err := os.WriteFile(file, []byte("log-level: warn\nnode-name: from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	parse := func(args ...string) Values {
		t.Helper()
		v, err := Parse("p", "does things.", testOptions, args, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := parse("--node-name=a"); v["log-level"] != "info" || v["node-name"] != "a" {
		t.Errorf("defaults and flags give %v", v)
	}
	if v := parse("--options", file); v["log-level"] != "warn" || v["node-name"] != "from-file" {
		t.Errorf("the file gives %v", v)
	}
	t.Setenv("NETWORK_LB_NODE_NAME", "from-env")
	if v := parse("--options", file); v["node-name"] != "from-env" {
		t.Errorf("the environment over the file gives %v", v)
	}
	if v := parse("--options", file, "--node-name=a"); v["node-name"] != "a" {
		t.Errorf("a flag over the environment gives %v", v)
	}
}

func TestParseRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "options.yaml")
	if err := os.WriteFile(file, []byte("node-nam: a\nnode-name: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"", "--node-name is needed (or $NETWORK_LB_NODE_NAME): name of the node"},
		{"--node-name=a --colour=red", "unknown flag: --colour"},
		{"--node-name=a b", `unexpected argument "b"`},
		{"--options=" + file, `unknown option "node-nam"`},
		{"--options=/does/not/exist", "reading --options"},
	} {
		_, err := Parse("p", "does things.", testOptions, strings.Fields(tt.args), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%q) = %v, want an error with %q", tt.args, err, tt.want)
		}
	}
}

func TestShortAndBool(t *testing.T) {
	options := []Option{
		{Name: "file", Short: "f", Default: "-", Usage: "what to read"},
		{Name: "warn-only", Bool: true, Usage: "never fail"},
	}
	for args, want := range map[string]Values{
		"":                       {"file": "-", "warn-only": "false"},
		"-f a --warn-only":       {"file": "a", "warn-only": "true"},
		"--file=b --warn-only=0": {"file": "b", "warn-only": "false"},
		"-fc":                    {"file": "c", "warn-only": "false"},
	} {
		if got, err := Parse("p", "does things.", options, strings.Fields(args), &bytes.Buffer{}); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v %v", args, got, err)
		}
	}
	t.Setenv("NETWORK_LB_WARN_ONLY", "1")
	if v, err := Parse("p", "does things.", options, nil, &bytes.Buffer{}); err != nil || v["warn-only"] != "true" {
		t.Errorf("from the environment: %v %v", v, err)
	}
	t.Setenv("NETWORK_LB_WARN_ONLY", "often")
	if _, err := Parse("p", "does things.", options, nil, &bytes.Buffer{}); err == nil || err.Error() != `--warn-only (or $NETWORK_LB_WARN_ONLY): "often" is not true or false` {
		t.Errorf("from the environment: %v", err)
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := Parse("p", "does things.", testOptions, []string{"--help"}, &out); !errors.Is(err, ErrHelp) {
		t.Fatalf("--help gives %v", err)
	}
	for _, want := range []string{"p does things.", "--node-name", "$NETWORK_LB_LOG_LEVEL", `(default "info")`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %q:\n%s", want, &out)
		}
	}
}

func TestLogLevel(t *testing.T) {
	if _, err := logger("loud"); err == nil || !strings.Contains(err.Error(), "use debug, info, warn or error") {
		t.Errorf("an unknown level gives %v", err)
	}
	if _, err := logger("debug"); err != nil {
		t.Error(err)
	}
}
