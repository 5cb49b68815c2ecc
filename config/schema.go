package config

import (
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"
)

// SchemaVersion is the newest schema_version of which every key is known here. In a document with a greater one,
// unknown keys are warnings, so that an older version of the product keeps running with it after a rollback.
const SchemaVersion = 1

const schemaRemedy = "write the version of the keys in use, 1 at least, or leave it out"

// schemaVersion reads schema_version, before all other keys, since it says what unknown ones are.
func (r *reader) schemaVersion(root value) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if name := root.Content[i]; name.Kind != yaml.ScalarNode || name.Value != "schema_version" {
			continue
		}
		v := r.value(root.Content[i+1], join(root.path, "schema_version"))
		if isNull(v) {
			return
		}
		if n, ok := r.number(v, 1, math.MaxInt32, schemaRemedy); ok && n > SchemaVersion {
			r.newer = n
		}
		return
	}
}

// warnUnknown notes a key that a newer version may know.
func (r *reader) warnUnknown(at value, of object, text string) {
	remedy := fmt.Sprintf("run a version that knows schema_version %d", r.newer)
	if key := nearest(text, keys[of]); key != "" {
		remedy += fmt.Sprintf(", unless you meant %s", key)
	}
	w := at.mistake(fmt.Sprintf("is not a key of %s here, and has no effect", of), remedy)
	w.Value = ""
	r.warnings = append(r.warnings, Warning(*w))
}
