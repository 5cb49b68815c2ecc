package config

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/kontena/network-lb/ipam"
)

const (
	nameRemedy = "use lower-case letters, digits and '-', 63 at most and a letter or digit at both ends, such as default"

	protocolRemedy  = "use layer2, bgp or [layer2, bgp]"
	addressesRemedy = "list CIDRs, ranges and single addresses, such as [10.20.0.0/24, 10.20.1.10-10.20.1.20]"
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// placed is a range of a pool with its place in the document.
type placed struct {
	ipam.Range
	at   value
	pool string
}

// pools reads address_pools.
func (r *reader) pools(v value) []Pool {
	elements := r.list(v)
	if len(elements) == 0 {
		return nil
	}
	pools := make([]Pool, 0, len(elements))
	var ranges []placed
	names := map[string]value{}
	for _, element := range elements {
		p, placed := r.pool(element, names)
		pools = append(pools, p)
		ranges = append(ranges, placed...)
	}
	r.overlaps(ranges)
	return pools
}

// pool reads one pool; names are those of the pools before it.
func (r *reader) pool(v value, names map[string]value) (Pool, []placed) {
	p := Pool{AutoAssign: true, StickyTTL: defaultStickyTTL, Cooldown: defaultCooldown}
	f := r.fields(v, aPool)
	if name, ok := r.require(f, "name", nameRemedy); ok {
		p.Name = r.poolName(name, names)
	}
	if protocol, ok := r.require(f, "protocol", protocolRemedy); ok {
		r.protocol(protocol, &p)
	}
	var ranges []placed
	if addresses, ok := r.require(f, "addresses", addressesRemedy); ok {
		elements := r.list(addresses)
		if isEmptyList(addresses) {
			r.reject(addresses, "has no address", addressesRemedy)
		}
		for _, element := range elements {
			if a, ok := r.addresses(element); ok {
				ranges = append(ranges, placed{a, element, p.Name})
				p.Ranges = append(p.Ranges, a)
			}
		}
	}
	addresses, _ := f.get("addresses")
	complete := len(ranges) > 0 && len(ranges) == len(addresses.Content)
	r.rules(f, &p, complete)
	p.NodeSelectors = r.selectors(f, "node_selectors")
	r.answering(f, &p)
	r.advertisements(f, &p, complete)
	return p, ranges
}

func (r *reader) poolName(v value, names map[string]value) string {
	name, ok := r.text(v, "a name")
	if !ok {
		return ""
	}
	if !dnsLabel.MatchString(name) {
		r.reject(v, "is not a DNS label", nameRemedy)
		return name
	}
	if first, twice := names[name]; twice {
		r.reject(v, fmt.Sprintf("is already the name of the pool in line %d", first.Line), "give every pool its own name")
		return name
	}
	names[name] = v
	return name
}

// protocol reads "bgp", or a list of protocols.
func (r *reader) protocol(v value, p *Pool) {
	elements := []value{v}
	if isList := len(v.Content) > 0 || isEmptyList(v); isList {
		elements = r.list(v)
	}
	if isEmptyList(v) {
		r.reject(v, "names no protocol", protocolRemedy)
	}
	for _, element := range elements {
		name, ok := r.text(element, "a protocol")
		if !ok {
			continue
		}
		set := map[string]*bool{"layer2": &p.Layer2, "bgp": &p.BGP}[name]
		switch {
		case set == nil:
			remedy := protocolRemedy
			if near := nearest(name, []string{"layer2", "bgp"}); near != "" {
				remedy = "did you mean " + near + "?"
			}
			r.reject(element, "is not a protocol", remedy)
		case *set:
			r.reject(element, "is there twice", "keep one of them")
		default:
			*set = true
		}
	}
}

// addresses reads a CIDR, a range or a single address.
func (r *reader) addresses(v value) (ipam.Range, bool) {
	s, ok := r.text(v, "an address")
	if !ok {
		return ipam.Range{}, false
	}
	a, err := ipam.ParseRange(s)
	if err != nil {
		r.reject(v, "is not valid: "+err.Error(), "write a CIDR, a range such as 10.20.1.10-10.20.1.20, or an address")
		return ipam.Range{}, false
	}
	if ipam.HasHostBits(s) {
		r.warn(v, "has host bits, so that "+a.String()+" is meant", "write "+a.String())
	}
	return a, true
}

// overlaps notes every range that has an address in common with one before it.
func (r *reader) overlaps(ranges []placed) {
	ranges = slices.SortedStableFunc(slices.Values(ranges), func(a, b placed) int { return a.From.Compare(b.From) })
	var last placed // of the ranges so far, the one that ends last
	for i, p := range ranges {
		if i > 0 && last.Overlaps(p.Range) {
			first, second := last, p
			if second.at.Line < first.at.Line || second.at.Line == first.at.Line && second.at.Column < first.at.Column {
				first, second = second, first
			}
			r.rejectText(second.at, second.String(), fmt.Sprintf("overlaps %s of pool %q at %s (line %d)",
				first.Range, first.pool, first.at.path, first.at.Line), "leave every address to one of them")
		}
		if i == 0 || last.From.BitLen() != p.From.BitLen() || last.To.Less(p.To) {
			last = p
		}
	}
}

// AnycastAddresses returns the subnet-router anycast addresses (RFC 4291 section 2.6.1) of the pools' IPv6 prefixes.
// Those of /127 and /128 have none (RFC 6164).
func (c Config) AnycastAddresses() []ipam.Range {
	var all []ipam.Range
	for _, p := range c.Pools {
		for _, r := range p.Ranges {
			if r.From.Is6() && isSubnet(r) {
				all = append(all, ipam.Range{From: r.From, To: r.From})
			}
		}
	}
	return all
}

// isSubnet reports whether a range is a prefix of at most 126 bits.
func isSubnet(r ipam.Range) bool {
	for bits := range 127 {
		if p, err := r.From.Prefix(bits); err == nil && ipam.PrefixRange(p) == r {
			return true
		}
	}
	return false
}
