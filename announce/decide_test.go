package announce_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/selector"
)

type prefix string

func (p prefix) Contains(a netip.Addr) bool { return netip.MustParsePrefix(string(p)).Contains(a) }

var (
	ip4 = netip.MustParseAddr("10.89.0.1")
	ip6 = netip.MustParseAddr("fd00:88::1")
)

func ready(n int) announce.Endpoints {
	return announce.Endpoints{V4: announce.Count{Ready: n}, V6: announce.Count{Ready: n}}
}

func terminating(n int) announce.Endpoints {
	return announce.Endpoints{V4: announce.Count{Serving: n}, V6: announce.Count{Serving: n}}
}

// cluster is a view with three good nodes, a pool for each protocol, a peer for each of two nodes and one
// Service with an address of each pool and endpoints on b and c.
func cluster() announce.View {
	node := func(name string) announce.Node {
		return announce.Node{Name: name, Ready: true, Speaker: true, Labels: map[string]string{"host": name},
			InternalIPs: []netip.Addr{netip.MustParseAddr("fd00::1"), netip.MustParseAddr("10.0.0.1")}}
	}
	only := func(name string) selector.Any {
		s, err := selector.New(map[string]string{"host": name}, nil)
		if err != nil {
			panic(err)
		}
		return selector.Any{s}
	}
	return announce.View{
		Node:  "a",
		Nodes: []announce.Node{node("a"), node("b"), node("c")},
		Pools: []announce.Pool{
			{Name: "routed", Addresses: prefix("10.89.0.0/24"), BGP: true},
			{Name: "lan", Addresses: prefix("fd00:88::/64"), Layer2: true},
		},
		Peers: []announce.Peer{
			{Peer: bgp.Peer{Name: "tor-a"}, Nodes: only("a")},
			{Peer: bgp.Peer{Name: "tor-b", RouterID: netip.MustParseAddr("1.1.1.1")}, Nodes: only("b")},
		},
		Services: []announce.Service{{Name: "default/web", Allocated: true, Addrs: []netip.Addr{ip4, ip6},
			Endpoints: map[string]announce.Endpoints{"b": ready(1), "c": ready(1)}}},
	}
}

// text is a plan in one line: the routes, the claims and the reasons.
func text(p announce.Plan) string {
	var words []string
	for _, v := range p.Verdicts {
		word := string(v.Protocol) + " " + string(v.Reason)
		if v.Reason == "" {
			word += "yes"
		}
		words = append(words, strings.TrimSpace(word))
	}
	return strings.Join(words, ", ")
}

func TestDecide(t *testing.T) {
	owner := layer2.Owner(ip6, []string{"a", "b", "c"})
	rest := slices.DeleteFunc([]string{"a", "b", "c"}, func(n string) bool { return n == owner })
	second := layer2.Owner(ip6, rest)
	tests := []struct {
		name   string
		node   string
		change func(*announce.View)
		want   string
	}{
		{"zero view", "a", func(v *announce.View) { *v = announce.View{} }, ""},
		{"owner", owner, nil, ownerText(owner)},
		{"not owner", second, nil, strings.Replace(ownerText(second), "layer2 yes", "layer2 NotOwner", 1)},
		{"no peer selects the node", "c", nil, "bgp NodeNotSelected, layer2 " + l2("c", owner)},
		{"no pool", "a", func(v *announce.View) { v.Pools = nil }, "NotConfigured, NotConfigured"},
		{"not allocated", "a", func(v *announce.View) { v.Services[0].Allocated = false }, "bgp NotAllocated, layer2 NotAllocated"},
		{"unknown node", "z", nil, "bgp NodeNotSelected, layer2 NodeNotSelected"},
		{"excluded by label", "a", func(v *announce.View) {
			v.Nodes[0].Labels = map[string]string{"node.kubernetes.io/exclude-from-external-load-balancers": ""}
		}, "bgp NodeExcluded, layer2 NodeExcluded"},
		{"network unavailable", "a", func(v *announce.View) { v.Nodes[0].NetworkUnavailable = true },
			"bgp NodeNetworkUnavailable, layer2 NodeNetworkUnavailable"},
		{"out of service", "a", func(v *announce.View) { v.Nodes[0].OutOfService = true }, "bgp NodeOutOfService, layer2 NodeOutOfService"},
		{"no endpoints", "a", func(v *announce.View) { v.Services[0].Endpoints = nil }, "bgp NoEndpoints, layer2 NoEndpoints"},
		{"endpoints of the other family", "a", func(v *announce.View) {
			v.Services[0].Endpoints = map[string]announce.Endpoints{"a": {V6: announce.Count{Ready: 1}}}
			v.Nodes = v.Nodes[:1]
		}, "bgp NoEndpoints, layer2 yes"},
		{"local without local endpoints", "a", func(v *announce.View) { v.Services[0].Local = true },
			"bgp NoLocalEndpoints, layer2 NoLocalEndpoints"},
		{"local with local endpoints", "b", func(v *announce.View) {
			v.Services[0].Local = true
			delete(v.Services[0].Endpoints, "c")
		}, "bgp yes, layer2 yes"},
		{"local, terminating ones yield to ready ones", "b", func(v *announce.View) {
			v.Services[0].Local = true
			v.Services[0].Endpoints["b"] = terminating(2)
		}, "bgp NoLocalEndpoints, layer2 NoLocalEndpoints"},
		{"local, terminating ones serve on when they are the last", "b", func(v *announce.View) {
			v.Services[0].Local = true
			v.Services[0].Endpoints = map[string]announce.Endpoints{"b": terminating(2)}
		}, "bgp yes, layer2 yes"},
		{"local, ready ones on a barred node do not count", "b", func(v *announce.View) {
			v.Services[0].Local = true
			v.Services[0].Endpoints["b"] = terminating(2)
			v.Nodes[2].OutOfService = true
		}, "bgp yes, layer2 yes"},
		{"the owner's node is not ready", second, func(v *announce.View) { node(v, owner).Ready = false }, ownerText(second)},
		{"no speaker on the owner's node", second, func(v *announce.View) { node(v, owner).Speaker = false }, ownerText(second)},
		{"no node is ready", owner, func(v *announce.View) {
			for i := range v.Nodes {
				v.Nodes[i].Ready = false
			}
		}, ownerText(owner)},
		{"both protocols in one pool", owner, func(v *announce.View) {
			v.Pools = []announce.Pool{{Name: "all", Addresses: prefix("fd00:88::/64"), Layer2: true, BGP: true}}
			v.Services[0].Addrs = []netip.Addr{ip6}
		}, ownerText(owner)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := cluster()
			v.Node = tt.node
			if tt.change != nil {
				tt.change(&v)
			}
			if got := text(announce.Decide(v)); got != tt.want {
				t.Errorf("Decide on %s = %q, want %q", tt.node, got, tt.want)
			}
		})
	}
}

func ownerText(node string) string {
	if node == "c" { // no peer selects it
		return "bgp NodeNotSelected, layer2 yes"
	}
	return "bgp yes, layer2 yes"
}

func l2(node, owner string) string {
	if node == owner {
		return "yes"
	}
	return "NotOwner"
}

func node(v *announce.View, name string) *announce.Node {
	i := slices.IndexFunc(v.Nodes, func(n announce.Node) bool { return n.Name == name })
	return &v.Nodes[i]
}

func TestPlanIsWhatTheVerdictsSay(t *testing.T) {
	for _, name := range []string{"a", "b", "c"} {
		v := cluster()
		v.Node = name
		p := announce.Decide(v)
		for _, verdict := range p.Verdicts {
			routed := slices.ContainsFunc(p.Routes, func(r bgp.Route) bool { return r.Prefix.Addr() == verdict.Addr })
			claimed := slices.ContainsFunc(p.Claims, func(c layer2.Claim) bool { return c.Addr == verdict.Addr })
			yes := verdict.Reason == ""
			if routed != (yes && verdict.Protocol == announce.BGP) || claimed != (yes && verdict.Protocol == announce.Layer2) {
				t.Errorf("node %s: verdict %+v, but routed %v and claimed %v", name, verdict, routed, claimed)
			}
		}
	}
}

func TestExactlyOneOwner(t *testing.T) {
	owners := 0
	for _, name := range []string{"a", "b", "c"} {
		v := cluster()
		v.Node = name
		owners += len(announce.Decide(v).Claims)
	}
	if owners != 1 {
		t.Errorf("%d nodes claim the address, want 1", owners)
	}
}

func TestDecideIsDeterministic(t *testing.T) {
	v := cluster()
	want := announce.Decide(v)
	slices.Reverse(v.Nodes)
	slices.Reverse(v.Peers)
	slices.Reverse(v.Services[0].Addrs)
	if got := announce.Decide(v); !reflect.DeepEqual(got, want) {
		t.Errorf("another order of the same view gives\n%+v, want\n%+v", got, want)
	}
}

func TestRouterID(t *testing.T) {
	v := cluster()
	if got := announce.Decide(v).Peers; len(got) != 1 || got[0].RouterID.String() != "10.0.0.1" {
		t.Errorf("peers of a = %+v, want tor-a alone with the node's IPv4 address as router ID", got)
	}
	v.Node = "b"
	if got := announce.Decide(v).Peers; len(got) != 1 || got[0].RouterID.String() != "1.1.1.1" {
		t.Errorf("peers of b = %+v, want tor-b alone with its own router ID", got)
	}
}

func ExampleDecide() {
	v := announce.View{
		Node:  "worker-1",
		Nodes: []announce.Node{{Name: "worker-1", Ready: true, Speaker: true}},
		Pools: []announce.Pool{{Name: "default", Addresses: prefix("10.89.0.0/24"), BGP: true}},
		Peers: []announce.Peer{{Peer: bgp.Peer{Name: "tor"}}},
		Services: []announce.Service{{
			Name: "default/web", Allocated: true, Addrs: []netip.Addr{netip.MustParseAddr("10.89.0.1")},
			Endpoints: map[string]announce.Endpoints{"worker-1": {V4: announce.Count{Ready: 1}}},
		}},
	}
	fmt.Println(announce.Decide(v).Routes[0].Prefix)
	v.Services[0].Endpoints = nil
	fmt.Println(announce.Decide(v).Verdicts[0].Reason)
	// Output:
	// 10.89.0.1/32
	// NoEndpoints
}
