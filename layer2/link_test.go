package layer2_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/kontena/network-lb/layer2"
)

func prefixes(s ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, p := range s {
		ps = append(ps, netip.MustParsePrefix(p))
	}
	return ps
}

// link is an interface that is up and can do everything.
func link(index int, name string, addrs ...string) layer2.Link {
	return layer2.Link{
		Index: index, Name: name, MAC: layer2.MAC{2, 0, 0, 0, 0, byte(index)},
		Up: true, Carrier: true, Broadcast: true, Addrs: prefixes(addrs...),
	}
}

func with(l layer2.Link, change func(*layer2.Link)) layer2.Link {
	change(&l)
	return l
}

func TestChoose(t *testing.T) {
	eth0 := link(2, "eth0", "10.0.0.5/24", "fe80::5/64", "2001:db8::5/64")
	eth0.Default4, eth0.Default6 = true, true
	eth1 := link(3, "eth1", "192.168.7.5/24", "fe80::6/64")
	lo := layer2.Link{Index: 1, Name: "lo", Up: true, Carrier: true, Addrs: prefixes("127.0.0.1/8", "::1/128")}
	docker := link(4, "docker0", "172.17.0.1/16", "fe80::7/64")
	bridge := link(5, "br-lan", "192.168.9.5/24", "fe80::8/64")
	machine := []layer2.Link{lo, eth0, eth1, docker, bridge}
	down := func(l *layer2.Link) { l.Up = false }

	for name, tt := range map[string]struct {
		links   []layer2.Link
		addr    string
		named   []string
		exclude []string
		want    []string
		err     string
	}{
		"subnet":             {links: machine, addr: "192.168.7.240", want: []string{"eth1"}},
		"subnet of two":      {links: []layer2.Link{eth0, link(9, "eth9", "10.0.0.9/16")}, addr: "10.0.0.240", want: []string{"eth0", "eth9"}},
		"IPv6 subnet":        {links: machine, addr: "2001:db8::240", want: []string{"eth0"}},
		"default route":      {links: machine, addr: "203.0.113.1", want: []string{"eth0"}},
		"IPv6 default route": {links: machine, addr: "2001:db8:1::1", want: []string{"eth0"}},
		"no default route": {
			links: []layer2.Link{lo, eth1}, addr: "203.0.113.1",
			err: "no interface for 203.0.113.1: no subnet contains it and there is no default route",
		},
		"container network's subnet": {links: machine, addr: "172.17.0.9", want: []string{"eth0"}},
		"loopback's subnet":          {links: machine, addr: "127.0.0.9", want: []string{"eth0"}},
		"excluded":                   {links: machine, addr: "192.168.7.240", exclude: []string{"eth1"}, want: []string{"eth0"}},
		"named":                      {links: machine, addr: "192.168.7.240", named: []string{"eth0"}, want: []string{"eth0"}},
		"glob":                       {links: machine, addr: "192.168.7.240", named: []string{"eth*"}, want: []string{"eth0", "eth1"}},
		"all":                        {links: machine, addr: "192.168.7.240", named: []string{"*"}, want: []string{"eth0", "eth1"}},
		"excluded, but named":        {links: machine, addr: "192.168.9.240", named: []string{"br-lan", "eth1"}, want: []string{"eth1", "br-lan"}},
		"none of the name": {
			links: machine, addr: "10.0.0.240", named: []string{"bond0", "em*"},
			err: "no interface for 10.0.0.240: none is named bond0, em*",
		},
		"subnet's interface down": {
			links: []layer2.Link{eth0, with(eth1, down)}, addr: "192.168.7.240",
			err: "no interface for 192.168.7.240: eth1 is down",
		},
		"named one down, other up": {links: []layer2.Link{eth0, with(eth1, down)}, addr: "10.0.0.240", named: []string{"eth*"}, want: []string{"eth0"}},
		"no carrier":               {links: []layer2.Link{with(eth0, func(l *layer2.Link) { l.Carrier = false })}, addr: "10.0.0.240", want: []string{"eth0"}},
		"enslaved": {
			links: []layer2.Link{with(eth0, func(l *layer2.Link) { l.Enslaved = true })}, addr: "10.0.0.240",
			err: "no interface for 10.0.0.240: eth0 is a port of another interface",
		},
		"point to point": {
			links: []layer2.Link{with(eth0, func(l *layer2.Link) { l.Broadcast = false })}, addr: "10.0.0.240",
			err: "no interface for 10.0.0.240: eth0 cannot broadcast",
		},
		"point to point, IPv6": {links: []layer2.Link{with(eth0, func(l *layer2.Link) { l.Broadcast = false })}, addr: "2001:db8::240", want: []string{"eth0"}},
		"no Ethernet": {
			links: []layer2.Link{with(eth0, func(l *layer2.Link) { l.MAC = layer2.MAC{} })}, addr: "10.0.0.240",
			err: "no interface for 10.0.0.240: eth0 has no Ethernet address",
		},
		"no link-local": {
			links: []layer2.Link{link(2, "eth0", "2001:db8::5/64")}, addr: "2001:db8::240",
			err: "no interface for 2001:db8::240: eth0 has no IPv6 link-local address",
		},
	} {
		t.Run(name, func(t *testing.T) {
			exclude := append(slices.Clone(layer2.ContainerInterfaces), tt.exclude...)
			chosen, err := layer2.Choose(tt.links, layer2.Claim{Addr: netip.MustParseAddr(tt.addr), Interfaces: tt.named}, exclude)
			var got []string
			for _, l := range chosen {
				got = append(got, l.Name)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("chose %v, want %v", got, tt.want)
			}
			var none *layer2.NoInterfaceError
			if tt.err == "" && err != nil || tt.err != "" && (!errors.As(err, &none) || err.Error() != tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}
