package layer2_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

func claims(n int) []layer2.Claim {
	addr := netip.MustParseAddr("10.0.0.10")
	list := make([]layer2.Claim, 0, n)
	for range n {
		list = append(list, layer2.Claim{Addr: addr})
		addr = addr.Next()
	}
	return list
}

// A question is answered in the same time however many addresses are claimed.
func BenchmarkAnswer(b *testing.B) {
	for _, n := range []int{10, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var lan layer2test.LAN
			node := layer2test.NewNode()
			node.Plug(link(2, "eth0", "10.0.0.5/16"), &lan)
			responder := layer2.NewResponder(node, layer2.Options{})
			defer responder.Close()
			list := claims(n)
			if err := responder.Set(list[:10]); err != nil {
				b.Fatal(err)
			}
			client := lan.Client(clientMAC, addr4)
			if err := responder.Set(list); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, ok := client.Resolve(list[5].Addr); !ok {
					b.Fatal("no answer")
				}
			}
		})
	}
}

// One address more or less among 10,000.
func BenchmarkSet(b *testing.B) {
	node := layer2test.NewNode()
	node.Plug(link(2, "eth0", "10.0.0.5/16"), nil)
	responder := layer2.NewResponder(node, layer2.Options{})
	defer responder.Close()
	list := claims(10001)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := responder.Set(list[:10000+i%2]); err != nil {
			b.Fatal(err)
		}
	}
}
