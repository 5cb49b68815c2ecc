package rawsock_test

import (
	"fmt"

	"github.com/kontena/network-lb/layer2/rawsock"
)

// Looking at the interfaces needs no privilege; listening on one needs CAP_NET_RAW.
func ExampleOpen() {
	transport, err := rawsock.Open(rawsock.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer transport.Close()
	links, _ := transport.Links()
	fmt.Println(links[0].Name)
	// Output: lo
}
