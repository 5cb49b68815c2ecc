package objects

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/announce"
)

// weightAnnotation is a Node's share of the traffic beside others', for advertisements that go by it.
const weightAnnotation = Prefix + "weight"

// NodeWeight returns the weight that a Node asks for; 0 if it asks for none, or, with an error, for one that cannot be.
func NodeWeight(o *corev1.Node) (int, error) {
	text, there := o.Annotations[weightAnnotation]
	if !there {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > announce.MaxWeight {
		return 0, fmt.Errorf("annotation %s of node %s: %q is not a whole number from 1 to %d; the node's weight is 1 until it is",
			weightAnnotation, o.Name, text, announce.MaxWeight)
	}
	return n, nil
}
