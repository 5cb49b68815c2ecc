package image_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/kontena/network-lb/lab/image"
)

// TestProduct packs a module that has the product's shape, without the time that the product takes to build.
func TestProduct(t *testing.T) {
	root := t.TempDir()
	write(t, root, "go.mod", "module example.test/product\n\ngo 1.26\n")
	write(t, root, "charts/kontena-network-lb/Chart.yaml", "apiVersion: v2\nname: x\nversion: 1.0.0\nappVersion: 1.2.3\n")
	for _, program := range []string{"controller", "netlb", "speaker"} {
		write(t, root, "cmd/"+program+"/main.go", "package main\n\nfunc main() {}\n")
	}
	out := filepath.Join(root, "image.tar")
	got, err := image.Product(t.Context(), root, "", out)
	if err != nil {
		t.Fatal(err)
	}
	if want := image.Repository + ":1.2.3"; got != want {
		t.Errorf("its name is %s, want %s, after the chart's appVersion", got, want)
	}
	tag, err := name.NewTag(got)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(out, &tag)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for line := range strings.Lines(contents(t, img)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "755 0:0 0 ") {
			files = append(files, fields[3])
		}
	}
	if got := strings.Join(files, " "); got != "controller netlb speaker" {
		t.Errorf("the image holds %q", got)
	}
}

// TestLabProgramsAreSmall fails when a speaker brings the types of all API groups, or something has the linker keep all
// methods again: see kube/api and GoBinary.
func TestLabProgramsAreSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the product; not with -short")
	}
	root, err := image.Root()
	if err != nil {
		t.Fatal(err)
	}
	speaker := filepath.Join(t.TempDir(), "speaker")
	if err := image.GoBinary(t.Context(), root, "./cmd/speaker", speaker, ""); err != nil {
		t.Fatal(err)
	}
	file, err := os.Stat(speaker)
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(36e6); file.Size() > most {
		t.Errorf("a speaker has %d bytes, want at most %d", file.Size(), most)
	}
}

func TestRoot(t *testing.T) {
	root, err := image.Root()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	if again, err := image.Root(); err != nil || again != root {
		t.Errorf("from %s: %s, %v", root, again, err)
	}
	t.Chdir(t.TempDir())
	if found, err := image.Root(); err == nil {
		t.Errorf("found %s from a temporary folder", found)
	}
}
