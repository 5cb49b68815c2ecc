package addon

import (
	"fmt"
	"path/filepath"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli/values"
	"helm.sh/helm/v3/pkg/getter"
)

// Source is what Helm makes objects of.
type Source struct {
	Chart  string   // folder
	Values string   // file; empty: the chart's own
	Set    []string // key=value, over the file
}

// Chart is the folder of the product's chart in the module in root.
func Chart(root string) string { return filepath.Join(root, "charts", "kontena-network-lb") }

// load reads the chart, which has all that it depends on in its folder, and the values.
func (s Source) load() (*chart.Chart, map[string]any, error) {
	c, err := loader.Load(s.Chart)
	if err != nil {
		return nil, nil, fmt.Errorf("loading the chart: %w", err)
	}
	if err := action.CheckDependencies(c, c.Metadata.Dependencies); err != nil {
		return nil, nil, fmt.Errorf("loading the chart: %w", err)
	}
	options := values.Options{Values: s.Set}
	if s.Values != "" {
		options.ValueFiles = []string{s.Values}
	}
	merged, err := options.MergeValues(getter.Providers{})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the values: %w", err)
	}
	return c, merged, nil
}
