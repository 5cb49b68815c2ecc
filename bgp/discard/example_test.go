package discard_test

import (
	"log"
	"net/netip"

	"github.com/kontena/network-lb/bgp/discard"
)

// A node that advertises an aggregate refuses what nobody has of it. (It runs with NET_ADMIN only.)
func Example() {
	var routes discard.Routes
	err := routes.Set([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:20::/64")})
	if err != nil {
		log.Print(err)
	}
}
