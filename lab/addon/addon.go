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
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli/values"
	"helm.sh/helm/v3/pkg/getter"
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

// Install installs or upgrades the chart in root with a values file and settings of the form key=value, waits
// until everything is ready, and returns what the chart has to say.
func Install(ctx context.Context, c *lab.Cluster, root, valuesFile string, set ...string) (notes string, err error) {
	chart, err := loader.Load(filepath.Join(root, "charts", "kontena-network-lb"))
	if err != nil {
		return "", fmt.Errorf("loading the chart: %w", err)
	}
	options := values.Options{Values: set}
	if valuesFile != "" {
		options.ValueFiles = []string{valuesFile}
	}
	vals, err := options.MergeValues(getter.Providers{})
	if err != nil {
		return "", err
	}
	h, err := helm(c)
	if err != nil {
		return "", err
	}
	if _, err := h.Releases.Last(Release); err == nil {
		upgrade := action.NewUpgrade(h)
		upgrade.Namespace, upgrade.Wait, upgrade.Timeout = Namespace, true, timeout
		release, err := upgrade.RunWithContext(ctx, Release, chart, vals)
		if err != nil {
			return "", err
		}
		return release.Info.Notes, nil
	}
	install := action.NewInstall(h)
	install.ReleaseName, install.Namespace, install.CreateNamespace = Release, Namespace, true
	install.Wait, install.Timeout = true, timeout
	release, err := install.RunWithContext(ctx, chart, vals)
	if err != nil {
		return "", err
	}
	return release.Info.Notes, nil
}

// Uninstall removes what Install installed and waits until it is gone; nothing installed is no error.
func Uninstall(_ context.Context, c *lab.Cluster) error {
	h, err := helm(c)
	if err != nil {
		return err
	}
	uninstall := action.NewUninstall(h)
	uninstall.Wait, uninstall.Timeout, uninstall.DeletionPropagation = true, timeout, "foreground"
	if _, err := uninstall.Run(Release); err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return err
	}
	return nil
}
