package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kontena/network-lb/lab"
)

// stories returns the stories in a folder, by the families of the cluster that they are told on: those that their first
// line names, `families ipv6`, else both.
func stories(dir string) (map[lab.Families][]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, err
	}
	told := map[lab.Families][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var families lab.Families
		line, _, _ := strings.Cut(string(text), "\n")
		if word, ok := strings.CutPrefix(line, "families "); ok {
			if err := families.UnmarshalText([]byte(word)); err != nil {
				return nil, fmt.Errorf("%s: line 1: %w", file, err)
			}
		}
		told[families] = append(told[families], file)
	}
	return told, nil
}

func TestStories(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"both.txtar": "# families ipv6\n", "four.txtar": "families ipv4\ninstall\n", "six.txtar": "families ipv6\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	told, err := stories(dir)
	if err != nil {
		t.Fatal(err)
	}
	for families, name := range map[lab.Families]string{lab.Dual: "both", lab.IPv4: "four", lab.IPv6: "six"} {
		if want := []string{filepath.Join(dir, name+".txtar")}; !slices.Equal(told[families], want) {
			t.Errorf("families %s: %v, want %v", families, told[families], want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.txtar"), []byte("families both\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stories(dir); err == nil || !strings.Contains(err.Error(), `bad.txtar: line 1: "both" is not one of`) {
		t.Errorf("a family that is none: %v", err)
	}
}
