package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/ipam"
)

// maxPrepend keeps AS_PATHs below the length at which routers refuse them.
const maxPrepend = 64

const (
	lengthRemedy   = "write the length of the prefixes that are advertised, or leave it out for host routes"
	metricRemedy   = "write a number from 0 to 4294967295, or leave it out"
	prependRemedy  = "write how many more times our ASN is to be in the path, such as 2"
	maxNodesRemedy = "write how many nodes advertise an address at most, 0 for all of them"
	onlyBGPRemedy  = "add bgp to protocol, or leave it out"
	hostOnlyRemedy = "leave out one of the two"
)

// advert is an advertisement with the places of what may be wrong with it together with others.
type advert struct {
	announce.Advertisement
	at    value
	place map[string]value // of the keys in agreed, those that are given
}

// agreed are the keys of which advertisements of one prefix cannot say different things.
var agreed = []string{"localpref", "med", "weight"}

// says is what an advertisement says by a key of those; ok is false where it says nothing.
func (a advert) says(key string) (text string, ok bool) {
	switch key {
	case "localpref":
		return a.LocalPref.String(), a.LocalPref.Set
	case "med":
		return a.MED.String(), a.MED.Set
	}
	return weights[a.Weight].word, a.Weight != announce.Unweighted
}

// weights are in the order of their values.
var weights = words[announce.Weight]{{"none", announce.Unweighted}, {"endpoints", announce.ByEndpoints}, {"node", announce.ByNode}}

// advertisements reads bgp_advertisements. Without all of the pool's addresses nothing is compared with them.
func (r *reader) advertisements(f fields, p *Pool, complete bool) {
	v, ok := f.get("bgp_advertisements")
	if !ok {
		return
	}
	if p.Layer2 && !p.BGP {
		r.rejectText(v, "", "is for BGP, and this pool is for layer2 alone", onlyBGPRemedy)
	}
	var all []advert
	for _, element := range r.list(v) {
		a := r.advertisement(element, p, complete)
		for _, earlier := range all {
			for _, key := range agreed {
				r.contradiction(key, earlier, a, p.Ranges)
			}
		}
		all = append(all, a)
		p.Advertisements = append(p.Advertisements, a.Advertisement)
	}
}

// advertisement reads one element of bgp_advertisements.
func (r *reader) advertisement(v value, p *Pool, complete bool) advert {
	f := r.fields(v, anAdvert)
	a := advert{at: v, place: map[string]value{}}
	a.Nodes, a.Services = r.selectors(f, "node_selectors"), r.selectors(f, "service_selectors")
	for key, to := range map[string]*int{"aggregation_length": &a.Length4, "aggregation_length_v6": &a.Length6} {
		if v, ok := f.get(key); ok {
			*to = r.length(v, f, p, key == "aggregation_length_v6", complete)
		}
	}
	a.LocalPref, a.MED = r.metric(f, "localpref"), r.metric(f, "med")
	if v, ok := f.get("weight"); ok {
		a.Weight = oneOf(r, v, "what weights are", weights)
	}
	for _, key := range agreed {
		a.place[key], _ = f.get(key)
	}
	if v, ok := f.get("prepend"); ok {
		n, _ := r.number(v, 0, maxPrepend, prependRemedy)
		a.Prepend = uint8(n)
	}
	if v, ok := f.get("communities"); ok {
		for _, element := range r.list(v) {
			c, ok := r.community(element)
			if ok && slices.Contains(a.Communities, c) {
				r.reject(element, "is there twice", "keep one of them")
			} else if ok {
				a.Communities = append(a.Communities, c)
			}
		}
	}
	if v, ok := f.get("peers"); ok {
		for _, element := range r.list(v) {
			name, ok := r.peerName(element)
			if ok && slices.Contains(a.Peers, name) {
				r.reject(element, "is there twice", "keep one of them")
			} else if ok {
				a.Peers = append(a.Peers, name)
			}
		}
	}
	r.width(f, &a.Advertisement)
	return a
}

// width reads how many nodes advertise, and over what they are spread.
func (r *reader) width(f fields, a *announce.Advertisement) {
	if v, ok := f.get("max_nodes"); ok {
		n, _ := r.number(v, 0, math.MaxInt32, maxNodesRemedy)
		a.MaxNodes = int(n)
	}
	v, ok := f.get("spread_by")
	if !ok {
		return
	}
	if a.SpreadBy, ok = r.text(v, "the key of a label of nodes"); !ok || a.SpreadBy == "" {
		return
	}
	r.checkLabels(map[string]string{a.SpreadBy: ""}, map[string]value{a.SpreadBy: v})
	if most, given := f.get("max_nodes"); a.MaxNodes == 0 && (!given || most.Value == "0") {
		r.reject(v, "spreads the nodes of max_nodes, and there is none", "add max_nodes, or leave it out")
	}
}

func (r *reader) metric(f fields, key string) bgp.Optional {
	v, ok := f.get(key)
	if !ok {
		return bgp.Optional{}
	}
	n, ok := r.number(v, 0, math.MaxUint32, metricRemedy)
	return bgp.Optional{Value: uint32(n), Set: ok}
}

// length reads the length of the prefixes of one family, in which nothing may be that is not the pool's.
func (r *reader) length(v value, f fields, p *Pool, v6, complete bool) int {
	host := 32
	if v6 {
		host = 128
	}
	n, ok := r.number(v, 1, int64(host), lengthRemedy)
	bits := int(n)
	if !ok || bits == host {
		return bits
	}
	if services, some := f.get("service_selectors"); some && !isEmptyList(services) {
		r.rejectText(services, "", "would leave out a part of the aggregates, and cannot be given together with "+f.spelt(v), hostOnlyRemedy)
	}
	if !complete {
		return bits
	}
	if aggregate, outside := outreach(p.Ranges, bits, host); outside {
		for bits++; bits < host; bits++ {
			if _, outside := outreach(p.Ranges, bits, host); !outside {
				break
			}
		}
		r.reject(v, fmt.Sprintf("makes %s, and not all of that is in this pool", aggregate), fmt.Sprintf("write %d or more", bits))
	}
	return bits
}

// spelt is the key, as it is written, that a value stands under.
func (f fields) spelt(v value) string { return v.path[len(f.in.path)+1:] }

// outreach returns an aggregate of the ranges' addresses that is not wholly inside their union. What lies between the
// first and the last aggregate of a range is inside the range.
func outreach(ranges []ipam.Range, bits, host int) (netip.Prefix, bool) {
	for _, in := range ranges {
		if in.From.BitLen() != host {
			continue
		}
		for _, end := range []netip.Addr{in.From, in.To} {
			aggregate := netip.PrefixFrom(end, bits).Masked()
			if !covers(ranges, ipam.PrefixRange(aggregate)) {
				return aggregate, true
			}
		}
	}
	return netip.Prefix{}, false
}

// contradiction notes what two advertisements say by a key and that differs where both are certain to advertise the same prefixes
// to the same peer from the same node.
func (r *reader) contradiction(key string, a, b advert, ranges []ipam.Range) {
	x, set := a.says(key)
	y, too := b.says(key)
	if !set || !too || x == y || !samePrefixes(a, b, ranges) || !samePeers(a.Peers, b.Peers) ||
		!meet(a.Nodes, b.Nodes) || !meet(a.Services, b.Services) {
		return
	}
	r.reject(b.place[key], fmt.Sprintf("is not the %s of %s, %s in line %d, and both are for the same prefixes, peers and nodes",
		key, a.at.path, x, a.place[key].Line), "give both the same, or only one of them any, or keep their peers or nodes apart")
}

// samePrefixes reports whether two advertisements have prefixes of one length, of a family that the pool has.
func samePrefixes(a, b advert, ranges []ipam.Range) bool {
	length := func(n, host int) int {
		if n == 0 {
			return host
		}
		return n
	}
	return slices.ContainsFunc(ranges, func(r ipam.Range) bool {
		if r.From.Is4() {
			return length(a.Length4, 32) == length(b.Length4, 32)
		}
		return length(a.Length6, 128) == length(b.Length6, 128)
	})
}

// samePeers reports whether two advertisements have a peer in common.
func samePeers(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}
