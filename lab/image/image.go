// Package image packs static binaries into one-layer container images, as tarballs that containerd and
// Docker import (docker-archive, a manifest.json beside an OCI-like config and layer).
package image

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Spec says what an image holds.
type Spec struct {
	// Name is the full reference with registry and tag, as Pods name it: "docker.io/kontena/network-lb:0.1.0".
	Name string
	// Binaries maps absolute paths in the image to files of this machine. All get mode 0755 and root as owner.
	Binaries map[string]string
	// Entrypoint is what a container runs unless its Pod says otherwise. It may be empty.
	Entrypoint []string
	// User is the uid[:gid] it runs as. Empty means root.
	User string
}

// epoch stands in every header, so that equal binaries give equal images.
var epoch = time.Unix(0, 0).UTC()

// Build writes the image to outTar, replacing it at once when complete. Equal input gives equal bytes on
// every machine of the same architecture. The file is for `ctr -n k8s.io images import` and `docker load`.
func Build(ctx context.Context, spec Spec, outTar string) error {
	tag, err := name.NewTag(spec.Name, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("reading image name %q: %w", spec.Name, err)
	}
	dir := filepath.Dir(outTar)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of %s: %w", outTar, err)
	}
	work, err := os.MkdirTemp(dir, ".image-")
	if err != nil {
		return fmt.Errorf("making a working folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()

	layer := filepath.Join(work, "layer.tar")
	if err := writeFile(layer, func(w io.Writer) error { return writeLayer(ctx, w, spec.Binaries) }); err != nil {
		return fmt.Errorf("packing %s: %w", spec.Name, err)
	}
	img, err := assemble(spec, layer)
	if err != nil {
		return fmt.Errorf("assembling %s: %w", spec.Name, err)
	}
	whole := filepath.Join(work, "image.tar")
	if err := writeFile(whole, func(w io.Writer) error { return tarball.Write(tag, img, w) }); err != nil {
		return fmt.Errorf("writing %s: %w", spec.Name, err)
	}
	if err := errors.Join(ctx.Err(), os.Rename(whole, outTar)); err != nil {
		return fmt.Errorf("putting %s in place: %w", outTar, err)
	}
	return nil
}

// assemble makes the image of one layer tarball and its configuration.
func assemble(spec Spec, layerTar string) (v1.Image, error) {
	layer, err := tarball.LayerFromFile(layerTar, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("reading the layer: %w", err)
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "static binaries"},
	})
	if err != nil {
		return nil, fmt.Errorf("adding the layer: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = runtime.GOARCH, "linux"
	file.Created = v1.Time{Time: epoch}
	file.Config.Entrypoint = spec.Entrypoint
	file.Config.User = spec.User
	return mutate.ConfigFile(img, file)
}

// writeLayer writes the layer: sorted, all parents as folders, no host's owner, time or mode.
func writeLayer(ctx context.Context, w io.Writer, binaries map[string]string) error {
	tw := tar.NewWriter(w)
	made := map[string]bool{}
	for _, target := range slices.Sorted(maps.Keys(binaries)) {
		if !path.IsAbs(target) || path.Clean(target) != target || target == "/" {
			return fmt.Errorf("path %q in the image: want a clean absolute path", target)
		}
		for _, dir := range parents(target) {
			if made[dir] {
				continue
			}
			made[dir] = true
			header := &tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755, ModTime: epoch}
			if err := tw.WriteHeader(header); err != nil {
				return fmt.Errorf("adding %s: %w", dir, err)
			}
		}
		if err := cmp.Or(ctx.Err(), addBinary(tw, target, binaries[target])); err != nil {
			return fmt.Errorf("adding %s: %w", target, err)
		}
	}
	return tw.Close()
}

func addBinary(tw *tar.Writer, target, source string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(target, "/"), Size: info.Size(), Mode: 0o755, ModTime: epoch,
	}
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return err
}

// parents lists the folders above a path, outermost first, without the root.
func parents(target string) []string {
	var dirs []string
	for dir := path.Dir(target); dir != "/"; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

func writeFile(file string, write func(io.Writer) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
