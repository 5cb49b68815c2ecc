package gobgp_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kontena/network-lb/internal/routers"
)

var update = flag.Bool("update", false, "write the table of docs/interop.md anew")

// option is what a peer or a route can be told, and how it is shown that routers obey.
type option struct {
	name string
	seen string        // what was seen at the router, in words
	only routers.Maker // "" is both
	run  func(t *testing.T, m routers.Maker)
}

func (o option) with() []routers.Maker {
	if o.only != "" {
		return []routers.Maker{o.only}
	}
	return routers.Makers
}

// TestNetnsInterop runs every row of the table in docs/interop.md.
func TestNetnsInterop(t *testing.T) {
	for _, o := range options {
		for _, m := range o.with() {
			t.Run(strings.ReplaceAll(o.name, "`", "")+"/"+string(m), func(t *testing.T) {
				t.Parallel()
				o.run(t, m)
			})
		}
	}
}

// TestInteropPage holds docs/interop.md to the table of options: what it says was seen is what was tested.
func TestInteropPage(t *testing.T) {
	const page, begin, end = "../../docs/interop.md", "<!-- table -->\n", "<!-- end of table -->\n"
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	var b strings.Builder
	b.WriteString("| Option | Router | What was seen |\n|---|---|---|\n")
	for _, o := range options {
		for _, m := range o.with() {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", o.name, m, o.seen)
		}
	}
	want := head + begin + b.String() + end + tail
	switch {
	case want == string(old):
	case !*update:
		t.Errorf("%s does not show the options that are tested: go test ./bgp/gobgp -run InteropPage -update", page)
	default:
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
