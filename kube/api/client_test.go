package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// serve answers what is asked for with a list of nothing or an object without content, and notes what that was.
func serve(t *testing.T) (c Client, asked func() string) {
	t.Helper()
	var last string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = r.Method + " " + r.URL.RequestURI()
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/missing") {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"NotFound","code":404}`)
			return
		}
		fmt.Fprint(w, `{}`)
	}))
	t.Cleanup(server.Close)
	c, err := New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c, func() string { return last }
}

// check asks for an object and for the list of a kind.
func check[T, L runtime.Object](t *testing.T, objects Objects[T, L], asked func() string, path string) {
	t.Helper()
	if _, err := objects.Get(t.Context(), "x", metav1.GetOptions{}); err != nil || asked() != "GET "+path+"/x" {
		t.Errorf("Get asks for %q (%v), want %s/x", asked(), err, path)
	}
	if _, err := objects.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=x"}); err != nil || asked() != "GET "+path+"?fieldSelector=metadata.name%3Dx" {
		t.Errorf("List asks for %q (%v), want %s", asked(), err, path)
	}
	if _, err := objects.Get(t.Context(), "missing", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("Get of what is not there = %v", err)
	}
}

func TestPaths(t *testing.T) {
	c, asked := serve(t)
	check(t, c.Nodes(), asked, "/api/v1/nodes")
	check(t, c.Services("a"), asked, "/api/v1/namespaces/a/services")
	check(t, c.Pods("a"), asked, "/api/v1/namespaces/a/pods")
	check(t, c.Secrets("a"), asked, "/api/v1/namespaces/a/secrets")
	check(t, c.ConfigMaps("a"), asked, "/api/v1/namespaces/a/configmaps")
	check(t, c.EndpointSlices("a"), asked, "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices")
	check(t, c.Leases("a"), asked, "/apis/coordination.k8s.io/v1/namespaces/a/leases")
	check(t, c.DaemonSets("a"), asked, "/apis/apps/v1/namespaces/a/daemonsets")
	if _, err := c.Services(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{}); err != nil || asked() != "GET /api/v1/services" {
		t.Errorf("all Services are asked for by %q (%v)", asked(), err)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(&rest.Config{Host: "https://[::1"}); err == nil {
		t.Error("a host that is none is taken")
	}
}
