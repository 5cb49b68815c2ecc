package selector_test

import (
	"fmt"

	"github.com/kontena/network-lb/selector"
)

// Two nodes of three, chosen by name; the order of the values does not matter.
func Example() {
	workers, err := selector.New(nil, []selector.Requirement{
		{Key: "kubernetes.io/hostname", Operator: selector.In, Values: []string{"worker-1", "worker-0"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(workers)
	for _, name := range []string{"master", "worker-0", "worker-1"} {
		fmt.Println(name, workers.Matches(map[string]string{"kubernetes.io/hostname": name}))
	}
	// Output:
	// kubernetes.io/hostname in (worker-0,worker-1)
	// master false
	// worker-0 true
	// worker-1 true
}

// All mistakes are found at once, and each says what would be right.
func ExampleNew_mistakes() {
	_, err := selector.New(nil, []selector.Requirement{
		{Key: "rack", Operator: "equals", Values: []string{"a"}},
		{Key: "rack", Operator: selector.In},
	})
	fmt.Println(err)
	// Output:
	// expression 0: operator "equals" is not known; use In
	// expression 1: values are missing for operator In; list at least one value
}
