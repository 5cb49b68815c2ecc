// Package buildcache builds Go programs that take minutes to compile once, and keeps them in the user's
// cache folder under a name that changes with everything they are made of.
package buildcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Target is a program to build.
type Target struct {
	Name    string   // of the executable
	Title   string   // what people call it: "Kubernetes v1.36.3"
	Effort  string   // how long the first build takes: "about 7 minutes"
	Dir     string   // where the go command runs; empty: anywhere
	Inputs  []string // files in Dir that decide what comes out
	Package string   // what is built: "." or "example.com/x@v1.2.3"
	Flags   []string // of the go command
	Env     []string // added to the environment
}

// Log receives progress, a line each time.
type Log func(format string, args ...any)

// Dir is where the programs are kept: kontena-network-lb in the user's cache folder.
func Dir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder (set HOME or XDG_CACHE_HOME): %w", err)
	}
	return filepath.Join(base, "kontena-network-lb"), nil
}

// Ensure returns the path of the built program in dir, building it first when it is not there yet. Whoever
// asks for the same program meanwhile waits for that build; an interrupted build is never taken for one.
func (t Target) Ensure(ctx context.Context, dir string, log Log) (string, error) {
	goVersion, err := run(ctx, t.Dir, nil, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return "", fmt.Errorf("asking the go command for its version: %w", err)
	}
	key, err := t.key(goVersion)
	if err != nil {
		return "", err
	}
	home := filepath.Join(dir, t.Name+"-"+key)
	program := filepath.Join(home, t.Name)
	if exists(program) {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	unlock, err := Lock(ctx, home+".lock", func() { log("waiting for another build of %s", t.Title) })
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(program) {
		return program, nil
	}
	if err := t.build(ctx, home, log); err != nil {
		return "", err
	}
	return program, nil
}

// key names the build by all that goes into it, as 16 hex digits.
func (t Target) key(goVersion string) (string, error) {
	sum := sha256.New()
	part := func(b []byte) { fmt.Fprintf(sum, "%d:%s\n", len(b), b) }
	part([]byte(goVersion))
	part([]byte(t.Package))
	for _, list := range [][]string{t.Flags, t.Env} {
		part([]byte(strings.Join(list, "\x00")))
	}
	for _, name := range t.Inputs {
		data, err := os.ReadFile(filepath.Join(t.Dir, name))
		if err != nil {
			return "", fmt.Errorf("reading what %s is built from: %w", t.Title, err)
		}
		part([]byte(name))
		part(data)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// build compiles into a folder aside and renames it to home when it is complete.
func (t Target) build(ctx context.Context, home string, log Log) error {
	work, err := workFolder(home)
	if err != nil {
		return fmt.Errorf("building %s: %w", t.Title, err)
	}
	defer func() { _ = os.RemoveAll(work) }() // what stays is removed by the next build

	began := time.Now()
	log("building %s (%s the first time, cached in %s)", t.Title, t.Effort, home)
	stop := Ticking(func() { log("... still building %s, %s", t.Title, time.Since(began).Round(time.Second)) })
	err = t.compile(ctx, work)
	stop()
	if err != nil {
		return fmt.Errorf("building %s: %w", t.Title, err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return fmt.Errorf("building %s: %w", t.Title, err)
	}
	if err := os.Rename(work, home); err != nil {
		return fmt.Errorf("putting %s in place: %w", t.Title, err)
	}
	log("built %s in %s", t.Title, time.Since(began).Round(time.Second))
	return nil
}

// workFolder makes a folder beside home, and removes those that killed builds have left behind. Only the
// holder of the lock calls it.
func workFolder(home string) (string, error) {
	prefix := ".building-" + filepath.Base(home) + "-"
	left, err := filepath.Glob(filepath.Join(filepath.Dir(home), prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(filepath.Dir(home), prefix)
}

// compile makes the executable work/NAME. A package of another module is installed, since only that can be
// done without a go.mod; the version then stands in its name.
func (t Target) compile(ctx context.Context, work string) error {
	env := append([]string{"GOWORK=off", "GOFLAGS=-buildvcs=false"}, t.Env...)
	args := []string{"build", "-o", filepath.Join(work, t.Name)}
	if strings.Contains(t.Package, "@") {
		args = []string{"install"}
		env = append(env, "GOBIN="+work)
	}
	args = append(append(args, t.Flags...), t.Package)
	_, err := run(ctx, t.Dir, env, "go", args...)
	return err
}

func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err), errorText(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// errorText keeps the end of what a command wrote: downloads come first, what went wrong last.
func errorText(s string) error {
	const most = 4000
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	if len(s) > most {
		s = "..." + s[len(s)-most:]
	}
	return errors.New(s)
}

// Ticking calls f every 15 seconds until the returned function is called: to show that a long step lives.
func Ticking(f func()) (stop func()) {
	ticker, done := time.NewTicker(15*time.Second), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				f()
			case <-done:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
