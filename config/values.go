package config

import "fmt"

// ChartKeys are the keys of the chart's values that are the chart's own and no part of the document. What they may
// say is for the chart's values.schema.json to check.
var ChartKeys = []string{
	"common_annotations", "common_labels", "controller", "crds", "global", "guard", "image", "log_level", "pod_monitor",
	"service_monitor", "speaker",
}

// chartName is the chart's name. In the values of a chart that depends on it, its values stand below this key.
const chartName = "kontena-network-lb"

// ParseValues reads a file with the values of the chart as Parse reads the document, and passes over ChartKeys. It
// also takes values of a chart that depends on this one: then it reads what is below the key kontena-network-lb, with
// which the paths begin, and nothing else.
func ParseValues(values []byte) (Config, []Warning, error) {
	r := &reader{beside: ChartKeys}
	root, ok := r.document(values)
	if ok {
		root, ok = r.subchart(root)
	}
	return r.parsed(root, ok)
}

// subchart returns the values of this chart, if those given are of a chart that depends on it.
func (r *reader) subchart(root value) (value, bool) {
	var below *value
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == chartName {
			v := r.value(root.Content[i+1], chartName)
			below = &v
		}
	}
	if below == nil {
		return root, true
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		name := r.value(root.Content[i], root.Content[i].Value)
		if name.Value == "address_pools" || name.Value == "peers" {
			w := name.mistake(fmt.Sprintf("stands beside %s, and has no effect on it", chartName), "move it below "+chartName)
			w.Value = ""
			r.warnings = append(r.warnings, Warning(*w))
		}
	}
	return r.root(*below)
}
