package announce_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/kontena/network-lb/announce"
)

var update = flag.Bool("update", false, "write the plans of testdata anew")

const (
	viewMark = "-- view --\n"
	planMark = "-- plans --\n"
)

// TestPlans decides each view of testdata on each of its nodes. A file is a sentence, a view in the words of readView,
// and what came of it: for each address what each node says, and then what each node is to do. To add a case, write the
// first two parts into a new file, run go test ./announce -run Plans -update, and read what it has added.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no views in testdata", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sentence, rest, ok := strings.Cut(string(old), viewMark)
			text, _, _ := strings.Cut(rest, planMark)
			if !ok || strings.TrimSpace(sentence) == "" {
				t.Fatalf("want a sentence and then %q", viewMark)
			}
			views := readView(t, text)
			got := sentence + viewMark + text + planMark + plans(views)
			switch {
			case got == string(old):
			case *update:
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("got\n%s\nwant\n%s\ngo test ./announce -run Plans -update writes it anew", got, old)
			}
			for i := range views { // in another order the same comes of it
				v := &views[i]
				v.Nodes, v.Services, v.Peers, v.Members = reversed(v.Nodes), reversed(v.Services), reversed(v.Peers), reversed(v.Members)
			}
			if again := sentence + viewMark + text + planMark + plans(views); again != got {
				t.Errorf("in another order\n%s\nwant\n%s", again, got)
			}
		})
	}
}

func reversed[T any](all []T) []T {
	all = slices.Clone(all)
	slices.Reverse(all)
	return all
}

// plans are what the nodes say of each address, a column for each node, and what each is to do.
func plans(views []announce.View) string {
	verdicts := map[announce.Verdict][]string{} // what each node says, by its subject
	var subjects []announce.Verdict
	var deeds bytes.Buffer
	header := "\t\t"
	for i, v := range views {
		header += "\t" + v.Node
		p := announce.Decide(v)
		for _, said := range p.Verdicts {
			subject := announce.Verdict{Service: said.Service, Addr: said.Addr, Protocol: said.Protocol}
			if verdicts[subject] == nil {
				verdicts[subject] = make([]string, len(views))
				subjects = append(subjects, subject)
			}
			verdicts[subject][i] = verdict(v.Node, said)
		}
		for _, deed := range planned(p) {
			fmt.Fprintf(&deeds, "%s: %s\n", v.Node, deed)
		}
	}
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, header)
	for _, s := range subjects {
		protocol := string(s.Protocol)
		if protocol == "" {
			protocol = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Service, s.Addr, protocol, strings.Join(verdicts[s], "\t"))
	}
	table.Flush()
	return regexp.MustCompile(` +\n`).ReplaceAllString(out.String(), "\n") + deeds.String()
}

// verdict is what a node says of an address: yes, or the reason why not. Of layer 2 it also names the owner that it has
// found, where that is not what the first word says.
func verdict(node string, v announce.Verdict) string {
	word := string(v.Reason)
	if word == "" {
		word = "yes"
	}
	if v.Owner != "" && (v.Owner != node || v.Reason != "") {
		word += " (" + v.Owner + ")"
	}
	return word
}

// planned is what a plan has a node do, a line each.
func planned(p announce.Plan) (lines []string) {
	for _, peer := range p.Withheld {
		lines = append(lines, "no session with "+peer.Title()+": "+peer.Problem)
	}
	routes := p
	routes.Verdicts = nil
	if text := advertised(routes); text != "" {
		lines = append(lines, strings.Split(text, "\n")...)
	}
	for _, c := range p.Claims {
		line := "claim " + c.Addr.String()
		if c.AnswerPing {
			line += " answering pings"
		}
		lines = append(lines, line)
	}
	return lines
}

// Each reason that there is stands in some plan of testdata.
func TestEveryReasonIsShown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "plan.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	files, _ := filepath.Glob("testdata/*.txt")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, plan, _ := strings.Cut(string(text), planMark)
		all.WriteString(plan)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		constant, ok := n.(*ast.ValueSpec)
		if !ok || fmt.Sprint(constant.Type) != "Reason" {
			return true
		}
		for _, name := range constant.Names {
			if !regexp.MustCompile(`\b` + name.Name + `\b`).Match(all.Bytes()) {
				t.Errorf("no plan of testdata says %s: add a view in which a node does", name.Name)
			}
		}
		return false
	})
}
