package config_test

import (
	"fmt"

	"github.com/kontena/network-lb/config"
)

func ExampleParse() {
	c, warnings, err := config.Parse([]byte(`
address_pools:
  - name: default
    protocol: layer2
    addresses: [10.20.0.10-10.20.0.99, "fd00:20::1/64"]
`))
	fmt.Println(c.Pools[0].Name, c.Pools[0].Layer2, c.Pools[0].Ranges)
	fmt.Println(warnings)
	fmt.Println(err)
	// Output:
	// default true [10.20.0.10-10.20.0.99 fd00:20::/64]
	// [address_pools[0].addresses[1] (line 5): "fd00:20::1/64" has host bits, so that fd00:20::/64 is meant; write fd00:20::/64]
	// <nil>
}

// All mistakes are found at once, each with its place and a remedy.
func ExampleParse_mistakes() {
	_, _, err := config.Parse([]byte(`
address_pools:
  - name: default
    protocol: ospf
    adresses: [10.20.0.0/24]
`))
	fmt.Println(err)
	// Output:
	// address_pools[0].protocol (line 4): "ospf" is not a protocol; use layer2, bgp or [layer2, bgp]
	// address_pools[0].adresses (line 5) is not a key of an address pool; did you mean addresses?
}
