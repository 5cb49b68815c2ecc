package objects

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAPIServer(t *testing.T) {
	for _, tt := range []struct {
		namespace string
		ips       []string
		ports     []corev1.ServicePort
		want      string
	}{
		{"default", []string{"10.96.0.1"}, []corev1.ServicePort{{Port: 443}}, "[10.96.0.1:443]"},
		{"default", []string{"fd00::1", "10.96.0.1"}, []corev1.ServicePort{{Port: 6443}, {Port: 80}}, "[[fd00::1]:6443 10.96.0.1:6443]"},
		{"default", []string{"None"}, []corev1.ServicePort{{Port: 443}}, "[]"},
		{"default", []string{"10.96.0.1"}, nil, "[]"},
		{"prod", []string{"10.96.0.1"}, []corev1.ServicePort{{Port: 443}}, "[]"},
	} {
		o := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: tt.namespace, Name: "kubernetes"},
			Spec: corev1.ServiceSpec{ClusterIPs: tt.ips, Ports: tt.ports}}
		if got := fmt.Sprint(APIServer(o)); got != tt.want {
			t.Errorf("%s %v: %s, want %s", tt.namespace, tt.ips, got, tt.want)
		}
	}
}
