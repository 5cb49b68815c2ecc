package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"helm.sh/helm/v3/pkg/chartutil"
)

// Repository is the name of the product's image without its tag, the one in the chart's default values.
const Repository = "docker.io/kontena/network-lb"

// user is what the image runs as unless the Pod says otherwise; the speaker's does.
const user = "65532:65532"

// versionVariable is what the programs say that they are.
const versionVariable = "github.com/kontena/network-lb/cmd/internal/process.Version"

// programs of the product; each is the package ./cmd/NAME and the file /NAME in the image.
var programs = []string{"controller", "netlb", "speaker"}

// chartFile tells the product's module from others, and its version.
const chartFile = "charts/kontena-network-lb/Chart.yaml"

// Root finds the product's module: the nearest folder above the current one (or that itself) with its chart.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the current folder: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, chartFile)); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the product's module: no folder above %s has %s", start, chartFile)
		}
	}
}

// Product builds the product's image from the module in root: the programs in its root folder and nothing
// else. The tag is the version that the binaries report; empty means the chart's appVersion, which is what
// the chart asks for by default. It returns the image's name.
func Product(ctx context.Context, root, tag, outTar string) (string, error) {
	if tag == "" {
		meta, err := chartutil.LoadChartfile(filepath.Join(root, chartFile))
		if err != nil {
			return "", fmt.Errorf("reading the chart's version: %w", err)
		}
		tag = meta.AppVersion
	}
	work, err := os.MkdirTemp("", "network-lb-image-")
	if err != nil {
		return "", fmt.Errorf("making a working folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()

	spec := Spec{Name: Repository + ":" + tag, Binaries: map[string]string{}, User: user}
	for _, program := range programs {
		binary := filepath.Join(work, program)
		if err := GoBinary(ctx, root, "./cmd/"+program, binary, "-X "+versionVariable+"="+tag); err != nil {
			return "", err
		}
		spec.Binaries["/"+program] = binary
	}
	return spec.Name, Build(ctx, spec, outTar)
}
