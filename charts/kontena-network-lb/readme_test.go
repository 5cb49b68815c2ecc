package chart_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	tableBegins = "<!-- values: go test ./charts/... -update -->\n"
	tableEnds   = "<!-- end -->\n"
)

// TestReadmeTable: the table of values is what the schema describes and values.yaml defaults to.
func TestReadmeTable(t *testing.T) {
	readme := string(readFile(t, "README.md"))
	before, rest, ok := strings.Cut(readme, tableBegins)
	got, after, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		t.Fatal("README.md has no place for the table")
	}
	want := "\n" + valuesTable(t) + "\n"
	if *update {
		got = want
		if err := os.WriteFile("README.md", []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got != want {
		t.Errorf("the table of README.md (go test ./charts/... -update rewrites it): %s", firstDifference(got, want))
	}
}

func valuesTable(t *testing.T) string {
	t.Helper()
	// JSON is YAML, and YAML nodes keep the order of the file.
	var document yaml.Node
	if err := yaml.Unmarshal(readFile(t, "values.schema.json"), &document); err != nil {
		t.Fatal(err)
	}
	w := schemaWalk{t: t, root: document.Content[0]}
	w.properties(w.root, "", loadChart(t).Values)
	return "| key | default | meaning |\n|---|---|---|\n" + strings.Join(w.rows, "\n") + "\n"
}

// schemaWalk collects a row for every key with a description, in the order of the schema.
type schemaWalk struct {
	t    *testing.T
	root *yaml.Node
	rows []string
}

// properties walks the keys of one object. Defaults are those of values.yaml, within lists the schema's.
func (w *schemaWalk) properties(schema *yaml.Node, path string, defaults map[string]any) {
	all := field(schema, "properties")
	if all == nil {
		return
	}
	for i := 0; i < len(all.Content); i += 2 {
		name, property := all.Content[i].Value, all.Content[i+1]
		key := path + name
		value, known := defaults[name]
		if !known && defaults != nil && name != "global" {
			w.t.Errorf("%s has no default in values.yaml", key)
		}
		if description := field(property, "description"); description != nil {
			w.row(key, w.defaultOf(property, value, known), description.Value)
		}
		target := w.resolve(property)
		if inner, isMap := value.(map[string]any); isMap && field(property, "description") == nil {
			w.properties(target, key+".", inner)
		}
		if items := field(target, "items"); items != nil {
			w.properties(w.resolve(items), key+"[].", nil)
		}
	}
	for name := range defaults {
		if !slices.ContainsFunc(all.Content, func(n *yaml.Node) bool { return n.Value == name }) {
			w.t.Errorf("%s%s of values.yaml is not in the schema", path, name)
		}
	}
}

func (w *schemaWalk) row(key, value, description string) {
	w.rows = append(w.rows, fmt.Sprintf("| `%s` | %s | %s |", key, value, description))
}

func (w *schemaWalk) defaultOf(property *yaml.Node, value any, known bool) string {
	if !known {
		node := field(property, "default")
		if node == nil {
			return ""
		}
		if err := node.Decode(&value); err != nil {
			w.t.Error(err)
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		w.t.Error(err)
	}
	return "`" + string(text) + "`"
}

// resolve follows a reference within the schema.
func (w *schemaWalk) resolve(schema *yaml.Node) *yaml.Node {
	ref := field(schema, "$ref")
	if ref == nil {
		return schema
	}
	target := w.root
	for _, part := range strings.Split(strings.TrimPrefix(ref.Value, "#/"), "/") {
		if target = field(target, part); target == nil {
			w.t.Fatalf("the schema has no %s", ref.Value)
		}
	}
	return w.resolve(target)
}

// field is the value of a key, nil if there is none.
func field(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}
