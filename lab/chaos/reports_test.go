package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/kontena/network-lb/lab/addon"
)

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	reports     = schema.GroupVersionResource{Group: "network-lb.kontena.io", Version: "v1alpha1", Resource: "addresspools"}
)

// defineReports puts the chart's CustomResourceDefinition into the cluster if there is none, as a part of the release
// that others may install there. It stays, as it does with the chart.
func (w *world) defineReports() {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.dynamic.Resource(definitions).Get(ctx, reports.GroupResource().String(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = w.dynamic.Resource(definitions).Create(ctx, w.definition(), metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		w.t.Fatal(err)
	}
	w.until("the API server knows AddressPools", func() bool {
		_, err := w.dynamic.Resource(reports).List(ctx, metav1.ListOptions{})
		return err == nil
	})
}

// definition is the CustomResourceDefinition that the chart renders, with what Helm writes on its objects.
func (w *world) definition() *unstructured.Unstructured {
	w.t.Helper()
	values := filepath.Join(w.t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte("address_pools: [{name: any, protocol: layer2, addresses: [10.77.0.0]}]\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	manifests, err := addon.Template(w.t.Context(), w.lab, addon.Source{Chart: addon.Chart("../.."), Values: values})
	if err != nil {
		w.t.Fatal(err)
	}
	for text := range strings.SplitSeq(manifests, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			w.t.Fatal(err)
		}
		if u.GetKind() == "CustomResourceDefinition" {
			notes := u.GetAnnotations()
			notes["meta.helm.sh/release-name"], notes["meta.helm.sh/release-namespace"] = addon.Release, addon.Namespace
			u.SetAnnotations(notes)
			return u
		}
	}
	w.t.Fatal("the chart renders no CustomResourceDefinition")
	return nil
}

// own makes the ClusterRole that this world's AddressPools belong to: so they go with it, and nobody else's do.
func (w *world) own() {
	w.t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	if _, err := w.client.RbacV1().ClusterRoles().Create(w.t.Context(), role, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// disown has the AddressPools deleted.
func (w *world) disown() {
	if err := w.client.RbacV1().ClusterRoles().Delete(context.Background(), w.name, metav1.DeleteOptions{}); err != nil {
		w.t.Errorf("deleting ClusterRole %s: %v", w.name, err)
	}
}

// report is what the AddressPool of the pool main says; empty: there is none.
func (w *world) report() map[string]any {
	w.t.Helper()
	u, err := w.dynamic.Resource(reports).Get(w.t.Context(), w.name+"-main", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	status, _, err := unstructured.NestedMap(u.Object, "status")
	if err != nil {
		w.t.Fatal(err)
	}
	return status
}

// reported waits until the report counts the addresses that the Services have.
func (w *world) reported(all []*corev1.Service) {
	w.t.Helper()
	want := int64(0)
	for a := range used(all) {
		if !strings.Contains(a, ":") {
			want++
		}
	}
	w.until(fmt.Sprintf("the report counts %d IPv4 addresses in use", want), func() bool {
		got, there, err := unstructured.NestedInt64(w.report(), "ipv4", "inUse")
		return err == nil && there && got == want
	})
}

// used returns the addresses in the statuses.
func used(all []*corev1.Service) map[string]bool {
	addrs := map[string]bool{}
	for _, s := range all {
		for _, a := range addresses(s) {
			addrs[a] = true
		}
	}
	return addrs
}
