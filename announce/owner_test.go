package announce_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/layer2"
)

// ordered is an address for which a comes first by hash, then b, c and d.
var ordered = func() netip.Addr {
	for addr := netip.MustParseAddr("10.0.0.1"); ; addr = addr.Next() {
		nodes := []string{"a", "b", "c", "d"}
		for len(nodes) > 0 && layer2.Owner(addr, nodes) == nodes[0] {
			nodes = nodes[1:]
		}
		if len(nodes) == 0 {
			return addr
		}
	}
}()

// lan is a view of nodes in words, "a:holds b:lost,unready": a Service has the address, and each node is well unless the words
// say otherwise.
//
//	holds, starting, draining     what its speaker tells
//	restarting, stands            likewise: it restarts, or stands in for another one
//	lost, missing, unknown        is known of its speaker; unmet: there is no member of that node
//	unready, podless, barred      what the cluster says: the Node is not Ready, its Pod is not, it is out of service
//	cut, bare, routed             its cable is out; it has no interface; it has a default route, but not the subnet
//	local                         it has endpoints, and only such nodes have
func lan(words string) announce.View {
	v := announce.View{
		Pools:   []announce.Pool{{Name: "lan", Addresses: prefix("10.0.0.0/8"), Layer2: true}},
		Members: []announce.Member{},
		Services: []announce.Service{{Name: "default/web", Allocated: true, Addrs: []netip.Addr{ordered},
			Endpoints: map[string]announce.Endpoints{"": ready(1)}}},
	}
	for _, word := range strings.Fields(words) {
		name, list, _ := strings.Cut(word, ":")
		has := func(w string) bool { return slices.Contains(strings.Split(list, ","), w) }
		v.Nodes = append(v.Nodes, announce.Node{Name: name, Ready: !has("unready"), Speaker: !has("podless"), OutOfService: has("barred")})
		link := layer2.Link{Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, name[0]}, Up: true, Broadcast: true, Carrier: !has("cut"), Default4: true,
			Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		if has("routed") {
			link.Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}
		}
		m := announce.Member{Node: name, Presence: announce.Alive, Known: !has("unknown"), Starting: has("starting"), Draining: has("draining"), Restarting: has("restarting"),
			Links: []layer2.Link{{Name: "docker0", Up: true, Carrier: true, Broadcast: true, MAC: link.MAC, Addrs: link.Addrs}, link}}
		switch {
		case has("lost"):
			m.Presence = announce.Lost
		case has("missing"):
			m.Presence, m.Known, m.Links = announce.Missing, false, nil
		}
		if has("bare") {
			m.Links = m.Links[:min(1, len(m.Links))]
		}
		if has("holds") {
			m.Held = []netip.Addr{ordered}
		}
		if has("stands") {
			m.Standing = []netip.Addr{ordered}
		}
		if !has("unmet") {
			v.Members = append(v.Members, m)
		}
		if has("local") {
			s := &v.Services[0]
			if !s.Local {
				s.Local, s.Endpoints = true, map[string]announce.Endpoints{}
			}
			s.Endpoints[name] = ready(1)
		}
	}
	return v
}

// answers is what the nodes decide that see it so: "a yes, b NotOwner a". The others see something else.
func answers(v announce.View) string {
	var out []string
	for _, n := range v.Nodes {
		i := slices.IndexFunc(v.Members, func(m announce.Member) bool { return m.Node == n.Name })
		if v.Members != nil && (i < 0 || v.Members[i].Presence != announce.Alive || v.Members[i].Starting || !v.Members[i].Known) {
			continue
		}
		v.Node = n.Name
		p := announce.Decide(v)
		verdict := p.Verdicts[0]
		word := string(verdict.Reason)
		if word == "" {
			word = "yes"
		}
		if verdict.Owner != n.Name && verdict.Owner != "" {
			word += " " + verdict.Owner
		}
		if claims := len(p.Claims); (claims == 1) != (verdict.Reason == "") {
			word += fmt.Sprintf(" (%d claims)", claims)
		}
		out = append(out, n.Name+" "+word)
	}
	return strings.Join(out, ", ")
}

func TestOwner(t *testing.T) {
	for _, tt := range []struct {
		name, view string
		want       string
		change     func(*announce.View)
	}{
		{"the first by hash", "a b c", "a yes, b NotOwner a, c NotOwner a", nil},
		{"whatever the order", "c b a", "c NotOwner a, b NotOwner a, a yes", nil},
		{"the one that holds it", "a b c:holds", "a NotOwner c, b NotOwner c, c yes", nil},
		{"several hold it", "a b:holds c:holds", "a NotOwner b, b yes, c NotOwner b", nil},
		{"the holder is lost", "a b c:lost,holds", "a yes, b NotOwner a", nil},
		{"the holder is lost, and so is the first", "a:lost b c:lost,holds", "b yes", nil},
		{"the holder is alive and its Node is not ready", "a b:holds,unready,podless c", "a NotOwner b, b yes, c NotOwner b", nil},
		{"the first is alive and its Node is not ready", "a:unready,podless b", "a yes, b NotOwner a", nil},
		{"the holder is out of service", "a b c:holds,barred", "a yes, b NotOwner a, c NodeOutOfService a", nil},
		{"the holder has told nothing yet", "a:starting b c:holds,unknown", "b yes", nil},
		{"the first is starting", "a:starting b", "b yes", nil},
		{"the first was never met, and works", "a:missing b", "b NotOwner a", nil},
		{"the first is no member, and works", "a:unmet b", "b NotOwner a", nil},
		{"the first was never met, and its Node is not ready", "a:missing,unready b", "b yes", nil},
		{"the first was never met, and its Pod is not ready", "a:missing,podless b", "b yes", nil},
		{"the first was never met, another one holds it", "a:missing b:holds", "b yes", nil},
		{"only it may, and its Node is not ready", "a:missing,unready,local b", "b NoLocalEndpoints a", nil},
		{"the holder's cable is out", "a b c:holds,cut", "a yes, b NotOwner a, c NoInterface a", nil},
		{"the first has no interface for it", "a:bare b", "a NoInterface b, b yes", nil},
		{"nobody has", "a:bare b:cut", "a NoInterface, b NoInterface", nil},
		{"by the default route", "a:routed b:routed", "a yes, b NotOwner a", nil},
		{"one has the subnet", "a:routed b:routed,holds c", "a NoInterface c, b NoInterface c, c yes", nil},
		{"one was never met, the others have the default route", "b:routed c:missing d:routed", "b yes, d NotOwner b", nil},
		{"one was never met, the others have no interface", "b:missing c:bare", "c NoInterface b", nil},
		{"the first is being emptied", "a:draining b", "a NodeDraining b, b yes", nil},
		{"the holder is being emptied", "a b:holds,draining c", "a yes, b yes a, c NotOwner a", nil},
		{"it was taken over", "a:holds b:holds,draining c", "a yes, b NodeDraining a, c NotOwner a", nil},
		{"the holder is being emptied, nobody was met who could", "a:missing b:holds,draining", "b yes a", nil},
		{"all are being emptied", "a:draining b:holds,draining", "a NotOwner b, b yes", nil},
		{"the holder is being emptied and has no interface", "a b:holds,draining,cut", "a yes, b NoInterface a", nil},
		{"local endpoints", "a b:local c:local", "a NoLocalEndpoints b, b yes, c NotOwner b", nil},
		{"the holder has no local endpoints any more", "a:holds b:local", "a NoLocalEndpoints b, b yes", nil},
		{"to be moved", "a b:holds c", "a yes, b yes a, c NotOwner a", func(v *announce.View) { v.Services[0].Rebalance = true }},
		{"moved", "a:holds b:holds c", "a yes, b NotOwner a, c NotOwner a", func(v *announce.View) { v.Services[0].Rebalance = true }},
		{"to be moved, and the first is gone", "a:lost b:holds c", "b yes, c NotOwner b", func(v *announce.View) { v.Services[0].Rebalance = true }},
		{"to be moved, and the first has no interface", "a:bare b c:holds", "a NoInterface b, b yes, c yes b", func(v *announce.View) { v.Services[0].Rebalance = true }},
		{"another one answers", "a b c", "a NotOwner c, b NotOwner a, c NotOwner a", func(v *announce.View) {
			v.Answered = map[netip.Addr]string{ordered: "c"}
		}},
		{"nobody knows who answers", "b:holds c", "b NotOwner, c NotOwner b", func(v *announce.View) { v.Answered = map[netip.Addr]string{ordered: ""} }},
		{"a node that does not know the others", "a:holds", "a NotOwner", func(v *announce.View) { v.Silent = true }},
		{"a named interface", "a b:bare", "a NoInterface, b NoInterface", func(v *announce.View) { v.Pools[0].Interfaces = []string{"eth1"} }},
		{"an excluded one, in full", "a b:bare", "a yes, b NotOwner a", func(v *announce.View) { v.Pools[0].Interfaces = []string{"docker0"} }},
		{"an excluded one", "a b", "a NoInterface, b NoInterface", func(v *announce.View) { v.Exclude = []string{"eth*"} }},
		{"no membership", "a:missing,bare b", "a yes, b NotOwner a", func(v *announce.View) { v.Members = nil }},
		{"no membership, not ready", "a:unready b", "a NotOwner b, b yes", func(v *announce.View) { v.Members = nil }},
	} {
		v := lan(tt.view)
		if tt.change != nil {
			tt.change(&v)
		}
		if got := answers(v); got != tt.want {
			t.Errorf("%s: %s\n got %s\nwant %s", tt.name, tt.view, got, tt.want)
		}
	}
}

// A Service that shares the address is not in the way of the one that holds it, and the claim names the interfaces.
func TestSharedAddressStays(t *testing.T) {
	v := lan("a b:holds c")
	v.Pools[0].Interfaces, v.Pools[0].AnswerPing = []string{"eth*"}, true
	other := v.Services[0]
	other.Name, other.Local, other.Endpoints = "default/other", true, map[string]announce.Endpoints{"a": ready(1), "c": ready(1)}
	v.Services = append(v.Services, other)
	for node, want := range map[string][]layer2.Claim{"a": nil, "b": {{Addr: ordered, Interfaces: []string{"eth*"}, AnswerPing: true}}, "c": nil} {
		v.Node = node
		if got := announce.Decide(v).Claims; !reflect.DeepEqual(got, want) {
			t.Errorf("%s claims %v, want %v", node, got, want)
		}
	}
	v.Services[1].Rebalance = true // it comes to c or a: both Services may be announced there
	v.Node = "a"
	if got := announce.Decide(v).Claims; len(got) != 1 {
		t.Errorf("to be moved: a claims %v", got)
	}
}

// someLAN says of so many nodes some of the words, as lan reads them.
func someLAN(random *rand.Rand, nodes int, words []string) string {
	var view []string
	for i := range nodes {
		word := string(rune('a' + i))
		for _, w := range words {
			if random.IntN(6) == 0 {
				word += map[bool]string{true: ":", false: ","}[!strings.Contains(word, ":")] + w
			}
		}
		view = append(view, word)
	}
	return strings.Join(view, " ")
}

// TestNodesAgree: whatever is known, nodes that know the same name the same owner, and no two of them claim an address,
// but while it is handed over.
func TestNodesAgree(t *testing.T) {
	words := []string{"holds", "draining", "lost", "unready", "podless", "barred", "cut", "bare", "routed", "local"}
	handed := 0
	for seed := range uint64(20000) {
		random := rand.New(rand.NewPCG(seed, 0))
		text := someLAN(random, 1+random.IntN(4), words)
		v := lan(text)
		v.Services[0].Rebalance = random.IntN(4) == 0
		owners, claims := map[string]bool{}, []string{}
		soft := v.Services[0].Rebalance
		for _, m := range v.Members {
			if m.Presence == announce.Lost {
				continue // it sees itself alive, the others do not
			}
			soft = soft || m.Draining
			v.Node = m.Node
			p := announce.Decide(v)
			owners[p.Verdicts[0].Owner] = true
			if len(p.Claims) > 0 {
				claims = append(claims, m.Node)
			}
		}
		if len(owners) > 1 || len(claims) > 2 || len(claims) == 2 && !soft || len(claims) == 0 && !owners[""] && len(owners) > 0 {
			t.Fatalf("%s: owners %v, claimed by %v", text, owners, claims)
		}
		if len(claims) == 2 {
			handed++
			// The next state: the new one has taken it.
			for i := range v.Members {
				if owners[v.Members[i].Node] {
					v.Members[i].Held = []netip.Addr{ordered}
				}
			}
			for _, node := range claims {
				v.Node = node
				if got := len(announce.Decide(v).Claims) > 0; got != owners[node] {
					t.Fatalf("%s: after it was taken over %s claims it: %v", text, node, got)
				}
			}
		}
	}
	if handed == 0 {
		t.Error("nothing was ever handed over")
	}
}
