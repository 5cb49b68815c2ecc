package subnets_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/layer2/subnets"
)

func TestNetnsRead(t *testing.T) {
	node := nstest.New(t, "subnets")
	for _, command := range []string{
		"link add eth0 type veth peer name far0", "link add cni0 type veth peer name far1",
		"link set eth0 up", "link set far0 up", "link set cni0 up", "link set far1 up",
		"addr add 10.1.2.3/24 dev eth0", "addr add 10.1.2.4/24 dev eth0", "addr add 10.1.9.9/32 dev eth0",
		"addr add 10.8.0.1/31 dev eth0", "addr add fd00:1::3/64 dev eth0 nodad", "addr add 10.244.0.1/24 dev cni0",
		"addr add 127.0.0.9/8 dev lo",
		"route add default via 10.1.2.1", "route add default via 10.1.2.2 metric 9", "route add 10.9.0.0/16 via 10.1.2.77",
		"-6 route add default nexthop via fd00:1::1 nexthop via fd00:1::2",
		"-6 route add default via fe80::1 dev eth0 metric 7",
		"route add default via 10.1.2.99 table 77",
	} {
		nstest.Run(t, "ip", append([]string{"-n", node}, strings.Fields(command)...)...)
	}
	var n subnets.Network
	var err error
	nstest.Do(t, node, func() { n, err = subnets.Read([]string{"docker*", "cni*"}) })
	if err != nil {
		t.Fatal(err)
	}
	const want = "{[10.1.2.0/24 10.8.0.0/31 fd00:1::/64] [10.1.2.1 10.1.2.2 fd00:1::1 fd00:1::2]}"
	if got := fmt.Sprint(n); got != want {
		t.Errorf("the network is\n%s, want\n%s", got, want)
	}
}
