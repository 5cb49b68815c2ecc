package objects

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodeWeight(t *testing.T) {
	node := func(annotations map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: annotations}}
	}
	if n, err := NodeWeight(node(map[string]string{"weight": "7"})); n != 0 || err != nil {
		t.Errorf("without the annotation it is %d, %v", n, err)
	}
	for text, want := range map[string]int{"1": 1, "30000": 30000, "7": 7, "": 0, "0": 0, "-1": 0, "30001": 0, "1.5": 0, "ten": 0, "99999999999999999999": 0} {
		o := node(map[string]string{"network-lb.kontena.io/weight": text})
		n, err := NodeWeight(o)
		if n != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %d, %v; want %d", text, n, err, want)
		}
		if got := FromNode(o).Weight; got != want {
			t.Errorf("%q becomes %d", text, got)
		}
	}
	if n := FromNode(node(map[string]string{"network-lb.kontena.io/weight": " 3 "})).Weight; n != 3 {
		t.Errorf("with blanks around it 3 is %d", n)
	}
	const want = `annotation network-lb.kontena.io/weight of node a: "ten" is not a whole number from 1 to 30000; the node's weight is 1 until it is`
	if _, err := NodeWeight(node(map[string]string{"network-lb.kontena.io/weight": "ten"})); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
