package chart_test

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	helmrelease "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// hooks are what Helm runs before it changes anything, in its order, and the rest is what it then changes.
func hooks(t *testing.T, values map[string]any) (before []*helmrelease.Hook, rest []releaseutil.Manifest) {
	t.Helper()
	files := mustRender(t, values)
	delete(files, "kontena-network-lb/templates/NOTES.txt")
	before, rest, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(before, func(a, b *helmrelease.Hook) int { return a.Weight - b.Weight })
	return before, rest
}

func withGuard(t *testing.T, guard any) map[string]any {
	t.Helper()
	values := readValues(t, "testdata/good/passwords.yaml")
	values["guard"] = guard
	return values
}

// TestGuardRunsFirst holds the guard to what Helm makes of its annotations: everything that the Job needs is there before
// it, at every way to change the document, and gone after it.
func TestGuardRunsFirst(t *testing.T) {
	before, rest := hooks(t, withGuard(t, "enforce"))
	events := []helmrelease.HookEvent{helmrelease.HookPreInstall, helmrelease.HookPreUpgrade, helmrelease.HookPreRollback}
	policies := []helmrelease.HookDeletePolicy{helmrelease.HookBeforeHookCreation, helmrelease.HookSucceeded}
	var kinds []string
	for _, hook := range before {
		kinds = append(kinds, hook.Kind)
		if hook.Name != "lb-guard" || !slices.Equal(hook.Events, events) || !slices.Equal(hook.DeletePolicies, policies) {
			t.Errorf("%s %s at %v, deleted at %v", hook.Kind, hook.Name, hook.Events, hook.DeletePolicies)
		}
	}
	last := before[len(before)-1]
	if last.Kind != "Job" || last.Weight <= before[len(before)-2].Weight || len(before) != 7 {
		t.Errorf("in order: %v", kinds)
	}
	for _, manifest := range rest {
		if strings.Contains(manifest.Content, "guard") {
			t.Errorf("a part of the guard is no hook:\n%s", manifest.Content)
		}
	}
}

// TestGuardModes: a bad document stops Helm, or its mistakes are shown all the same, or nobody looks.
func TestGuardModes(t *testing.T) {
	failed, succeeded := helmrelease.HookOutputOnFailed, helmrelease.HookOutputOnSucceeded
	for _, test := range []struct {
		guard    any
		warnOnly bool
		shown    []helmrelease.HookOutputLogPolicy
	}{
		{"enforce", false, []helmrelease.HookOutputLogPolicy{failed}},
		{"warn", true, []helmrelease.HookOutputLogPolicy{failed, succeeded}},
	} {
		values := withGuard(t, test.guard)
		before, _ := hooks(t, values)
		if got := before[len(before)-1].OutputLogPolicies; !slices.Equal(got, test.shown) {
			t.Errorf("%v: Helm shows its words when %v", test.guard, got)
		}
		job := find[*batchv1.Job](t, objects(t, mustRender(t, values)), "lb-guard")
		if got := slices.Contains(job.Spec.Template.Spec.Containers[0].Args, "--warn-only"); got != test.warnOnly {
			t.Errorf("%v: --warn-only is %v", test.guard, got)
		}
	}
	for _, off := range []any{"off", false} { // YAML 1.1, which Helm reads, takes off for false
		if before, _ := hooks(t, withGuard(t, off)); len(before) > 0 {
			t.Errorf("%v: %d hooks", off, len(before))
		}
	}
}

// TestGuardReadsTheNewDocument, which is that of the ConfigMap that is to come.
func TestGuardReadsTheNewDocument(t *testing.T) {
	all := objects(t, mustRender(t, withGuard(t, "enforce")))
	want := find[*corev1.ConfigMap](t, all, "lb-config").Data["config.yaml"]
	pod := find[*batchv1.Job](t, all, "lb-guard").Spec.Template.Spec
	got := find[*corev1.ConfigMap](t, all, pod.Volumes[0].ConfigMap.Name).Data["config.yaml"]
	if strings.TrimSpace(got) != strings.TrimSpace(want) || want == "" {
		t.Errorf("it reads\n%s\nthe programs will\n%s", got, want)
	}
	file := pod.Containers[0].VolumeMounts[0].MountPath + "/config.yaml"
	if args := pod.Containers[0].Args; !slices.Equal(args[:3], []string{"validate", "-f", file}) {
		t.Errorf("it is told to %v, the document is in %s", args, file)
	}
}

// TestGuardEnds soon, whatever happens, and runs where any Pod can.
func TestGuardEnds(t *testing.T) {
	spec := find[*batchv1.Job](t, objects(t, mustRender(t, withGuard(t, "enforce"))), "lb-guard").Spec
	if *spec.BackoffLimit != 0 || *spec.ActiveDeadlineSeconds != 60 || *spec.TTLSecondsAfterFinished < 600 {
		t.Errorf("backoff limit %d, deadline %d s, kept for %d s", *spec.BackoffLimit, *spec.ActiveDeadlineSeconds, *spec.TTLSecondsAfterFinished)
	}
	pod := spec.Template.Spec
	if pod.RestartPolicy != corev1.RestartPolicyNever || pod.HostNetwork || *pod.SecurityContext.RunAsUser != 65532 {
		t.Errorf("%+v", pod)
	}
	if every := (corev1.Toleration{Operator: corev1.TolerationOpExists}); !slices.Equal(pod.Tolerations, []corev1.Toleration{every}) {
		t.Errorf("it tolerates %v", pod.Tolerations)
	}
}
