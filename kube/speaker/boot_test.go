package speaker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSameBoot(t *testing.T) {
	folder := t.TempDir()
	kernel := filepath.Join(t.TempDir(), "boot_id")
	boot := func(id string) {
		if err := os.WriteFile(kernel, []byte(id+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, want bool) {
		t.Helper()
		if got, err := sameBoot(folder, kernel); got != want || err != nil {
			t.Errorf("%s: %t, %v", what, got, err)
		}
	}
	boot("one")
	want("the first run", false)
	want("a restart", true)
	boot("two")
	want("after a boot", false)
	want("a restart after it", true)
	boot("")
	if got, err := sameBoot(folder, kernel); got || err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("no boot ID: %t, %v", got, err)
	}
	boot("three")
	if got, err := sameBoot(filepath.Join(folder, "missing"), kernel); got || err == nil {
		t.Errorf("no folder: %t, %v", got, err)
	}
	if got, err := SameBoot(""); got || err != nil {
		t.Errorf("no state: %t, %v", got, err)
	}
}
