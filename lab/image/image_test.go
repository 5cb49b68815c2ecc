package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/kontena/network-lb/lab/image"
)

const imageName = "docker.io/kontena/network-lb:test"

func write(t *testing.T, dir, file, content string) string {
	t.Helper()
	full := filepath.Join(dir, file)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	return full
}

// contents lists the only layer as "mode owner time path content", a line for each entry.
func contents(t *testing.T, img v1.Image) string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	layer, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = layer.Close() }()
	var b strings.Builder
	for tr := tar.NewReader(layer); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%o %d:%d %d %s %s\n", header.Mode, header.Uid, header.Gid, header.ModTime.Unix(), header.Name, data)
	}
}

func TestBuild(t *testing.T) {
	dir := t.TempDir()
	spec := image.Spec{
		Name: imageName,
		Binaries: map[string]string{
			"/speaker":         write(t, dir, "s", "S"),
			"/controller":      write(t, dir, "c", "C"),
			"/usr/bin/web":     write(t, dir, "w", "W"),
			"/usr/bin/another": write(t, dir, "a", "A"),
		},
		Entrypoint: []string{"/speaker", "--help"},
		User:       "65532:65532",
	}
	out := filepath.Join(dir, "new", "image.tar")
	if err := image.Build(t.Context(), spec, out); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(imageName)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(out, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(config.OS, config.Config.Entrypoint, config.Config.User); got != "linux[/speaker --help]65532:65532" {
		t.Errorf("configuration: %s", got)
	}
	want := `755 0:0 0 controller C
755 0:0 0 speaker S
755 0:0 0 usr/ 
755 0:0 0 usr/bin/ 
755 0:0 0 usr/bin/another A
755 0:0 0 usr/bin/web W
`
	if got := contents(t, img); got != want {
		t.Errorf("layer holds\n%swant\n%s", got, want)
	}
}

// TestBuildNamesTheImageAsGiven reads the manifest itself: containerd takes the name from it.
func TestBuildNamesTheImageAsGiven(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "image.tar")
	spec := image.Spec{Name: imageName, Binaries: map[string]string{"/x": write(t, dir, "x", "x")}}
	if err := image.Build(t.Context(), spec, out); err != nil {
		t.Fatal(err)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(out) })
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || fmt.Sprint(manifest[0].RepoTags) != "["+imageName+"]" {
		t.Errorf("manifest: %+v", manifest)
	}
}

func TestBuildIsReproducible(t *testing.T) {
	dir := t.TempDir()
	images := make([][]byte, 0, 2)
	for _, at := range []string{"one", "two"} {
		spec := image.Spec{Name: imageName, Binaries: map[string]string{
			"/bin/a": write(t, dir, at+"/a", "A"), "/bin/b": write(t, dir, at+"/b", "B"), "/c": write(t, dir, at+"/c", "C"),
		}}
		out := filepath.Join(dir, at, "image.tar")
		if err := image.Build(t.Context(), spec, out); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, data)
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("the same binaries gave two different images")
	}
}

func TestBuildRefuses(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "x", "x")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name, want string
		ctx        context.Context
		spec       image.Spec
	}{
		{"no tag", "reading image name", t.Context(), image.Spec{Name: "docker.io/kontena/network-lb"}},
		{"relative path", "want a clean absolute path", t.Context(), image.Spec{Name: imageName, Binaries: map[string]string{"x": file}}},
		{"missing file", "adding /x", t.Context(), image.Spec{Name: imageName, Binaries: map[string]string{"/x": file + "-"}}},
		{"cancelled", "context canceled", cancelled, image.Spec{Name: imageName, Binaries: map[string]string{"/x": file}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "image.tar")
			if err := image.Build(test.ctx, test.spec, out); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestGoBinary(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.test/hello\n\ngo 1.26\n")
	write(t, dir, "cmd/hello/main.go", "package main\n\nvar version string\n\nfunc main() { println(version) }\n")
	out := filepath.Join(dir, "hello")
	if err := image.GoBinary(t.Context(), dir, "./cmd/hello", out, "-X main.version=1.2.3"); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), out).CombinedOutput()
	if err != nil || string(said) != "1.2.3\n" {
		t.Errorf("said %q, %v", said, err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(dir)) {
		t.Error("the binary names the folder it was built in")
	}
}

func TestGoBinarySaysWhatTheCompilerSaid(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.test/hello\n\ngo 1.26\n")
	write(t, dir, "main.go", "package main\n\nfunc main() { missing() }\n")
	err := image.GoBinary(t.Context(), dir, ".", filepath.Join(dir, "hello"), "")
	if err == nil || !strings.Contains(err.Error(), "undefined: missing") {
		t.Errorf("got %v", err)
	}
}
