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

// buildWorkloads packs the images and returns their tarballs.
func (c *Cluster) buildWorkloads(ctx context.Context) ([]string, error) {
	source, err := moduleDir()
	if err != nil {
		return nil, err
	}
	specs := map[string]image.Spec{
		"pause": {Name: PauseImage, User: "65535:65535"},
		"web":   {Name: WebImage, User: "65534:65534"},
	}
	var tars []string
	for name, spec := range specs {
		binary := filepath.Join(c.state, "images", name)
		if err := image.GoBinary(ctx, source, "./cmd/"+name, binary, ""); err != nil {
			return nil, err
		}
		spec.Binaries = map[string]string{"/" + name: binary}
		spec.Entrypoint = []string{"/" + name}
		if err := image.Build(ctx, spec, binary+".tar"); err != nil {
			return nil, err
		}
		tars = append(tars, binary+".tar")
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
