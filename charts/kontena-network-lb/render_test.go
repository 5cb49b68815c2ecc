package chart_test

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/kontena/network-lb/config"
)

// TestGolden shows everything that three sets of values render, the examples among them.
func TestGolden(t *testing.T) {
	for name, file := range map[string]string{
		"layer2":     "../../examples/layer2.yaml",
		"bgp":        "../../examples/bgp.yaml",
		"everything": "testdata/everything.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			files := mustRender(t, readValues(t, file))
			objects(t, files) // only for the errors of their reading
			var b strings.Builder
			for _, file := range slices.Sorted(maps.Keys(files)) {
				if text := strings.Trim(files[file], "\n"); text != "" {
					fmt.Fprintf(&b, "---\n# %s\n%s\n", path.Base(file), text)
				}
			}
			golden(t, "testdata/golden/"+name+".golden", b.String())
		})
	}
}

// TestExampleService: the manifest of the examples is one that Kubernetes takes.
func TestExampleService(t *testing.T) {
	all := objects(t, map[string]string{"service.yaml": string(readFile(t, "../../examples/service.yaml"))})
	service := find[*corev1.Service](t, all, "web")
	pods := find[*appsv1.Deployment](t, all, "web").Spec.Template
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || !reflect.DeepEqual(service.Spec.Selector, pods.Labels) {
		t.Errorf("Service %+v of pods %v", service.Spec, pods.Labels)
	}
}

func TestDisabledRendersNothing(t *testing.T) {
	for _, values := range []map[string]any{
		{"enabled": false},
		{"enabled": false, "address_pools": nil, "peers": nil, "bfd_profiles": nil, "bgp_communities": nil, "node_selector": nil, "tolerations": nil, "load_balancer_class": nil, "release": nil, "schema_version": nil, "global": map[string]any{}},
	} {
		files := mustRender(t, values)
		if got := objects(t, files); len(got) > 0 {
			t.Errorf("%d objects with %v", len(got), values)
		}
		if notes := files["kontena-network-lb/templates/NOTES.txt"]; !strings.Contains(notes, "nothing was installed") {
			t.Errorf("the notes say %q", notes)
		}
	}
}

// TestConfigMapHoldsTheDocument compares what the programs read with what the user wrote, with the types that
// the user wrote, and with nothing else.
func TestConfigMapHoldsTheDocument(t *testing.T) {
	defaults := map[string]any{
		"schema_version": 1.0, "enabled": true, "node_selector": map[string]any{}, "tolerations": []any{}, "peers": []any{}, "release": []any{},
		"bfd_profiles": []any{}, "bgp_communities": map[string]any{},
		"load_balancer_class": "", "failure_detection": "normal", "exclude_interfaces": []any{}, "gratuitous_rate": 50.0, "restart_grace": "30s",
		"membership": map[string]any{"enabled": true, "port": 17946.0},
		"drain":      map[string]any{"on_taints": []any{}, "period": "30s", "timeout": "5m", "max_draining": 1.0},
	}
	for _, file := range append(documents(t, "good"), "testdata/everything.yaml", "../../examples/bgp.yaml", "../../examples/layer2.yaml") {
		t.Run(path.Base(file), func(t *testing.T) {
			values := readValues(t, file)
			if values["enabled"] == false {
				t.Skip("renders nothing")
			}
			want := maps.Clone(defaults)
			maps.Copy(want, values)
			for _, own := range config.ChartKeys {
				delete(want, own)
			}
			movePasswords(want["peers"].([]any))
			rendered := find[*corev1.ConfigMap](t, objects(t, mustRender(t, values)), release+"-config")
			if keys := slices.Collect(maps.Keys(rendered.Data)); len(keys) != 1 || len(rendered.BinaryData) > 0 {
				t.Errorf("the ConfigMap has %v", keys)
			}
			got := map[string]any{}
			if err := yaml.UnmarshalStrict([]byte(rendered.Data["config.yaml"]), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("the programs read\n%v\nthe user wrote\n%v", got, want)
			}
		})
	}
}

// TestNullsLeaveDefaultsOut is Helm's own way to take a default away.
func TestNullsLeaveDefaultsOut(t *testing.T) {
	values := readValues(t, "testdata/good/minimal.yaml")
	for _, key := range []string{"schema_version", "node_selector", "tolerations", "load_balancer_class", "peers", "bfd_profiles", "bgp_communities", "release",
		"membership", "failure_detection", "exclude_interfaces", "gratuitous_rate", "drain", "restart_grace"} {
		values[key] = nil
	}
	config := find[*corev1.ConfigMap](t, objects(t, mustRender(t, values)), release+"-config")
	got := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(config.Data["config.yaml"]), &got); err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"address_pools", "enabled"}) {
		t.Errorf("the document has %v", keys)
	}
}

// TestSpeakersFindEachOther: the Pods that a speaker is told to look for are the speakers' own.
func TestSpeakersFindEachOther(t *testing.T) {
	all := objects(t, mustRender(t, readValues(t, "testdata/good/minimal.yaml")))
	speakers := find[*appsv1.DaemonSet](t, all, release+"-speaker").Spec.Template
	controllers := find[*appsv1.Deployment](t, all, release+"-controller").Spec.Template
	selector, err := labels.Parse(option(speakers.Spec.Containers[0].Args, "pods"))
	if err != nil {
		t.Fatal(err)
	}
	if selector.Empty() || !selector.Matches(labels.Set(speakers.Labels)) || selector.Matches(labels.Set(controllers.Labels)) {
		t.Errorf("--pods=%s with speakers %v, controllers %v", selector, speakers.Labels, controllers.Labels)
	}
}

// TestTolerations: the DaemonSet's are in Kubernetes' spelling, whatever the user's.
func TestTolerations(t *testing.T) {
	for _, spelling := range []string{"tolerationSeconds", "toleration_seconds", "toleration-seconds"} {
		values := readValues(t, "testdata/good/minimal.yaml")
		values["tolerations"] = []any{map[string]any{"key": "a", "effect": "NoExecute", spelling: 0}}
		speaker := find[*appsv1.DaemonSet](t, objects(t, mustRender(t, values)), release+"-speaker")
		none := int64(0)
		want := []corev1.Toleration{{Key: "a", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &none}}
		if got := speaker.Spec.Template.Spec.Tolerations; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", spelling, got)
		}
	}
}

func TestNamesAndNamespaces(t *testing.T) {
	want := []string{
		"ClusterRole NAME-controller", "ClusterRole NAME-guard", "ClusterRole NAME-speaker",
		"ClusterRoleBinding NAME-controller", "ClusterRoleBinding NAME-guard", "ClusterRoleBinding NAME-speaker",
		"ConfigMap NAME-config", "ConfigMap NAME-guard",
		"CustomResourceDefinition addresspools.network-lb.kontena.io", "CustomResourceDefinition speakers.network-lb.kontena.io",
		"DaemonSet NAME-speaker", "Deployment NAME-controller",
		"Job NAME-guard", "Lease NAME-controller", "Lease NAME-drain-0", "PodDisruptionBudget NAME-controller",
		"Role NAME-controller", "Role NAME-guard", "Role NAME-speaker",
		"RoleBinding NAME-controller", "RoleBinding NAME-guard", "RoleBinding NAME-speaker",
		"Secret NAME-last-good",
		"Secret NAME-membership",
		"ServiceAccount NAME-controller", "ServiceAccount NAME-guard", "ServiceAccount NAME-speaker",
	}
	for _, name := range []string{"lb", "kontena-network-lb", strings.Repeat("long-", 10) + "lb"} {
		for _, ns := range []string{"default", "kube-system"} {
			files, err := renderAs(loadChart(t), name, ns, "1.25.0", readValues(t, "testdata/good/addon.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range objects(t, files) {
				got = append(got, kind(one)+" "+strings.Replace(one.GetName(), name+"-", "NAME-", 1))
				wantNamespace := ns
				if strings.HasPrefix(kind(one), "Cluster") || kind(one) == "CustomResourceDefinition" {
					wantNamespace = ""
				}
				if one.GetNamespace() != wantNamespace {
					t.Errorf("%s %s is in namespace %q", kind(one), one.GetName(), one.GetNamespace())
				}
				for _, label := range []string{"name", "instance", "version", "component", "managed-by"} {
					if one.GetLabels()["app.kubernetes.io/"+label] == "" {
						t.Errorf("%s %s has no label %s", kind(one), one.GetName(), label)
					}
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("release %s in %s:\n%s", name, ns, strings.Join(got, "\n"))
			}
		}
	}
}

// TestRBAC lists every permission, one a line, so that a new one is seen.
func TestRBAC(t *testing.T) {
	var lines []string
	for _, one := range objects(t, mustRender(t, readValues(t, "testdata/good/passwords.yaml"))) {
		switch o := one.(type) {
		case *rbacv1.ClusterRole:
			lines = append(lines, rules(o.Name+" in every namespace: ", o.Rules)...)
		case *rbacv1.Role:
			lines = append(lines, rules(o.Name+" in its own: ", o.Rules)...)
		}
	}
	golden(t, "testdata/golden/rbac.golden", strings.Join(lines, "\n")+"\n")
}

func rules(who string, rules []rbacv1.PolicyRule) []string {
	var lines []string
	for _, r := range rules {
		for _, group := range r.APIGroups {
			if group != "" {
				group = "." + group
			}
			for _, resource := range r.Resources {
				line := who + strings.Join(r.Verbs, ", ") + " " + resource + group
				if len(r.ResourceNames) > 0 {
					line += " named " + strings.Join(r.ResourceNames, ", ")
				}
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// TestOnlyAggregatesNeedNetAdmin: the capability comes with the first aggregate, however it is spelt.
func TestOnlyAggregatesNeedNetAdmin(t *testing.T) {
	for _, c := range []struct {
		name string
		in   map[string]any // the pool's
		want []corev1.Capability
	}{
		{"no advertisement", nil, []corev1.Capability{"NET_RAW"}},
		{"host routes", map[string]any{"bgp_advertisements": []any{map[string]any{"med": 1}, map[string]any{"aggregation_length": 32, "aggregationLengthV6": 128}}},
			[]corev1.Capability{"NET_RAW"}},
		{"an aggregate", map[string]any{"bgp_advertisements": []any{map[string]any{"med": 1}, map[string]any{"aggregation_length": 24}}},
			[]corev1.Capability{"NET_ADMIN", "NET_RAW"}},
		{"an aggregate in kebab-case", map[string]any{"bgp-advertisements": []any{map[string]any{"aggregation-length": 24}}},
			[]corev1.Capability{"NET_ADMIN", "NET_RAW"}},
		{"two IPv6 aggregates in camelCase", map[string]any{"bgpAdvertisements": []any{map[string]any{"aggregationLengthV6": 64}, map[string]any{"aggregationLengthV6": 96}}},
			[]corev1.Capability{"NET_ADMIN", "NET_RAW"}},
	} {
		pool := map[string]any{"name": "a", "protocol": "bgp", "addresses": []any{"10.20.0.0/24", "fd00::/64"}}
		maps.Copy(pool, c.in)
		all := objects(t, mustRender(t, map[string]any{"address_pools": []any{pool},
			"peers": []any{map[string]any{"peer_address": "10.0.0.1", "peer_asn": 1, "my_asn": 1}}}))
		speaker := find[*appsv1.DaemonSet](t, all, release+"-speaker").Spec.Template.Spec.Containers[0]
		if got := speaker.SecurityContext.Capabilities; !slices.Equal(got.Add, c.want) || !slices.Equal(got.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
