package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
)

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(bad, []byte("address_pools: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := os.Args
	t.Cleanup(func() { os.Args = args })
	for _, tt := range []struct {
		args  string
		err   error
		want  int
		works bool
	}{
		{"--log-level=error", nil, 0, true},
		{"--log-level=error", errors.New("no"), ExitFailure, true},
		{"--version", nil, 0, false},
		{"--colour=red", nil, ExitUsage, false},
		{"--log-level=loud", nil, ExitUsage, false},
		{"--log-level=error --config=" + bad, nil, ExitFailure, false},
	} {
		os.Args = append([]string{"p"}, strings.Fields(tt.args)...)
		worked := false
		got := Main("p", "does things.", nil, func(context.Context, Values, *zap.Logger) error {
			worked = true
			return tt.err
		})
		if got != tt.want || worked != tt.works {
			t.Errorf("%s (%v): exit code %d, worked %v; want %d, %v", tt.args, tt.err, got, worked, tt.want, tt.works)
		}
	}
}

func TestSignalEndsTheProcess(t *testing.T) {
	args := os.Args
	t.Cleanup(func() { os.Args = args })
	os.Args = []string{"p", "--log-level=error"}
	got := Main("p", "does things.", nil, func(ctx context.Context, _ Values, _ *zap.Logger) error {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	if got != 0 {
		t.Errorf("exit code %d", got)
	}
}

func TestClusterWithoutOne(t *testing.T) {
	_, err := Cluster(Values{"kubeconfig": "/does/not/exist"}, "p")
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("Cluster = %v", err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := Cluster(Values{}, "p"); err == nil || !strings.Contains(err.Error(), "give --kubeconfig") {
		t.Errorf("Cluster = %v", err)
	}
}
