package announce_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/kontena/network-lb/announce"
)

// BenchmarkDecide is for 10,000 addresses on 100 nodes, each held by a node.
func BenchmarkDecide(b *testing.B) {
	words := ""
	for i := range 100 {
		words += fmt.Sprintf(" n%02d", i)
	}
	v := lan(words)
	v.Node = "n00"
	service := v.Services[0]
	v.Services = nil
	addr := netip.MustParseAddr("10.1.0.0")
	for i := range 10000 {
		s := service
		s.Name, s.Addrs = fmt.Sprint("default/s", i), []netip.Addr{addr}
		v.Services = append(v.Services, s)
		m := &v.Members[i%100]
		m.Held = append(m.Held, addr)
		addr = addr.Next()
	}
	for b.Loop() {
		if n := len(announce.Decide(v).Claims); n != 100 {
			b.Fatalf("%d claims", n)
		}
	}
}
