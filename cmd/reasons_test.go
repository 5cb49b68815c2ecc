package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestReasonTables holds the tables of docs/services.md to the reasons that the code knows.
func TestReasonTables(t *testing.T) {
	page, err := os.ReadFile("../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## Why has my Service no address?")
	address, node, found := strings.Cut(rest, "## Why does no node answer for it?")
	if !found {
		t.Fatal("docs/services.md has lost one of its two headings")
	}
	node, _, _ = strings.Cut(node, "\n## ")
	// The controller's own reasons stand beside the allocator's.
	condition := append(constants(t, "../ipam", `^[A-Z]\w+$`), "Allocated", "ForeignStatus")
	slices.Sort(condition)
	if got := firstColumn(address); !slices.Equal(got, condition) {
		t.Errorf("the page explains the conditions\n%q\nand the code has\n%q", got, condition)
	}
	reasons := constants(t, "../announce", `^((No|Not|Node)[A-Z]\w+|BeyondMaxNodes|DataPathNotReady)$`)
	if got := firstColumn(node); !slices.Equal(got, reasons) {
		t.Errorf("the page explains the decisions\n%q\nand the code has\n%q", got, reasons)
	}
}

// firstColumn returns the code words in the first column of the tables in a text, in order.
func firstColumn(text string) []string {
	var words []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	slices.Sort(words)
	return words
}

// constants returns the values of a package's exported string constants that match, in order.
func constants(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !spec.Names[0].IsExported() {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if v, err := strconv.Unquote(lit.Value); err == nil && regexp.MustCompile(pattern).MatchString(v) {
					values = append(values, v)
				}
			}
			return true
		})
	}
	slices.Sort(values)
	return values
}
