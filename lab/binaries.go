package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kontena/network-lb/lab/buildcache"
)

// kubernetesVersion is what lab/kube/go.mod requires; the binaries report it.
const kubernetesVersion = "v1.36.3"

// runcVersion: Debian 12's own runc is too old for the kernels that the lab runs on.
const runcVersion = "v1.5.2"

// buildBinaries returns the programs that the lab is made of, building those that the cache does not have.
func buildBinaries(ctx context.Context, log buildcache.Log) (binaries, error) {
	var b binaries
	source, err := moduleDir()
	if err != nil {
		return b, err
	}
	cache, err := buildcache.Dir()
	if err != nil {
		return b, err
	}
	pause, err := workloadTarget(source, "pause")
	if err != nil {
		return b, err
	}
	web, err := workloadTarget(source, "web")
	if err != nil {
		return b, err
	}
	for _, program := range []struct {
		path   *string
		target buildcache.Target
	}{
		{&b.Pause, pause}, {&b.Web, web}, {&b.Runc, runcTarget()}, {&b.Kube, kubeTarget(filepath.Join(source, "kube"))},
	} {
		if *program.path, err = program.target.Ensure(ctx, cache, log); err != nil {
			return b, err
		}
	}
	return b, nil
}

// workloadTarget is one of the lab's own programs that run in pods. They use the standard library alone, so
// their source is all that matters.
func workloadTarget(source, name string) (buildcache.Target, error) {
	files, err := filepath.Glob(filepath.Join(source, "cmd", name, "*.go"))
	if err != nil {
		return buildcache.Target{}, err
	}
	t := buildcache.Target{
		Name:    name,
		Title:   "the workload " + name,
		Effort:  "some seconds",
		Dir:     source,
		Package: "./cmd/" + name,
		Flags:   []string{"-trimpath", "-ldflags", "-s -w"},
		Env:     []string{"CGO_ENABLED=0"},
	}
	for _, file := range files {
		t.Inputs = append(t.Inputs, filepath.Join("cmd", name, filepath.Base(file)))
	}
	return t, nil
}

func kubeTarget(dir string) buildcache.Target {
	const stamp = "-X k8s.io/component-base/version.git"
	number := strings.Split(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	ldflags := []string{
		"-s", "-w",
		stamp + "Version=" + kubernetesVersion, stamp + "Major=" + number[0], stamp + "Minor=" + number[1],
	}
	return buildcache.Target{
		Name:    "kube",
		Title:   "Kubernetes " + kubernetesVersion,
		Effort:  "about 7 minutes",
		Dir:     dir,
		Inputs:  []string{"go.mod", "go.sum", "main.go"},
		Package: ".",
		Flags:   []string{"-trimpath", "-ldflags", strings.Join(ldflags, " ")},
		Env:     []string{"CGO_ENABLED=0"},
	}
}

func runcTarget() buildcache.Target {
	return buildcache.Target{
		Name:    "runc",
		Title:   "runc " + runcVersion,
		Effort:  "half a minute",
		Package: "github.com/opencontainers/runc@" + runcVersion,
		Flags:   []string{"-trimpath", "-tags", "seccomp"},
		Env:     []string{"CGO_ENABLED=1"},
	}
}

var moduleLine = regexp.MustCompile(`(?m)^module github\.com/kontena/network-lb/lab$`)

// moduleDir finds the source of the lab: the current folder or one above it, or the folder lab in one of those.
func moduleDir() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "lab")} {
			data, err := os.ReadFile(filepath.Join(candidate, "go.mod"))
			if err == nil && moduleLine.Match(data) {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the lab's source from %s: run this inside a checkout of network-lb", here)
		}
	}
}
