package cmd

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontena/network-lb/kube/controller"
	"github.com/kontena/network-lb/kube/speaker"
)

// TestMetricsPage holds docs/metrics.md to what the processes export: each metric with its labels and its help,
// and no other.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var exported, documented []string
	for _, d := range slices.Concat(controller.Descs, speaker.Descs) {
		exported = append(exported, row(t, d))
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `network_lb_.*$").FindAll(page, -1) {
		documented = append(documented, string(m))
	}
	slices.Sort(exported)
	slices.Sort(documented)
	if exported = slices.Compact(exported); !slices.Equal(exported, documented) {
		t.Errorf("docs/metrics.md has\n%q\nand the processes export\n%q", documented, exported)
	}
}

// descPattern reads what a Desc says of itself; it offers no other way.
var descPattern = regexp.MustCompile(`fqName: "([^"]*)", help: "([^"]*)".*variableLabels: \{([^}]*)\}`)

func row(t *testing.T, d *prometheus.Desc) string {
	t.Helper()
	m := descPattern.FindStringSubmatch(d.String())
	if m == nil {
		t.Fatalf("cannot read %s", d)
	}
	labels := regexp.MustCompile(`\w+`).ReplaceAllString(m[3], "`$0`")
	if labels != "" {
		labels = regexp.MustCompile(`,`).ReplaceAllString(labels, ", ") + " "
	}
	return fmt.Sprintf("| `%s` | %s| %s |", m[1], labels, m[2])
}
