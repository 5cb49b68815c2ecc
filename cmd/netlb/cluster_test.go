package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/document"
)

// cluster serves what is asked of an API server whose Service prod/web has 10.0.0.7, and returns a kubeconfig for it.
func cluster(t *testing.T) string {
	t.Helper()
	web := corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
	}
	web.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "10.0.0.7"}}
	web.Status.Conditions = []metav1.Condition{{Type: "network-lb.kontena.io/Allocated", Status: metav1.ConditionTrue, Reason: "Allocated"}}
	mux := http.NewServeMux()
	for path, o := range map[string]any{
		"/api/v1/namespaces/lb/secrets/accepted": corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Namespace: "lb", Name: "accepted"},
			Data: map[string][]byte{document.Key: []byte("address_pools: [{name: old, protocol: layer2, addresses: [10.0.0.0/24]}]")},
		},
		"/api/v1/services": corev1.ServiceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}, Items: []corev1.Service{web},
		},
		"/api/v1/namespaces": corev1.NamespaceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}, Items: []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "prod"}}},
		},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(o); err != nil {
				t.Error(err)
			}
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q}}]\n"+
		"contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\ncurrent-context: c\n", server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCluster(t *testing.T) {
	kubeconfig := cluster(t)
	const next = "address_pools: [{name: new, protocol: layer2, addresses: [10.9.0.0/24]}]\n"
	const isValid = "stdin: valid: 1 pool (addresses to assign: 256 IPv4), 0 peers"
	for _, tt := range []struct {
		name, document, kubeconfig string
		code                       int
		out                        string
	}{
		{"refused", next, kubeconfig, 1, "stdin: address_pools: 10.0.0.7 would be taken from Service prod/web (10.0.0.7 is in no pool); " +
			"if that is meant, list it or its pool old under release\nstdin: not valid: 1 mistake\n"},
		{"released", "release: [old]\n" + next, kubeconfig, 0, isValid + "\n"},
		{"no cluster", next, "/does/not/exist", 0, "stdin: warning: the document was not compared with the cluster, so that it may still be " +
			"refused there: finding the cluster: stat /does/not/exist: no such file or directory; outside a cluster give --kubeconfig; " +
			"try again when the cluster answers\n" + isValid + ", 1 warning\n"},
		{"disabled", "enabled: false", "/does/not/exist", 0, "stdin: valid: 0 pools, 0 peers, enabled: false, so that nothing is installed\n"},
	} {
		code, out, err := netlb(tt.document, "validate", "--cluster", "--namespace=lb", "--last-good=accepted", "--kubeconfig="+tt.kubeconfig)
		if code != tt.code || out != tt.out || err != "" {
			t.Errorf("%s: exit code %d, errors %q, output\n%s\nwant %d\n%s", tt.name, code, err, out, tt.code, tt.out)
		}
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if code, out, _ := netlb(next, "validate", "--cluster", "--namespace=lb", "--last-good=accepted"); code != 1 {
		t.Errorf("with kubectl's own kubeconfig: %d %s", code, out)
	}

	// In a Pod too, and with several files.
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("apiVersion: v1\nkind: Config\ncurrent-context: none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", other+string(os.PathListSeparator)+kubeconfig)
	t.Setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	if code, out, _ := netlb(next, "validate", "--cluster", "--namespace=lb", "--last-good=accepted", "--context=c"); code != 1 {
		t.Errorf("with a context of kubectl's second kubeconfig: %d %s", code, out)
	}
	if code, out, _ := netlb(next, "validate", "--cluster", "--namespace=lb", "--last-good=accepted", "--context=d"); code != 0 || !strings.Contains(out, `context "d" does not exist`) {
		t.Errorf("with a context that is not there: %d %s", code, out)
	}
}

// What fails for a moment is asked again, and what fails for long is given up.
func TestPreviewAsksAgain(t *testing.T) {
	for failures, give := range map[int]bool{2: false, 1000: true} {
		synctest.Test(t, func(t *testing.T) {
			client, asked := fake.NewClientset(), 0
			client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				if asked++; asked <= failures {
					return true, nil, errors.New("not yet")
				}
				return false, nil, nil
			})
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), clusterTimeout)
			defer cancel()
			err := preview(ctx, client, document.InSecret("lb", "accepted"), config.Config{})
			if give != (time.Since(began) == clusterTimeout) {
				t.Errorf("after %d failures: %v after %s", failures, err, time.Since(began))
			}
		})
	}
}
