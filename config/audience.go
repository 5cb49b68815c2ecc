package config

import (
	"math"
	"slices"

	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/selector"
)

const (
	quotaRemedy = "write how many addresses a namespace may have, 0 for any number"
	namesRemedy = "use lower-case letters, digits and '-', 63 at most and a letter or digit at both ends, as namespaces are named"
)

var reaches = words[ipam.Reach]{
	{"namespace", ipam.SharedInNamespace}, {"cluster", ipam.SharedByAll}, {"none", ipam.NotShared},
}

// audience reads the keys of a pool that say whom it serves, and who may share what it gives.
func (r *reader) audience(f fields, p *Pool) {
	if v, ok := f.get("sharing"); ok {
		p.Sharing = oneOf(r, v, "who may share an address", reaches)
	}
	if v, ok := f.get("max_per_namespace"); ok {
		n, _ := r.number(v, 0, math.MaxInt32, quotaRemedy)
		p.MaxPerNamespace = int(n)
	}
	if v, ok := f.get("namespaces"); ok {
		for _, element := range r.list(v) {
			r.namespace(element, p)
		}
	}
	p.NamespaceSelectors = r.selectors(f, "namespace_selectors")
	p.ServiceSelectors = r.selectors(f, "service_selectors")
}

// namespace reads one element of namespaces.
func (r *reader) namespace(v value, p *Pool) {
	name, ok := r.text(v, "the name of a namespace")
	switch {
	case !ok:
	case !dnsLabel.MatchString(name):
		r.reject(v, "is not a DNS label", namesRemedy)
	case slices.Contains(p.Namespaces, name):
		r.reject(v, "is there twice", "keep one of them")
	default:
		p.Namespaces = append(p.Namespaces, name)
	}
}

// audience is whom a pool serves.
type audience struct {
	namespaces      []string
	namespaceLabels selector.Any
	serviceLabels   selector.Any
}

// selector returns whom the pool serves; nil: every Service.
func (p Pool) selector() ipam.Selector {
	if len(p.Namespaces)+len(p.NamespaceSelectors)+len(p.ServiceSelectors) == 0 {
		return nil
	}
	return audience{p.Namespaces, p.NamespaceSelectors, p.ServiceSelectors}
}

// Matches implements ipam.Selector.
func (a audience) Matches(r ipam.Request) bool {
	return a.fromHere(r) && a.serviceLabels.Matches(r.Labels)
}

// fromHere reports whether the namespace of a request is one that the pool serves.
func (a audience) fromHere(r ipam.Request) bool {
	if len(a.namespaces)+len(a.namespaceLabels) == 0 || slices.Contains(a.namespaces, r.Namespace) {
		return true
	}
	return len(a.namespaceLabels) > 0 && a.namespaceLabels.Matches(r.NamespaceLabels)
}
