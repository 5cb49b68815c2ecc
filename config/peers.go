package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/selector"
)

const (
	asnRemedy = "write the number of the autonomous system, such as 64500"

	peerAddressRemedy = "write the IP address of the router, such as 10.0.0.1"
)

// needPeers notes that a pool says bgp and there is no peer.
func (r *reader) needPeers(root fields, pools []Pool) {
	i := slices.IndexFunc(pools, func(p Pool) bool { return p.BGP })
	if i < 0 {
		return
	}
	problem := fmt.Sprintf("but pool %q says bgp", pools[i].Name)
	const remedy = "add a peer with peer_address, peer_asn and my_asn, or use protocol: layer2"
	if peers, there := root.known["peers"]; there {
		r.reject(peers, "has no peer, "+problem, remedy)
		return
	}
	at := r.value(root.known["address_pools"].Content[i], join(root.in.path, "peers")) // its line shows where the need arises
	r.rejectText(at, "", "is missing, "+problem, remedy)
}

// peers reads peers.
func (r *reader) peers(v value) []Peer {
	elements := r.list(v)
	if len(elements) == 0 {
		return nil
	}
	peers := make([]Peer, 0, len(elements))
	for _, element := range elements {
		p, address := r.peer(element)
		for i, earlier := range peers {
			if p.Address.IsValid() && p.Address == earlier.Address && meet(p.NodeSelectors, earlier.NodeSelectors) {
				r.reject(address, fmt.Sprintf("is also the address of %s (line %d), and both are for the same nodes",
					elements[i].path, elements[i].Line),
					"keep one of them, or give them node_selectors of which no node matches both")
				break
			}
		}
		peers = append(peers, p)
	}
	return peers
}

// meet reports whether it is certain that some node matches both.
func meet(a, b selector.Any) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, s := range a {
		for _, other := range b {
			if s.Equal(other) {
				return true
			}
		}
	}
	return false
}

// peer reads one peer, and returns its address also with its place.
func (r *reader) peer(v value) (Peer, value) {
	var p Peer
	f := r.fields(v, aPeer)
	address, ok := r.require(f, "peer_address", peerAddressRemedy)
	if ok {
		if p.Address, ok = r.peerAddress(address); ok {
			p.Name = p.Address.String()
		}
	}
	p.PeerASN = r.asn(f, "peer_asn")
	p.MyASN = r.asn(f, "my_asn")
	p.NodeSelectors = r.selectors(f, "node_selectors")
	r.passwords(f, &p)
	return p, address
}

func (r *reader) peerAddress(v value) (netip.Addr, bool) {
	text, ok := r.text(v, "an IP address")
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		r.reject(v, "is not an IP address", peerAddressRemedy)
	case addr.Is4In6():
		r.reject(v, "is an IPv4 address in IPv6 form", "write "+addr.Unmap().String())
	case addr.IsLinkLocalUnicast():
		r.reject(v, "is a link-local address, which does not say the interface", "write another address of the router")
	case addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast():
		r.reject(v, "is not the address of a router", peerAddressRemedy)
	default:
		return addr, true
	}
	return netip.Addr{}, false
}

func (r *reader) asn(f fields, key string) uint32 {
	v, ok := r.require(f, key, asnRemedy)
	if !ok {
		return 0
	}
	if v.Value == "external" || v.Value == "internal" {
		r.reject(v, "is not supported", asnRemedy)
		return 0
	}
	n, _ := r.number(v, 1, math.MaxUint32, asnRemedy)
	return uint32(n)
}
