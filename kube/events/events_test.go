package events

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestPost(t *testing.T) {
	client := fake.NewClientset()
	p := NewPoster(client, "network-lb-controller", "pod-1")
	about := corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: "prod", Name: "web", UID: "u"}
	if err := p.Post(t.Context(), about, corev1.EventTypeNormal, "Allocated", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	list, err := client.CoreV1().Events("prod").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d Events, %v", len(list.Items), err)
	}
	e := list.Items[0]
	if e.InvolvedObject != about || e.Type != "Normal" || e.Reason != "Allocated" || e.Message != "10.0.0.1" || e.Count != 1 ||
		e.Source.Component != "network-lb-controller" || e.ReportingInstance != "pod-1" || e.GenerateName != "web." || e.FirstTimestamp.IsZero() {
		t.Errorf("posted %+v", e)
	}
}

func TestPostFails(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("no") })
	err := NewPoster(client, "c", "i").Post(t.Context(), corev1.ObjectReference{Kind: "Node", Name: "a"}, "Normal", "R", "m")
	if err == nil || err.Error() != "posting event R about Node a: no" {
		t.Errorf("Post = %v", err)
	}
	if got := client.Actions()[0].GetNamespace(); got != "default" {
		t.Errorf("an Event about an object without a namespace goes to %q", got)
	}
}

func TestShorten(t *testing.T) {
	for name, tt := range map[string]struct{ message, want string }{
		"short":      {"m", "m"},
		"just right": {strings.Repeat("m", maxMessage), strings.Repeat("m", maxMessage)},
		"too long":   {strings.Repeat("m", maxMessage+1), strings.Repeat("m", maxMessage-3) + "…"},
		"characters": {strings.Repeat("ä", maxMessage), strings.Repeat("ä", (maxMessage-3)/2) + "…"},
		"no text":    {strings.Repeat("\x80", maxMessage+1), "…"},
	} {
		got := shorten(tt.message)
		if got != tt.want || len(got) > maxMessage || name != "no text" && !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes, %q", name, len(got), got)
		}
	}
}
