package layers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func TestImports(t *testing.T) {
	violations, err := Check(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// TestEveryRoomIsInhabited keeps the table true, and shows that the check sees the tree at all.
func TestEveryRoomIsInhabited(t *testing.T) {
	for _, r := range rooms {
		files, err := filepath.Glob(filepath.Join(root, r.path, "*.go"))
		if len(files) == 0 && err == nil {
			files, err = filepath.Glob(filepath.Join(root, r.path, "*", "*.go"))
		}
		if err != nil || len(files) == 0 {
			t.Errorf("the room %s holds no Go file (%v)", r.path, err)
		}
	}
}

func TestPlantedViolationsAreFound(t *testing.T) {
	tests := []struct{ name, file, source, want string }{
		{"upwards", "ipam/x.go", `package ipam; import _ "github.com/kontena/network-lb/config"`, "ipam/x.go imports github.com/kontena/network-lb/config"},
		{"outside library", "ipam/x.go", `package ipam; import _ "go.uber.org/zap"`, "ipam/x.go imports go.uber.org/zap"},
		{"in a test too", "announce/x_test.go", `package announce; import _ "k8s.io/api/core/v1"`, "announce/x_test.go imports k8s.io/api/core/v1"},
		{"kubernetes below kube", "bgp/gobgp/x.go", `package gobgp; import _ "k8s.io/client-go/kubernetes"`, "bgp/gobgp/x.go imports k8s.io/client-go/kubernetes"},
		{"gobgp elsewhere", "kube/x/x.go", `package x; import _ "github.com/osrg/gobgp/v3/api"`, "kube/x/x.go imports github.com/osrg/gobgp/v3/api"},
		{"no room", "util/x.go", `package util`, "util/x.go stands in no room"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, tt.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tt.source), 0o644); err != nil {
				t.Fatal(err)
			}
			violations, err := Check(os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			if len(violations) != 1 || !strings.HasPrefix(violations[0], tt.want) {
				t.Errorf("Check = %q, want one violation that starts with %q", violations, tt.want)
			}
		})
	}
}
