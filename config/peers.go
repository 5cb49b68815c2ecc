package config

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"

	"github.com/kontena/network-lb/selector"
)

const (
	asnRemedy     = "write the number of the autonomous system, such as 64500"
	peerASNRemedy = asnRemedy + ", or external or internal"

	interfaceRemedy = "write the name of an interface of the nodes, such as eth1"

	peerAddressRemedy = "write the IP address of the router, such as 10.0.0.1"
)

// defaultMaxReceived is how many routes of a family a router may send, unless it is told otherwise.
const defaultMaxReceived = 100_000

var (
	peerName      = regexp.MustCompile(`^[A-Za-z0-9]([-._:A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	interfaceName = regexp.MustCompile(`^[^\s/:]{1,15}$`) // as the kernel's dev_valid_name has it
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
		p, at := r.peer(element)
		for i, earlier := range peers {
			if r.collide(p, earlier, at, elements[i]) {
				break
			}
		}
		r.unnamed = r.unnamed || p.Name == ""
		if p.Name != "" && !slices.Contains(r.peerNames, p.Name) {
			r.peerNames = append(r.peerNames, p.Name)
		}
		peers = append(peers, p)
	}
	return peers
}

// places are where a peer says what it is known by.
type places struct{ router, name value }

// collide notes two peers of the same nodes that have one router or one name.
func (r *reader) collide(p, earlier Peer, at places, other value) bool {
	if !meet(p.NodeSelectors, earlier.NodeSelectors) {
		return false
	}
	const remedy = "keep one of them, or give them node_selectors of which no node matches both"
	port := func(p Peer) uint16 { return p.WithDefaults().Port }
	known := p.Address.IsValid() || p.Interface != ""
	switch {
	case known && p.Address == earlier.Address && p.Interface == earlier.Interface && port(p) == port(earlier):
		what := "address"
		if p.Interface != "" {
			what = "interface"
		}
		r.reject(at.router, fmt.Sprintf("is also the %s of %s (line %d), and both are for the same nodes", what, other.path, other.Line), remedy)
	case p.Name != "" && p.Name == earlier.Name:
		r.rejectText(at.name, fmt.Sprintf("%q", p.Name), fmt.Sprintf("is also the name of %s (line %d), and both are for the same nodes",
			other.path, other.Line), "give them different names, or node_selectors of which no node matches both")
	default:
		return false
	}
	return true
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

// peer reads one peer, and returns also the places of what it is known by.
func (r *reader) peer(v value) (Peer, places) {
	var p Peer
	f := r.fields(v, aPeer)
	p.NodeSelectors = r.selectors(f, "node_selectors")
	router := r.router(f, &p)
	r.asns(f, &p)
	r.way(f, &p)
	r.times(f, &p)
	r.passwords(f, &p)
	at := places{router, v}
	if name, ok := f.get("name"); ok {
		at.name = name
		p.Name = r.nameOf(name)
	} else if p.Address.IsValid() || p.Interface != "" {
		p.Name = p.Title()
	}
	if v, ok := f.get("max_received_routes"); ok {
		n, _ := r.number(v, 0, math.MaxInt32, "write how many routes the router may send, 0 for any number")
		p.MaxReceived = int(n)
	} else {
		p.MaxReceived = defaultMaxReceived
	}
	if v, ok := f.get("bfd_profile"); ok {
		p.BFD = r.bfdProfile(v)
	}
	return p, at
}

// nameOf reads the name of a peer.
func (r *reader) nameOf(v value) string {
	name, ok := r.text(v, "a name")
	if ok && !peerName.MatchString(name) {
		r.reject(v, "is not a name", "use letters, digits, '-', '_', '.' and ':', 63 at most and a letter or digit at both ends, such as tor1")
		return ""
	}
	return name
}

// router reads where the router is: its address and port, or the interface that it is found on.
func (r *reader) router(f fields, p *Peer) (at value) {
	if v, ok := f.get("peer_port"); ok {
		n, _ := r.number(v, 1, math.MaxUint16, "write a TCP port, such as 179")
		p.Port = uint16(n)
	}
	v, unnumbered := f.get("interface")
	if _, there := f.known["peer_address"]; there || !unnumbered {
		if at, ok := r.require(f, "peer_address", peerAddressRemedy); ok {
			p.Address, _ = r.peerAddress(at)
		}
	}
	if !unnumbered {
		at, _ = f.get("peer_address")
		return at
	}
	name, ok := r.text(v, "the name of an interface")
	switch _, both := f.get("peer_address"); {
	case both:
		r.reject(v, "cannot be given together with peer_address", "keep one of them")
	case ok && !interfaceName.MatchString(name):
		r.reject(v, "is not the name of an interface", interfaceRemedy)
	default:
		p.Interface = name
	}
	return v
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
		r.reject(v, "is a link-local address, which does not say the interface", "write another address of the router, or its interface in place of the address")
	case addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast():
		r.reject(v, "is not the address of a router", peerAddressRemedy)
	default:
		return addr, true
	}
	return netip.Addr{}, false
}

// asns reads both AS numbers. internal is a router of our own AS, external one of any other.
func (r *reader) asns(f fields, p *Peer) {
	v, _ := f.get("peer_asn")
	internal := v.Node != nil && v.Value == "internal"
	p.External = v.Node != nil && v.Value == "external"
	if !internal && !p.External {
		p.PeerASN = r.asn(f, "peer_asn")
	}
	if p.MyASN = r.asn(f, "my_asn"); internal {
		p.PeerASN = p.MyASN
	}
}

func (r *reader) asn(f fields, key string) uint32 {
	remedy := asnRemedy
	if key == "peer_asn" {
		remedy = peerASNRemedy
	}
	v, ok := r.require(f, key, remedy)
	if !ok {
		return 0
	}
	n, _ := r.number(v, 1, math.MaxUint32, remedy)
	return uint32(n)
}
