package lab

import (
	"context"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/kontena/network-lb/lab/image"
)

// The images that every node has from the start. There is no registry: Pods need imagePullPolicy IfNotPresent
// or Never.
const (
	PauseImage = "registry.k8s.io/pause:3.10" // what holds a pod together
	WebImage   = "lab.kontena.io/web:1"       // answers HTTP on port 8080 with pod, node and client address
)

// packWorkloads packs the images and returns their tarballs.
func (c *Cluster) packWorkloads(ctx context.Context) ([]string, error) {
	var tars []string
	for _, w := range []struct{ image, binary, user string }{
		{PauseImage, c.binaries.Pause, "65535:65535"},
		{WebImage, c.binaries.Web, "65534:65534"},
	} {
		name := filepath.Base(w.binary)
		tar := filepath.Join(c.state, "images", name+".tar")
		spec := image.Spec{
			Name: w.image, Binaries: map[string]string{"/" + name: w.binary}, Entrypoint: []string{"/" + name}, User: w.user,
		}
		if err := image.Build(ctx, spec, tar); err != nil {
			return nil, err
		}
		tars = append(tars, tar)
	}
	return tars, nil
}

// ImportImage gives an image tarball (docker-archive or OCI) to the named nodes, or to all if none is named.
func (c *Cluster) ImportImage(ctx context.Context, tar string, nodes ...string) error {
	if len(nodes) == 0 {
		for _, node := range Nodes() {
			nodes = append(nodes, node.Name)
		}
	}
	tar, err := filepath.Abs(tar)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, node := range nodes {
		group.Go(func() error {
			_, err := c.Exec(ctx, node, c.tools["ctr"], "--namespace", "k8s.io", "images", "import", tar)
			if err != nil {
				return fmt.Errorf("importing %s on %s: %w", filepath.Base(tar), node, err)
			}
			return nil
		})
	}
	return group.Wait()
}
