package chart_test

import (
	"path"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/config"
)

// TestSchemaAndParserAgree gives the same documents to the chart and to the programs' own parser: what one
// accepts the other accepts, as the user wrote it and as the ConfigMap holds it.
func TestSchemaAndParserAgree(t *testing.T) {
	for _, file := range append(documents(t, "good"), "../../examples/bgp.yaml", "../../examples/layer2.yaml") {
		t.Run("good/"+path.Base(file), func(t *testing.T) {
			if _, _, err := config.Parse(readFile(t, file)); err != nil {
				t.Errorf("the chart accepts it, the parser says\n%v", err)
			}
			values := readValues(t, file)
			if values["enabled"] == false {
				return
			}
			rendered := find[*corev1.ConfigMap](t, objects(t, mustRender(t, values)), release+"-config")
			if _, _, err := config.Parse([]byte(rendered.Data["config.yaml"])); err != nil {
				t.Errorf("of the ConfigMap the parser says\n%v", err)
			}
		})
	}
	for _, file := range documents(t, "bad") {
		t.Run("bad/"+path.Base(file), func(t *testing.T) {
			if _, _, err := config.Parse(readFile(t, file)); err == nil {
				t.Error("the chart refuses it, the parser does not")
			}
		})
	}
}
