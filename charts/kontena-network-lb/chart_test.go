// Package chart_test renders the chart with Helm's own engine and holds it to what it promises.
package chart_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files and the table of the README")

const (
	release   = "lb"
	namespace = "kube-lb"
)

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	chrt, err := loader.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	return chrt
}

// readValues reads a values file as `helm install -f` does.
func readValues(t *testing.T, file string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.Unmarshal(readFile(t, file), &values); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return values
}

// render gives the templates' output by file name, as `helm install` would send it.
func render(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	return renderAs(loadChart(t), release, namespace, "1.36.3", values)
}

func renderAs(chrt *chart.Chart, name, ns, kubernetes string, values map[string]any) (map[string]string, error) {
	if err := chartutil.ProcessDependencies(chrt, values); err != nil {
		return nil, err
	}
	options := chartutil.ReleaseOptions{Name: name, Namespace: ns, Revision: 1, IsInstall: true}
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := chartutil.ParseKubeVersion(kubernetes)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	top, err := chartutil.ToRenderValues(chrt, values, options, capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(chrt, top)
}

// kinds are those of Kubernetes that a chart may render.
func kinds(t *testing.T) *runtime.Scheme {
	t.Helper()
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(all); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func mustRender(t *testing.T, values map[string]any) map[string]string {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// object is a rendered one, of its Go type.
type object interface {
	runtime.Object
	v1.Object
}

// objects reads all that was rendered. A field that Kubernetes does not know is an error.
func objects(t *testing.T, files map[string]string) []object {
	t.Helper()
	decoder := serializer.NewCodecFactory(kinds(t), serializer.EnableStrict).UniversalDeserializer()
	var all []object
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if path.Base(file) == "NOTES.txt" {
			continue
		}
		for _, document := range strings.Split(files[file], "\n---\n") {
			if strings.TrimSpace(document) == "" {
				continue
			}
			got, _, err := decoder.Decode([]byte(document), nil, nil)
			if runtime.IsNotRegisteredError(err) && strings.Contains(document, "apiVersion: monitoring.coreos.com/v1\n") {
				monitor := &unstructured.Unstructured{}
				got, err = monitor, yaml.UnmarshalStrict([]byte(document), &monitor.Object)
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", file, err, document)
			}
			all = append(all, got.(object))
		}
	}
	return all
}

// find returns the one object of a type, by name.
func find[T object](t *testing.T, all []object, name string) T {
	t.Helper()
	for _, one := range all {
		if typed, ok := one.(T); ok && one.GetName() == name {
			return typed
		}
	}
	var none T
	t.Fatalf("no %T %s is rendered", none, name)
	return none
}

func kind(o object) string { return o.GetObjectKind().GroupVersionKind().Kind }

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// golden holds text to the file, or writes it there with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readFile(t, file); !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s differs (go test ./charts/... -update rewrites it): %s", file, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(wants), len(gots)) {
		var w, g string
		if i < len(wants) {
			w = wants[i]
		}
		if i < len(gots) {
			g = gots[i]
		}
		if w != g {
			return fmt.Sprintf("line %d is\n%s\nand was\n%s", i+1, g, w)
		}
	}
	return "only in line ends"
}

// documents lists the values files of a folder of testdata.
func documents(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents in testdata/%s: %v", folder, err)
	}
	return files
}
