package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/routers"
)

// session is one of the eight that a station has at once: IPv4 and IPv6, eBGP and iBGP, behind a switch and behind a
// gateway.
type session struct {
	name           string
	ours, theirs   string
	asn            uint32 // ours
	far            bool
	number         int
	internal, ipv6 bool
}

const routerASN = 65001

var sessions = eight()

func eight() []session {
	var all []session
	for _, far := range []bool{false, true} {
		for _, ipv6 := range []bool{false, true} {
			for _, internal := range []bool{false, true} {
				s := session{name: "ebgp", asn: 64512, far: far, internal: internal, ipv6: ipv6, number: len(all) + 1}
				here, there, host := "1", "1", ""
				if internal {
					s.name, s.asn, host = "ibgp", routerASN, "1"
				}
				if far {
					here, there = "2", "3"
				}
				if ipv6 {
					s.name += "6"
					s.ours, s.theirs = "2001:db8:"+here+"::"+host+"1", "2001:db8:"+there+"::"+host+"2"
				} else {
					s.name += "4"
					s.ours, s.theirs = "10.0."+here+"."+host+"1", "10.0."+there+"."+host+"2"
				}
				if far {
					s.name += "far"
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// prefixes of one generation of host routes that the session alone carries, of both families, as iproute2 writes them.
// Those of generation 0 are every speaker's, another one's are those of one speaker.
func (s session) prefixes(generation int) []string {
	return []string{fmt.Sprintf("10.9.%d.%d", s.number, 1+generation), fmt.Sprintf("2001:db8:9:%d::%d", s.number, 1+generation)}
}

// prefixes are those of all sessions.
func prefixes(generation int) (all []string) {
	for _, x := range sessions {
		all = append(all, x.prefixes(generation)...)
	}
	return all
}

// peer is the session as the speaker is told it.
func (s session) peer(m routers.Maker, b bgp.BFD) bgp.Peer {
	p := bgp.Peer{
		Name: s.name, Address: netip.MustParseAddr(s.theirs), Source: netip.MustParseAddr(s.ours), PeerASN: routerASN, MyASN: s.asn,
		HoldTime: 90 * time.Second, KeepaliveTime: 30 * time.Second, RestartTime: 30 * time.Second, BFD: b,
	}
	if s.far {
		if !s.internal {
			p.Multihop = 3
		}
		if m == routers.BIRDd {
			p.BFD.MinimumTTL = 63 // it sends with the kernel's default TTL
		}
	}
	return p
}

// frrConfig is bgpd's.
func frrConfig() string {
	var b strings.Builder
	b.WriteString("frr defaults traditional\nrouter bgp 65001\n bgp router-id 10.0.1.2\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n")
	for _, s := range sessions {
		fmt.Fprintf(&b, " neighbor %s remote-as %d\n neighbor %[1]s bfd\n", s.ours, s.asn)
		if s.far && !s.internal {
			fmt.Fprintf(&b, " neighbor %s ebgp-multihop 3\n neighbor %[1]s disable-connected-check\n", s.ours)
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(&b, " address-family %s unicast\n", family)
		for _, s := range sessions {
			fmt.Fprintf(&b, "  neighbor %s activate\n", s.ours)
		}
		b.WriteString(" exit-address-family\n")
	}
	return b.String() + "exit\n"
}

func birdConfig() string {
	var b strings.Builder
	b.WriteString(`router id 10.0.1.2;
protocol device {}
protocol direct { ipv4; ipv6; }
protocol kernel { ipv4 { export where source = RTS_BGP; }; }
protocol kernel { ipv6 { export where source = RTS_BGP; }; }
protocol static { ipv4; route 10.0.2.0/24 via 10.0.3.9; }
protocol static { ipv6; route 2001:db8:2::/64 via 2001:db8:3::9; }
protocol bfd {
  debug all;
  interface "*" { min rx interval 300 ms; min tx interval 300 ms; multiplier 3; };
  multihop { min rx interval 300 ms; min tx interval 300 ms; multiplier 3; };
}
template bgp node {
  error wait time 1, 5;
  bfd on;
  debug { states, events };
  ipv4 { import all; export none; };
  ipv6 { import all; export none; };
}
`)
	for _, s := range sessions {
		hops := "multihop 3"
		if !s.far {
			hops = "direct" // what BIRD takes an external neighbour for, but not an internal one
		}
		fmt.Fprintf(&b, "protocol bgp %s from node { local %s as %d; neighbor %s as %d; %s; }\n", s.name, s.theirs, routerASN, s.ours, s.asn, hops)
	}
	return b.String()
}
