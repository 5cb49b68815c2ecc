// Package processtest checks promises that every process makes.
package processtest

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/kontena/network-lb/cmd/internal/process"
)

// FlagsPage holds docs/flags.md to what --help of a process says. It is for the processes' own tests, which
// run in their folders.
func FlagsPage(t *testing.T, name, summary string, options []process.Option) {
	t.Helper()
	var help bytes.Buffer
	if _, err := process.Parse(name, summary, append(options, process.Common...), []string{"--help"}, &help); !errors.Is(err, process.ErrHelp) {
		t.Fatalf("--help: %v", err)
	}
	HelpPage(t, name, help.String())
}

// HelpPage holds docs/flags.md to a text that a command prints as its help.
func HelpPage(t *testing.T, name, help string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/flags.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "```\n" + help + "```\n"; !strings.Contains(string(page), want) {
		t.Errorf("docs/flags.md lacks the present help of %s:\n%s", name, want)
	}
}
