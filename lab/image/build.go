package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// GoBinary builds the main package pkg (an import path, or "./cmd/x" relative to moduleDir) for this
// machine's architecture and writes it to out, a path of its own or relative to the current folder. The
// binary is static, without symbols and without paths or commits of this machine, so that it changes only
// when its source does. ldflags come on top, such as "-X main.version=0.1.0". The error carries what the
// compiler said.
//
// It is built without gRPC's traces: their templates call methods by name, for which the linker would keep every
// method of every type, and a speaker would have twice its size.
func GoBinary(ctx context.Context, moduleDir, pkg, out string, ldflags string) error {
	target, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("finding %s: %w", out, err)
	}
	flags := strings.TrimSpace("-s -w " + ldflags)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "grpcnotrace", "-ldflags", flags, "-o", target, pkg)
	cmd.Dir = moduleDir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, said)
	}
	return nil
}
