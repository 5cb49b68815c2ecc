package chart_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/kube"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"

	"github.com/kontena/network-lb/kube/reports"
)

const crdName = "addresspools.network-lb.kontena.io"

func poolsCRD(t *testing.T) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	all := objects(t, mustRender(t, readValues(t, "testdata/good/minimal.yaml")))
	return find[*apiextensionsv1.CustomResourceDefinition](t, all, crdName)
}

// TestCRDNames: what is installed is the resource that the controller writes, and Helm leaves it where it is.
func TestCRDNames(t *testing.T) {
	crd := poolsCRD(t)
	version := crd.Spec.Versions[0]
	got := schema.GroupVersionResource{Group: crd.Spec.Group, Version: version.Name, Resource: crd.Spec.Names.Plural}
	if got != reports.AddressPools || crd.Name != got.Resource+"."+got.Group || len(crd.Spec.Versions) != 1 {
		t.Errorf("%s is %v, the controller writes %v", crd.Name, got, reports.AddressPools)
	}
	u, err := reports.AddressPool{}.Unstructured()
	if err != nil {
		t.Fatal(err)
	}
	if names := crd.Spec.Names; u.GetKind() != names.Kind || names.ListKind != names.Kind+"List" || names.Singular != strings.ToLower(names.Kind) {
		t.Errorf("it writes a %s and the names are %+v", u.GetKind(), names)
	}
	// With a subresource, what the controller writes of the status would be dropped.
	if !version.Served || !version.Storage || crd.Spec.Scope != apiextensionsv1.ClusterScoped || version.Subresources != nil {
		t.Errorf("%+v", version)
	}
	if got := crd.Annotations[kube.ResourcePolicyAnno]; got != kube.KeepPolicy {
		t.Errorf("the policy for Helm is %q", got)
	}
}

// TestCRDSchema: a report has the fields of the Go types, with their JSON's types, and no other.
func TestCRDSchema(t *testing.T) {
	whole := poolsCRD(t).Spec.Versions[0].Schema.OpenAPIV3Schema
	if keys := slices.Sorted(maps.Keys(whole.Properties)); !slices.Equal(keys, []string{"apiVersion", "kind", "metadata", "status"}) {
		t.Errorf("it has %v", keys)
	}
	compareSchema(t, "status", whole.Properties["status"], reflect.TypeFor[reports.AddressPoolStatus]())
}

func compareSchema(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps, of reflect.Type) {
	t.Helper()
	kind, format := jsonType(of)
	if schema.Type != kind || schema.Format != format || schema.Description == "" {
		t.Errorf("%s is %s %q (%s), want %s %q", path, schema.Type, schema.Format, schema.Description, kind, format)
	}
	switch {
	case kind == "array" && schema.Items != nil && schema.Items.Schema != nil:
		compareSchema(t, path+"[]", *schema.Items.Schema, of.Elem())
	case kind == "array":
		t.Errorf("%s has no items", path)
	case kind == "object":
		compareFields(t, path, schema, of)
	}
}

func compareFields(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps, of reflect.Type) {
	t.Helper()
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	var names, required []string
	for i := range of.NumField() {
		name, option, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
		if option != "omitempty" {
			required = append(required, name)
		}
		compareSchema(t, path+"."+name, schema.Properties[name], of.Field(i).Type)
	}
	if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
		t.Errorf("%s has %v, the Go type %v", path, got, names)
	}
	if !slices.Equal(slices.Sorted(slices.Values(schema.Required)), slices.Sorted(slices.Values(required))) {
		t.Errorf("%s must have %v, the Go type always has %v", path, schema.Required, required)
	}
}

// jsonType is what a Go type becomes in JSON, as OpenAPI names it.
func jsonType(of reflect.Type) (kind, format string) {
	if of == reflect.TypeFor[v1.MicroTime]() {
		return "string", "date-time"
	}
	switch of.Kind() {
	case reflect.Pointer:
		return jsonType(of.Elem())
	case reflect.Struct:
		return "object", ""
	case reflect.Slice:
		return "array", ""
	case reflect.String:
		return "string", ""
	case reflect.Int64:
		return "integer", "int64"
	case reflect.Int:
		return "integer", ""
	}
	return of.Kind().String(), ""
}

// TestCRDColumns: what `kubectl get addresspools` shows is there, and is of the type that the column says.
func TestCRDColumns(t *testing.T) {
	version := poolsCRD(t).Spec.Versions[0]
	var narrow, wide []string
	for _, column := range version.AdditionalPrinterColumns {
		if column.Priority == 0 {
			narrow = append(narrow, strings.ToUpper(column.Name))
		} else {
			wide = append(wide, strings.ToUpper(column.Name))
		}
		if column.JSONPath == ".metadata.creationTimestamp" {
			continue
		}
		at := *version.Schema.OpenAPIV3Schema
		for _, key := range strings.Split(column.JSONPath, ".")[1:] {
			at = at.Properties[key]
		}
		if at.Type != column.Type {
			t.Errorf("%s is a %s, and %s is %q", column.Name, column.Type, column.JSONPath, at.Type)
		}
	}
	got := strings.Join(narrow, ", ") + "; wide: " + strings.Join(wide, ", ")
	if got != "PROTOCOL, IPV4 USED, IPV4 FREE, IPV6 USED, IPV6 FREE, PENDING, AGE; wide: GENERATION, IPV4 SIZE, IPV6 SIZE" {
		t.Errorf("the columns are %s", got)
	}
}

// cluster is what Helm finds when a template asks.
type cluster struct {
	client dynamic.Interface
	err    error
}

var _ engine.ClientProvider = cluster{}

func (c cluster) GetClientFor(string, string) (dynamic.NamespaceableResourceInterface, bool, error) {
	if c.err != nil {
		return nil, false, c.err
	}
	return c.client.Resource(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")), false, nil
}

func renderIn(t *testing.T, c cluster, values map[string]any) map[string]string {
	t.Helper()
	chrt := loadChart(t)
	top, err := chartutil.ToRenderValues(chrt, values, chartutil.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.RenderWithClientProvider(chrt, top, c)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestCRDOfAnotherRelease: Helm stops where an object that is there is not marked as this release's. Exactly then the
// chart leaves it out, and says so.
func TestCRDOfAnotherRelease(t *testing.T) {
	mine := map[string]string{"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
	helm := map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	with := func(key, value string) map[string]string {
		changed := maps.Clone(mine)
		changed[key] = value
		return changed
	}
	for name, test := range map[string]struct {
		labels, annotations map[string]string
		absent              bool
		owner               string // in the notes; empty: the chart has it
	}{
		"none is there":      {absent: true},
		"ours":               {labels: helm, annotations: mine},
		"another name":       {helm, with("meta.helm.sh/release-name", "old"), false, "the release old in namespace " + namespace},
		"another namespace":  {helm, with("meta.helm.sh/release-namespace", "x"), false, "the release lb in namespace x"},
		"applied by hand":    {nil, nil, false, "no release of Helm"},
		"without Helm's own": {nil, mine, false, "no release of Helm"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewSimpleDynamicClient(runtime.NewScheme())
			if !test.absent {
				there := &unstructured.Unstructured{}
				there.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
				there.SetName(crdName)
				there.SetLabels(test.labels)
				there.SetAnnotations(test.annotations)
				client = fake.NewSimpleDynamicClient(runtime.NewScheme(), there)
			}
			files := renderIn(t, cluster{client: client}, readValues(t, "testdata/good/minimal.yaml"))
			rendered := slices.ContainsFunc(objects(t, files), func(o object) bool { return o.GetName() == crdName })
			if want := test.owner == ""; rendered != want {
				t.Errorf("it is rendered: %v", rendered)
			}
			notes := files["kontena-network-lb/templates/NOTES.txt"]
			if said := strings.Contains(notes, "meta.helm.sh/release-name="+release); said == rendered || !strings.Contains(notes, test.owner) {
				t.Errorf("the notes are\n%s", notes)
			}
		})
	}
}

// TestCRDNotInstalled: then Helm need not be allowed to ask for it.
func TestCRDNotInstalled(t *testing.T) {
	values := minimal(t, "crds", map[string]any{"install": false})
	for _, one := range objects(t, renderIn(t, cluster{err: errors.New("forbidden")}, values)) {
		if kind(one) == "CustomResourceDefinition" {
			t.Errorf("%s is rendered", one.GetName())
		}
	}
}
