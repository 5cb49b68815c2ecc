package objects

import (
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kontena/network-lb/announce"
)

// Slice is an EndpointSlice reduced to counts.
type Slice struct {
	// Service is the "namespace/name" of the Service it belongs to; empty where it names none.
	Service string
	// Nodes counts the endpoints by node name; those without a node stand under "".
	Nodes map[string]announce.Endpoints
}

// FromSlice counts the endpoints of a slice. An endpoint counts as ready when ready is true or unset, else as
// serving when serving is true.
func FromSlice(o *discoveryv1.EndpointSlice) Slice {
	s := Slice{Nodes: map[string]announce.Endpoints{}}
	if name := o.Labels[discoveryv1.LabelServiceName]; name != "" {
		s.Service = o.Namespace + "/" + name
	}
	for _, e := range o.Endpoints {
		var one announce.Count
		switch {
		case e.Conditions.Ready == nil || *e.Conditions.Ready:
			one.Ready = 1
		case e.Conditions.Serving != nil && *e.Conditions.Serving:
			one.Serving = 1
		default:
			continue
		}
		node := ""
		if e.NodeName != nil {
			node = *e.NodeName
		}
		c := s.Nodes[node]
		switch o.AddressType {
		case discoveryv1.AddressTypeIPv4:
			c.V4 = add(c.V4, one)
		case discoveryv1.AddressTypeIPv6:
			c.V6 = add(c.V6, one)
		}
		s.Nodes[node] = c
	}
	return s
}

// Merge adds the counts of several slices of one Service. The counts of a single one are that slice's own.
func Merge(slices ...Slice) map[string]announce.Endpoints {
	if len(slices) == 1 {
		return slices[0].Nodes
	}
	out := map[string]announce.Endpoints{}
	for _, s := range slices {
		for node, e := range s.Nodes {
			sum := out[node]
			out[node] = announce.Endpoints{V4: add(sum.V4, e.V4), V6: add(sum.V6, e.V6)}
		}
	}
	return out
}

func add(a, b announce.Count) announce.Count {
	return announce.Count{Ready: a.Ready + b.Ready, Serving: a.Serving + b.Serving}
}
