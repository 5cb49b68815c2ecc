package layer2_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/kontena/network-lb/layer2"
)

// The expected owners are from sha256sum: printf "%s#%s" node address | sha256sum.
func TestOwner(t *testing.T) {
	workers := []string{"worker-1", "worker-2", "worker-3"}
	nodes := []string{"node-a", "node-b"}
	for _, tt := range []struct {
		addr  string
		nodes []string
		want  string
	}{
		{"10.0.0.1", workers, "worker-1"},
		{"10.0.0.1", nodes, "node-b"},
		{"10.0.0.1", append(nodes, workers...), "worker-1"},
		{"::ffff:10.0.0.1", workers, "worker-1"},
		{"192.168.1.240", workers, "worker-2"},
		{"192.168.1.240", append(nodes, workers...), "node-a"},
		{"2001:db8::240", workers, "worker-3"},
		{"2001:0db8:0::0240", workers, "worker-3"},
		{"2001:db8::240", nodes, "node-b"},
		{"10.0.0.1", []string{"worker-2"}, "worker-2"},
		{"10.0.0.1", nil, ""},
	} {
		addr := netip.MustParseAddr(tt.addr)
		if got := layer2.Owner(addr, tt.nodes); got != tt.want {
			t.Errorf("Owner(%s, %v) = %q, want %q", tt.addr, tt.nodes, got, tt.want)
		}
		reversed := slices.Clone(tt.nodes)
		slices.Reverse(reversed)
		if got := layer2.Owner(addr, reversed); got != tt.want {
			t.Errorf("Owner(%s, %v) = %q, want %q", tt.addr, reversed, got, tt.want)
		}
	}
}

func ExampleOwner() {
	nodes := []string{"worker-1", "worker-2", "worker-3"}
	fmt.Println(layer2.Owner(netip.MustParseAddr("10.0.0.1"), nodes))
	fmt.Println(layer2.Owner(netip.MustParseAddr("10.0.0.1"), nodes[1:]))
	// Output:
	// worker-1
	// worker-3
}
