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

// written are the reports: the resource and what its writer sends, and what is shown of it.
var written = []struct {
	resource schema.GroupVersionResource
	object   interface {
		Unstructured() (*unstructured.Unstructured, error)
	}
	status  reflect.Type
	columns string
}{
	{reports.AddressPools, reports.AddressPool{}, reflect.TypeFor[reports.AddressPoolStatus](),
		"PROTOCOL, IPV4 USED, IPV4 FREE, IPV6 USED, IPV6 FREE, PENDING, AGE; wide: GENERATION, IPV4 SIZE, IPV6 SIZE"},
	{reports.Speakers, reports.Speaker{}, reflect.TypeFor[reports.SpeakerStatus](),
		"SESSIONS, ROUTES, OWNED, NOT ANNOUNCED, DRAIN, GENERATION, AGE; wide: PROBLEM, WRITTEN"},
}

func crdOf(t *testing.T, resource schema.GroupVersionResource) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	all := objects(t, mustRender(t, readValues(t, "testdata/good/minimal.yaml")))
	return find[*apiextensionsv1.CustomResourceDefinition](t, all, resource.GroupResource().String())
}

// TestCRDNames: what is installed are the resources that the processes write, and Helm leaves them where they are.
func TestCRDNames(t *testing.T) {
	for _, w := range written {
		compareNames(t, crdOf(t, w.resource), w.resource, w.object.Unstructured)
	}
}

func compareNames(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition, want schema.GroupVersionResource, object func() (*unstructured.Unstructured, error)) {
	t.Helper()
	version := crd.Spec.Versions[0]
	got := schema.GroupVersionResource{Group: crd.Spec.Group, Version: version.Name, Resource: crd.Spec.Names.Plural}
	if got != want || crd.Name != got.Resource+"."+got.Group || len(crd.Spec.Versions) != 1 {
		t.Errorf("%s is %v, and %v is written", crd.Name, got, want)
	}
	u, err := object()
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
	for _, w := range written {
		whole := crdOf(t, w.resource).Spec.Versions[0].Schema.OpenAPIV3Schema
		if keys := slices.Sorted(maps.Keys(whole.Properties)); !slices.Equal(keys, []string{"apiVersion", "kind", "metadata", "status"}) {
			t.Errorf("it has %v", keys)
		}
		compareSchema(t, "status", whole.Properties["status"], w.status)
	}
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
	for _, field := range reflect.VisibleFields(of) {
		if field.Anonymous {
			continue // its fields are among them
		}
		name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
		if option != "omitempty" {
			required = append(required, name)
		}
		compareSchema(t, path+"."+name, schema.Properties[name], field.Type)
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
	case reflect.Bool:
		return "boolean", ""
	case reflect.Int64:
		return "integer", "int64"
	case reflect.Int:
		return "integer", ""
	}
	return of.Kind().String(), ""
}

// TestCRDColumns: what `kubectl get` shows is there, and is of the type that the column says.
func TestCRDColumns(t *testing.T) {
	for _, w := range written {
		compareColumns(t, crdOf(t, w.resource).Spec.Versions[0], w.columns)
	}
}

func compareColumns(t *testing.T, version apiextensionsv1.CustomResourceDefinitionVersion, want string) {
	t.Helper()
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
		if at.Type != column.Type && (column.Type != "date" || at.Format != "date-time") {
			t.Errorf("%s is a %s, and %s is %q", column.Name, column.Type, column.JSONPath, at.Type)
		}
	}
	got := strings.Join(narrow, ", ") + "; wide: " + strings.Join(wide, ", ")
	if got != want {
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
	for name, test := range map[string]foreignTest{
		"none is there":      {absent: true},
		"ours":               {labels: helm, annotations: mine},
		"another name":       {helm, with("meta.helm.sh/release-name", "old"), false, "the release old in namespace " + namespace},
		"another namespace":  {helm, with("meta.helm.sh/release-namespace", "x"), false, "the release lb in namespace x"},
		"applied by hand":    {nil, nil, false, "no release of Helm"},
		"without Helm's own": {nil, mine, false, "no release of Helm"},
	} {
		for _, w := range written {
			t.Run(name+", "+w.resource.Resource, func(t *testing.T) { foreignCRD(t, w.resource.GroupResource().String(), test) })
		}
	}
}

// foreignTest is a CustomResourceDefinition in the cluster.
type foreignTest struct {
	labels, annotations map[string]string
	absent              bool
	owner               string // in the notes; empty: the chart has it
}

func foreignCRD(t *testing.T, name string, test foreignTest) {
	t.Helper()
	client := fake.NewSimpleDynamicClient(runtime.NewScheme())
	if !test.absent {
		there := &unstructured.Unstructured{}
		there.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		there.SetName(name)
		there.SetLabels(test.labels)
		there.SetAnnotations(test.annotations)
		client = fake.NewSimpleDynamicClient(runtime.NewScheme(), there)
	}
	files := renderIn(t, cluster{client: client}, readValues(t, "testdata/good/minimal.yaml"))
	rendered := slices.ContainsFunc(objects(t, files), func(o object) bool { return o.GetName() == name })
	if want := test.owner == ""; rendered != want {
		t.Errorf("it is rendered: %v", rendered)
	}
	notes := files["kontena-network-lb/templates/NOTES.txt"]
	if said := strings.Contains(notes, "meta.helm.sh/release-name="+release); said == rendered || !strings.Contains(notes, test.owner) {
		t.Errorf("the notes are\n%s", notes)
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
