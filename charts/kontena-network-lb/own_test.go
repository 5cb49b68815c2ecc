package chart_test

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// minimal are values with one of the chart's own sections set.
func minimal(t *testing.T, section string, value any) map[string]any {
	t.Helper()
	values := readValues(t, "testdata/good/minimal.yaml")
	values[section] = value
	return values
}

func speakerOf(t *testing.T, values map[string]any) corev1.Container {
	t.Helper()
	return find[*appsv1.DaemonSet](t, objects(t, mustRender(t, values)), release+"-speaker").Spec.Template.Spec.Containers[0]
}

func controllerOf(t *testing.T, values map[string]any) corev1.Container {
	t.Helper()
	return find[*appsv1.Deployment](t, objects(t, mustRender(t, values)), release+"-controller").Spec.Template.Spec.Containers[0]
}

// TestMetricsAddress: kubelet asks where the process listens.
func TestMetricsAddress(t *testing.T) {
	for address, want := range map[string]struct {
		port int32
		host string
	}{
		":17472":          {17472, ""},
		":1":              {1, ""},
		"0.0.0.0:65535":   {65535, ""},
		"[::]:9100":       {9100, ""},
		"127.0.0.1:17472": {17472, "127.0.0.1"},
		"[::1]:17472":     {17472, "::1"},
	} {
		c := speakerOf(t, minimal(t, "speaker", map[string]any{"metrics_address": address}))
		if got := option(c.Args, "listen"); got != address {
			t.Errorf("%s: it listens on %s", address, got)
		}
		if c.Ports[0].ContainerPort != want.port {
			t.Errorf("%s: its port is %d", address, c.Ports[0].ContainerPort)
		}
		for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
			if probe.HTTPGet.Host != want.host || probe.HTTPGet.Port.String() != c.Ports[0].Name {
				t.Errorf("%s: kubelet asks %v", address, probe.HTTPGet)
			}
		}
	}
}

func TestLogLevels(t *testing.T) {
	values := minimal(t, "speaker", map[string]any{"log_level": "debug"})
	values["log_level"] = "warn"
	if got := option(speakerOf(t, values).Args, "log-level"); got != "debug" {
		t.Errorf("the speaker's own is %s", got)
	}
	if got := option(controllerOf(t, values).Args, "log-level"); got != "warn" {
		t.Errorf("the common one is %s", got)
	}
}

func TestImage(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for want, image := range map[string]map[string]any{
		"docker.io/kontena/network-lb:0.1.0": {},
		"r/i:1":                              {"repository": "r/i", "tag": "1"},
		"r/i@" + digest:                      {"repository": "r/i", "tag": "1", "digest": digest},
	} {
		values := minimal(t, "image", image)
		if got := speakerOf(t, values).Image; got != want {
			t.Errorf("it is %s, want %s", got, want)
		}
		for name, pod := range (references{t: t, all: objects(t, mustRender(t, values))}).templates() {
			if got := pod.Spec.Containers[0].Image; got != want {
				t.Errorf("%s has %s, want %s", name, got, want)
			}
		}
	}
}

// TestBudgetAndKubernetes: the field that lets drains pass when no controller is ready is only for API servers that
// know it.
func TestBudgetAndKubernetes(t *testing.T) {
	for version, want := range map[string]bool{"1.25.16": false, "1.26.0": true, "1.36.3": true} {
		files, err := renderAs(loadChart(t), release, namespace, version, minimal(t, "image", map[string]any{}))
		if err != nil {
			t.Fatal(err)
		}
		budget := find[*policyv1.PodDisruptionBudget](t, objects(t, files), release+"-controller").Spec
		if got := budget.UnhealthyPodEvictionPolicy != nil; got != want || budget.MaxUnavailable.IntValue() != 1 {
			t.Errorf("%s: %+v", version, budget)
		}
	}
}

// TestServiceAccountsOfTheUser are bound and not created.
func TestServiceAccountsOfTheUser(t *testing.T) {
	values := readValues(t, "testdata/good/minimal.yaml")
	for _, component := range []string{"controller", "speaker"} {
		values[component] = map[string]any{"service_account": map[string]any{"create": false, "name": "network-lb"}}
	}
	for _, one := range objects(t, mustRender(t, values)) {
		if kind(one) == "ServiceAccount" && one.GetName() != release+"-guard" {
			t.Errorf("%s is created", one.GetName())
		}
	}
}

// TestOffMeansAbsent: what can be turned off is not rendered then.
func TestOffMeansAbsent(t *testing.T) {
	off := map[string]any{"enabled": false}
	values := minimal(t, "controller", map[string]any{"pod_disruption_budget": off, "network_policy": off})
	values["pod_monitor"], values["service_monitor"] = off, off
	for _, one := range objects(t, mustRender(t, values)) {
		if slices.Contains([]string{"PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "ServiceMonitor", "Service"}, kind(one)) {
			t.Errorf("%s %s is rendered", kind(one), one.GetName())
		}
	}
}

// TestEverythingIsEverything: the values of the golden file set each key that values.yaml has.
func TestEverythingIsEverything(t *testing.T) {
	compareKeys(t, "", loadChart(t).Values, readValues(t, "testdata/everything.yaml"))
}

func compareKeys(t *testing.T, path string, defaults, values map[string]any) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		value, there := values[key]
		if !there {
			t.Errorf("everything.yaml does not set %s%s", path, key)
			continue
		}
		if inner, ok := defaults[key].(map[string]any); ok && len(inner) > 0 && value != nil {
			compareKeys(t, path+key+".", inner, value.(map[string]any))
		}
	}
}
