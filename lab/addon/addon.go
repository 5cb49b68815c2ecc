// Package addon installs the product in a lab as its users do: the image on the nodes, the chart through Helm.
package addon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/image"
)

// Where the product is installed, and under which name.
const (
	Namespace = "kontena-network-lb"
	Release   = "network-lb"
)

// timeout is how long an installation may take until all its Pods are ready.
const timeout = 2 * time.Minute

// Import builds the image from the module in root and gives it to every node.
func Import(ctx context.Context, c *lab.Cluster, root string) error {
	dir, err := os.MkdirTemp("", "network-lb-image-")
	if err != nil {
		return fmt.Errorf("building the image: %w", err)
	}
	defer os.RemoveAll(dir)
	tar := filepath.Join(dir, "image.tar")
	if _, err := image.Product(ctx, root, "", tar); err != nil {
		return err
	}
	return c.ImportImage(ctx, tar)
}

// Install is `helm upgrade --install --create-namespace --wait`. It returns what Helm says: the log of a hook as far as
// the chart wants it shown, which there may be with an error too, and the notes.
func Install(ctx context.Context, c *lab.Cluster, s Source) (said string, err error) {
	chart, values, err := s.load()
	if err != nil {
		return "", err
	}
	h, err := helm(c)
	if err != nil {
		return "", err
	}
	var done *release.Release
	if _, err = h.Releases.Last(Release); err == nil {
		upgrade := action.NewUpgrade(&h.Configuration)
		upgrade.Namespace, upgrade.Wait, upgrade.Timeout = Namespace, true, timeout
		if done, err = upgrade.RunWithContext(ctx, Release, chart, values); err != nil {
			return h.log.String(), fmt.Errorf("UPGRADE FAILED: %w", err)
		}
	} else {
		install := action.NewInstall(&h.Configuration)
		install.ReleaseName, install.Namespace, install.CreateNamespace = Release, Namespace, true
		install.Wait, install.Timeout = true, timeout
		if done, err = install.RunWithContext(ctx, chart, values); err != nil {
			return h.log.String(), fmt.Errorf("INSTALLATION FAILED: %w", err)
		}
	}
	return h.log.String() + done.Info.Notes, nil
}

// Template is `helm template`, with what the lab's API server offers: all manifests, hooks too.
func Template(ctx context.Context, c *lab.Cluster, s Source) (manifests string, err error) {
	chart, values, err := s.load()
	if err != nil {
		return "", err
	}
	h, err := helm(c)
	if err != nil {
		return "", err
	}
	install := action.NewInstall(&h.Configuration)
	install.ReleaseName, install.Namespace, install.DryRun, install.DryRunOption = Release, Namespace, true, "server"
	rendered, err := install.RunWithContext(ctx, chart, values)
	if err != nil {
		return "", err
	}
	for _, hook := range rendered.Hooks {
		manifests += "---\n" + hook.Manifest + "\n"
	}
	return manifests + rendered.Manifest, nil
}

// Rollback is `helm rollback --wait` to the revision before the present one. It returns the log of a hook.
func Rollback(c *lab.Cluster) (said string, err error) {
	h, err := helm(c)
	if err != nil {
		return "", err
	}
	rollback := action.NewRollback(&h.Configuration)
	rollback.Wait, rollback.Timeout = true, timeout
	err = rollback.Run(Release)
	return h.log.String(), err
}

// Uninstall removes what Install installed and waits until it is gone; nothing installed is no error.
func Uninstall(c *lab.Cluster) error {
	h, err := helm(c)
	if err != nil {
		return err
	}
	uninstall := action.NewUninstall(&h.Configuration)
	uninstall.Wait, uninstall.Timeout, uninstall.DeletionPropagation = true, timeout, "foreground"
	if _, err := uninstall.Run(Release); err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return err
	}
	return nil
}
