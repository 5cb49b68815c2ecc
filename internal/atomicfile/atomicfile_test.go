package atomicfile

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// only fails unless a folder holds one entry.
func only(t *testing.T, folder, name string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("the folder holds %v (%v), want %s alone", entries, err, name)
	}
}

func TestWriteReplaces(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x.json")
	for _, content := range []string{"a longer one", "short", ""} {
		if err := Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("the file says %q (%v), want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	only(t, folder, "x.json")
}

// TestReadersFindItWhole has a file read while it is written by several.
func TestReadersFindItWhole(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x")
	contents := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 70_000)}
	if err := Write(path, contents[0]); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, c := range contents {
		writers.Go(func() {
			for range 100 {
				if err := Write(path, c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { writers.Wait(); close(over) }()
	for reading := true; reading; {
		select {
		case <-over:
			reading = false
		default:
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("the file was found with %d bytes that nobody has written (%v)", len(got), err)
		}
	}
	only(t, folder, "x")
}

func TestFailureLeavesNothingBehind(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x")
	if err := os.MkdirAll(filepath.Join(path, "below"), 0o755); err != nil { // no file takes the place of a folder
		t.Fatal(err)
	}
	if err := Write(path, []byte("new")); err == nil {
		t.Error("a folder was replaced")
	}
	only(t, folder, "x")
	missing := filepath.Join(folder, "missing", "x")
	if err, want := Write(missing, nil), "replace "+missing+": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("there is no folder: %v, want %s", err, want)
	}
}
