package buildcache

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func quiet(string, ...any) {}

// hello is a target that builds in no time.
func hello(t *testing.T) Target {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module hello\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(\"hello\") }\n")
	return Target{Name: "hello", Title: "hello", Dir: dir, Inputs: []string{"go.mod", "main.go"}, Package: "."}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestKeyChangesWithEveryInput(t *testing.T) {
	key := func(target Target, version string) string {
		t.Helper()
		key, err := target.key(version)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	target := hello(t)
	seen := map[string]string{key(target, "go1.26.0 linux amd64"): "the original"}
	check := func(what string, changed Target, version string) {
		t.Helper()
		k := key(changed, version)
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the same key as %s", what, other)
		}
		seen[k] = what
	}

	check("another Go version", target, "go1.26.1 linux amd64")
	flags := target
	flags.Flags = []string{"-trimpath"}
	check("another flag", flags, "go1.26.0 linux amd64")
	env := target
	env.Env = []string{"-trimpath"}
	check("the same word in the environment", env, "go1.26.0 linux amd64")
	pkg := target
	pkg.Package = "./cmd"
	check("another package", pkg, "go1.26.0 linux amd64")
	write(t, filepath.Join(target.Dir, "main.go"), "package main\n\nfunc main() {}\n")
	check("another source", target, "go1.26.0 linux amd64")

	if again := key(target, "go1.26.0 linux amd64"); seen[again] != "another source" {
		t.Error("the same input gave two keys")
	}
}

func TestKeyNamesTheMissingInput(t *testing.T) {
	target := hello(t)
	target.Inputs = append(target.Inputs, "go.sum")
	if _, err := target.key("go1.26.0"); err == nil || !strings.Contains(err.Error(), "go.sum") {
		t.Errorf("key without an input = %v, want an error that names go.sum", err)
	}
}

func TestEnsureBuildsOnce(t *testing.T) {
	target, cache := hello(t), t.TempDir()
	var said []string
	log := func(format string, args ...any) { said = append(said, format) }

	program, err := target.Ensure(t.Context(), cache, log)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil || string(out) != "hello\n" {
		t.Errorf("%s said %q, %v", program, out, err)
	}
	if len(said) != 2 {
		t.Errorf("first time said %q, want a line at the start and one at the end", said)
	}

	again, err := target.Ensure(t.Context(), cache, log)
	if err != nil || again != program {
		t.Errorf("second time = %q, %v, want %q", again, err, program)
	}
	if len(said) != 2 {
		t.Errorf("second time said %q, want nothing", said[2:])
	}
}

func TestEnsureLeavesNothingOfAFailedBuild(t *testing.T) {
	target, cache := hello(t), t.TempDir()
	write(t, filepath.Join(target.Dir, "main.go"), "package main\n\nfunc main() { nonsense }\n")
	_, err := target.Ensure(t.Context(), cache, quiet)
	if err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Errorf("building nonsense = %v, want what the compiler said", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range left {
		if filepath.Ext(file) != ".lock" {
			t.Errorf("%s is left", file)
		}
	}
}

func TestLockIsExclusive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), file, func() { t.Error("waited for a free lock") })
	if err != nil {
		t.Fatal(err)
	}

	// The second one finds the lock taken, and gives up when its context ends.
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Lock(ctx, file, cancel); err == nil {
		t.Error("took a lock that another one holds")
	}

	// The third waits, and gets it when the first lets go.
	third, err := Lock(t.Context(), file, unlock)
	if err != nil {
		t.Fatal(err)
	}
	third()
}
