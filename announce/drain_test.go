package announce_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/selector"
)

// drained is a view of node a, which announces two addresses in a subnet as b does, to one router.
func drained() announce.View {
	v := announce.View{
		Node:  "a",
		Nodes: []announce.Node{{Name: "a", Ready: true, Speaker: true}, {Name: "b", Ready: true, Speaker: true}},
		Pools: []announce.Pool{{Name: "routed", Addresses: prefix("10.89.0.0/24"), BGP: true}},
		Peers: []announce.Peer{{Peer: bgp.Peer{Name: "tor"}}},
	}
	for i, name := range []string{"one", "two"} {
		v.Services = append(v.Services, announce.Service{Name: name, Allocated: true, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 89, 0, byte(i + 1)})},
			Endpoints: map[string]announce.Endpoints{"a": ready(1), "b": ready(1)}})
	}
	return v
}

// said is a plan's BGP part: a reason or the routes, each with what is said of it.
func said(p announce.Plan) string {
	var words []string
	for _, v := range p.Verdicts {
		if v.Reason != "" {
			words = append(words, fmt.Sprintf("%s %s", v.Service, v.Reason))
		}
	}
	for _, r := range p.Routes {
		word := r.Prefix.String()
		if slices.Contains(r.Communities, bgp.GracefulShutdown) && r.LocalPref == bgp.Some(0) && r.Prepend == 3 {
			word += " leaving"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func TestDrainByBGP(t *testing.T) {
	const taint = "example.com/leaving"
	for _, tt := range []struct {
		name   string
		stage  announce.Stage
		change func(*announce.View)
		want   string
	}{
		{"staying", announce.Staying, nil, "10.89.0.1/32, 10.89.0.2/32"},
		{"leaving", announce.Leaving, nil, "10.89.0.1/32 leaving, 10.89.0.2/32 leaving"},
		{"withdrawing", announce.Withdrawing, nil, "one NodeDraining, two NodeDraining"},
		{"left", announce.Left, nil, "one NodeDraining, two NodeDraining"},
		{"the last speaker", announce.Withdrawing, func(v *announce.View) { v.Nodes[1].Speaker = false }, "10.89.0.1/32 leaving, 10.89.0.2/32 leaving"},
		{"the last speaker has left", announce.Left, func(v *announce.View) { v.Nodes[1].Speaker = false }, "one NodeDraining, two NodeDraining"},
		{"the other one drains too", announce.Withdrawing, func(v *announce.View) { v.Nodes[1].Drain = true }, "10.89.0.1/32 leaving, 10.89.0.2/32 leaving"},
		{"the other one has the taint", announce.Withdrawing, func(v *announce.View) {
			v.Nodes[1].Taints, v.DrainTaints = []string{"x", taint}, []string{taint}
		}, "10.89.0.1/32 leaving, 10.89.0.2/32 leaving"},
		{"the other one has another taint", announce.Withdrawing, func(v *announce.View) {
			v.Nodes[1].Taints, v.DrainTaints = []string{"x"}, []string{taint}
		}, "one NodeDraining, two NodeDraining"},
		{"the other one is excluded", announce.Withdrawing, func(v *announce.View) {
			v.Nodes[1].Labels = map[string]string{"node.kubernetes.io/exclude-from-external-load-balancers": ""}
		}, "10.89.0.1/32 leaving, 10.89.0.2/32 leaving"},
		{"no peer selects the other one", announce.Withdrawing, func(v *announce.View) {
			v.Nodes[0].Labels = map[string]string{"rack": "a"}
			rack, _ := selector.New(v.Nodes[0].Labels, nil)
			v.Peers[0].Nodes = selector.Any{rack}
		}, "10.89.0.1/32 leaving, 10.89.0.2/32 leaving"},
		{"the only endpoints", announce.Withdrawing, func(v *announce.View) {
			v.Services[1].Local = true
			v.Services[1].Endpoints = map[string]announce.Endpoints{"a": ready(1)}
		}, "one NodeDraining, 10.89.0.2/32 leaving"},
		{"the only ready endpoints, others serve", announce.Withdrawing, func(v *announce.View) {
			v.Nodes[0].Drain, v.Services[1].Local = true, true
			v.Services[1].Endpoints = map[string]announce.Endpoints{"a": ready(1), "b": terminating(1)}
		}, "one NodeDraining, two NodeDraining"},
		{"an aggregate", announce.Leaving, aggregate, "10.89.0.0/24 leaving"},
		{"an aggregate of which a part stays", announce.Withdrawing, func(v *announce.View) {
			aggregate(v)
			v.Services[1].Local = true
			v.Services[1].Endpoints = map[string]announce.Endpoints{"a": ready(1)}
		}, "one NodeDraining, 10.89.0.2/32 leaving"},
		{"no endpoints", announce.Withdrawing, func(v *announce.View) { v.Services[0].Endpoints = nil }, "one NoEndpoints, two NodeDraining"},
		{"excluded", announce.Left, func(v *announce.View) { v.Nodes[0].OutOfService = true }, "one NodeOutOfService, two NodeOutOfService"},
	} {
		v := drained()
		v.Stage = tt.stage
		if tt.change != nil {
			tt.change(&v)
		}
		if got := said(announce.Decide(v)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func aggregate(v *announce.View) { v.Pools[0].Advertisements = []announce.Advertisement{{Length4: 24}} }

// Who takes over from a node that drains announces before that has withdrawn, though its endpoints only serve on.
func TestOthersStepIn(t *testing.T) {
	v := drained()
	v.Node, v.Nodes[0].Drain = "b", true
	for i := range v.Services {
		v.Services[i].Local = true
		v.Services[i].Endpoints = map[string]announce.Endpoints{"a": ready(1), "b": terminating(1)}
	}
	if got := said(announce.Decide(v)); got != "10.89.0.1/32, 10.89.0.2/32" {
		t.Errorf("b says %s", got)
	}
}

// Without a membership the cluster's word that a node is to be emptied is enough, unless all are.
func TestDrainOnLayer2WithoutMembership(t *testing.T) {
	owner := func(v announce.View) string { return announce.Decide(v).Verdicts[0].Owner }
	v := drained()
	v.Pools[0].Layer2, v.Pools[0].BGP = true, false
	first := owner(v)
	for i := range v.Nodes {
		v.Nodes[i].Drain = v.Nodes[i].Name == first
	}
	if second := owner(v); second == first || second == "" {
		t.Errorf("%q owns it", second)
	}
	for i := range v.Nodes {
		v.Nodes[i].Drain = true
	}
	if all := owner(v); all != first {
		t.Errorf("%q owns it where all drain, want %q", all, first)
	}
}
