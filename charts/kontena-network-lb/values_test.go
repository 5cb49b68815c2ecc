package chart_test

import (
	"bufio"
	"bytes"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func TestGoodValues(t *testing.T) {
	for _, file := range documents(t, "good") {
		t.Run(path.Base(file), func(t *testing.T) {
			objects(t, mustRender(t, readValues(t, file)))
		})
	}
}

// TestBadValues holds each document of testdata/bad to the refusal that its first line quotes.
func TestBadValues(t *testing.T) {
	for _, file := range append(documents(t, "bad"), documents(t, "bad-chart")...) {
		t.Run(path.Base(file), func(t *testing.T) {
			first, _, _ := bufio.NewReader(bytes.NewReader(readFile(t, file))).ReadLine()
			want, ok := strings.CutPrefix(string(first), "# want: ")
			if !ok {
				t.Fatal("the first line is not `# want: ...`")
			}
			_, err := render(t, readValues(t, file))
			if err == nil {
				t.Fatalf("accepted, want %q", want)
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("refused with\n%v\nwant in it\n%s", err, want)
			}
		})
	}
}

// TestRefusals shows in full what a person reads after the mistakes that are made most.
func TestRefusals(t *testing.T) {
	var b strings.Builder
	for _, name := range []string{"protocol-ospf", "pools-none", "peer-address-empty", "bgp-without-peers", "key-misspelt", "key-misspelt-in-pool", "password-twice", "password-without-blank"} {
		_, err := render(t, readValues(t, "testdata/bad/"+name+".yaml"))
		if err == nil {
			t.Fatalf("%s is accepted", name)
		}
		b.WriteString("== " + name + "\n" + strings.TrimSpace(err.Error()) + "\n")
	}
	golden(t, "testdata/golden/refusals.golden", b.String())
}

// TestAllMistakesAtOnce: neither the schema nor the templates stop at the first.
func TestAllMistakesAtOnce(t *testing.T) {
	pool := map[string]any{"name": "a", "protocol": "bgp", "addresses": []any{"10.20.0.0/24"}}
	_, err := render(t, map[string]any{"address_pools": []any{pool, pool}})
	for _, want := range []string{"address_pools[0].protocol", "address_pools[1].name", "address_pools[1].protocol"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
}

// TestLint is `helm lint --strict`: no warning either.
func TestLint(t *testing.T) {
	newest, err := chartutil.ParseKubeVersion("1.36.3")
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]map[string]any{
		"default": {},
		"layer2":  readValues(t, "../../examples/layer2.yaml"),
		"bgp":     readValues(t, "../../examples/bgp.yaml"),
		"all":     readValues(t, "testdata/everything.yaml"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, message := range lint.AllWithKubeVersion(".", values, namespace, newest).Messages {
				if message.Severity >= support.WarningSev {
					t.Error(message)
				}
			}
		})
	}
}

// TestSubchart installs the chart as a part of another, under its own name, on and off by its `enabled`.
func TestSubchart(t *testing.T) {
	for _, test := range []struct {
		name    string
		values  map[string]any
		objects int
	}{
		{"on", readValues(t, "testdata/good/minimal.yaml"), 27},
		{"off", map[string]any{"enabled": false}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			parent := &chart.Chart{
				Metadata: &chart.Metadata{
					APIVersion: chart.APIVersionV2, Name: "pharos", Version: "1.0.0",
					Dependencies: []*chart.Dependency{{
						Name: "kontena-network-lb", Version: ">=0.0.0-0", Condition: "kontena-network-lb.enabled",
					}},
				},
			}
			parent.SetDependencies(loadChart(t))
			files, err := renderAs(parent, release, namespace, "1.36.3", map[string]any{
				"global": map[string]any{"registry": "x"}, "kontena-network-lb": test.values,
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(objects(t, files)); got != test.objects {
				t.Errorf("%d objects, want %d", got, test.objects)
			}
		})
	}
}

// TestPackage: what `helm package` ships is the chart, not its tests.
func TestPackage(t *testing.T) {
	chrt := loadChart(t)
	if err := chrt.Validate(); err != nil {
		t.Error(err)
	}
	other := make([]string, 0, len(chrt.Files))
	for _, file := range chrt.Files {
		other = append(other, file.Name)
	}
	slices.Sort(other)
	if !slices.Equal(other, []string{".helmignore", "README.md"}) {
		t.Errorf("beside templates and values it holds %v", other)
	}
	if err := chartutil.ValidateAgainstSingleSchema(chrt.Values, chrt.Schema); err != nil {
		t.Errorf("its own default values: %v", err)
	}
}
