package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// headings are the parts of docs/configuration.md with a table of keys.
var headings = map[string]object{
	"## The document": theDocument, "### Membership": aMembership, "## Draining": aDrain, "## Tolerations": aToleration, "## Pools": aPool, "### Reservations": aReservation,
	"### Advertisements": anAdvert, "## Peers": aPeer, "### Graceful restart": aRestart, "## BFD": aBFDProfile, "### References to a Secret": aSecretKey, "## Selectors": aSelector, "### Expressions": anExpression,
}

// TestConfigurationPage holds docs/configuration.md to the keys that there are, in their order, and its documents to
// being valid.
func TestConfigurationPage(t *testing.T) {
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	documented := map[object][]string{}
	row := regexp.MustCompile("^\\| `([a-z0-9_]+)` \\|")
	heading := ""
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			heading = line
		}
		if m := row.FindStringSubmatch(line); m != nil {
			of, known := headings[heading]
			if !known {
				t.Errorf("%s has the key %s, and is none of the headings that have keys", heading, m[1])
			}
			documented[of] = append(documented[of], m[1])
		}
	}
	for of, want := range keys {
		if !slices.Equal(documented[of], want) {
			t.Errorf("of %s the page has\n%q\nand there are\n%q", of, documented[of], want)
		}
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(examples) == 0 {
		t.Error("the page has no example")
	}
	for _, example := range examples {
		if _, warnings, err := Parse([]byte(example[1])); err != nil || len(warnings) > 0 {
			t.Errorf("of an example the parser says %v %v:\n%s", err, warnings, example[1])
		}
	}
}
