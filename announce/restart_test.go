package announce_test

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/layer2"
)

func TestRestart(t *testing.T) {
	elsewhere := func(node string) func(*announce.View) {
		return func(v *announce.View) {
			for i, m := range v.Members {
				if m.Node == node {
					v.Members[i].Links[1].Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("fe80::1/64")}
				}
			}
		}
	}
	for _, tt := range []struct {
		name, view string
		want       string // what the nodes that are alive decide
		standIn    string
		change     func(*announce.View)
	}{
		{"it is about to end", "a b:holds,restarting c", "a NotOwner b (1 claims), b yes, c NotOwner b", "a", nil},
		{"the draining is for others", "a b:holds,restarting,stands c", "a NotOwner b (1 claims), b yes, c NotOwner b", "a", nil},
		{"it has ended", "a b:holds,restarting,lost c", "a NotOwner b (1 claims), c NotOwner b", "a", nil},
		{"it is back", "a:stands b:holds,restarting,starting c", "a NotOwner b (1 claims), c NotOwner b", "a", nil},
		{"it holds it again", "a:stands b:holds c", "a NotOwner b, b yes, c NotOwner b", "", nil},
		{"its time is over", "a:stands b:holds,lost c", "a yes, c NotOwner a", "", nil},
		{"another one has taken it", "a b:holds,restarting c:holds", "a NotOwner c, b NotOwner c, c yes", "", nil},
		{"nobody else is there", "b:holds,restarting", "b yes", "", nil},
		{"nobody else is alive", "a:lost b:holds,restarting", "b yes", "", nil},
		{"who would stand in is being emptied", "a:draining b:holds,restarting,lost c", "a NodeDraining b, c NotOwner b (1 claims)", "c", nil},
		{"all are being emptied", "a:draining b:holds,restarting,lost", "a NotOwner b (1 claims)", "a", nil},
		{"two restart", "a:restarting,lost b:holds,restarting,lost c", "c NotOwner b (1 claims)", "c", nil},
		{"two that held it restart", "a:restarting,lost,holds b:holds,restarting,lost c", "c NotOwner a (1 claims)", "c", nil},
		{"all restart", "a:restarting b:holds,restarting,lost c:restarting", "a NotOwner b, c NotOwner b", "", nil},
		{"who stands in restarts too", "a:restarting,stands b:holds,restarting,lost c", "a NotOwner b (1 claims), c NotOwner b (1 claims)", "c", nil},
		{"and another one stands in by now", "a:restarting,stands b:holds,restarting,lost c:stands", "a NotOwner b, c NotOwner b (1 claims)", "c", nil},
		{"and there is nobody else", "a:restarting,stands b:holds,restarting,lost", "a NotOwner b (1 claims)", "", nil},
		{"one that comes first joins", "a b:holds,restarting,lost c:stands", "a NotOwner b (1 claims), c NotOwner b (1 claims)", "a", nil},
		{"one that comes first has begun", "a:stands b:holds,restarting,lost c:stands", "a NotOwner b (1 claims), c NotOwner b", "a", nil},
		{"it is out of service", "a b:holds,restarting,lost,barred c", "a yes, c NotOwner a", "", nil},
		{"it has no local endpoints any more", "a:local b:holds,restarting,lost", "a yes", "", nil},
		{"only it has local endpoints", "a b:holds,restarting,lost,local c", "a NoLocalEndpoints b (1 claims), c NoLocalEndpoints b", "a", nil},
		{"its cable is out", "a b:holds,restarting,lost,cut", "a yes", "", nil},
		{"the others' cables are out", "a:cut b:holds,restarting,lost", "a NoInterface b", "", nil},
		{"it is to be moved, and stays until it is back", "a c:holds,restarting,lost", "a NotOwner c (1 claims)", "a", func(v *announce.View) { v.Services[0].Rebalance = true }},
		{"the next owner is in another network", "a b:holds,restarting,lost c", "a NoInterface b, c NotOwner b (1 claims)", "c", elsewhere("a")},
		{"everybody is", "a b:holds,restarting,lost", "a yes", "", elsewhere("b")},
		{"nobody has a subnet", "a b:holds,restarting,lost", "a NotOwner b (1 claims)", "a", func(v *announce.View) {
			for i := range v.Members {
				v.Members[i].Links[1].Addrs = nil
			}
		}},
		{"a node that does not know the others", "a:stands b:holds,restarting,lost", "a NotOwner b", "", func(v *announce.View) { v.Silent = true }},
	} {
		v := lan(tt.view)
		if tt.change != nil {
			tt.change(&v)
		}
		if got := answers(v); got != tt.want {
			t.Errorf("%s: %s\n got %s\nwant %s", tt.name, tt.view, got, tt.want)
		}
		for _, n := range v.Nodes {
			v.Node = n.Name
			if v.Silent || slices.ContainsFunc(v.Members, func(m announce.Member) bool { return m.Node == n.Name && m.Presence == announce.Lost }) {
				continue
			}
			if got := announce.Decide(v).Verdicts[0].StandIn; got != tt.standIn {
				t.Errorf("%s: %s says that %q stands in, want %q", tt.name, n.Name, got, tt.standIn)
			}
		}
	}
}

// Who stands in gives the MAC address of the owner's interface in the same network, on that interface alone.
func TestStandInClaims(t *testing.T) {
	v := lan("a b:holds,restarting,lost")
	v.Node, v.Pools[0].AnswerPing, v.Pools[0].Interfaces = "a", true, []string{"eth*"}
	second := func(m *announce.Member, name string, last byte) {
		m.Links = append(m.Links, layer2.Link{Name: name, MAC: layer2.MAC{2, 0, 0, 0, 1, last}, Up: true, Carrier: true, Broadcast: true,
			Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, 0, last}), 24)}})
	}
	second(&v.Members[0], "eth7", 1)
	second(&v.Members[1], "eth5", 2)
	second(&v.Members[0], "eth8", 3)
	v.Members[0].Links[3].Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}
	want := []layer2.Claim{
		{Addr: ordered, Interfaces: []string{"eth0"}, MAC: layer2.MAC{2, 0, 0, 0, 0, 'b'}},
		{Addr: ordered, Interfaces: []string{"eth7"}, MAC: layer2.MAC{2, 0, 0, 0, 1, 2}},
	}
	if got := announce.Decide(v).Claims; !reflect.DeepEqual(got, want) {
		t.Errorf("claims\n%v, want\n%v", got, want)
	}
}

// TestNobodyIsWithoutAnAnswer: whatever restarts, nodes that know the same give one MAC address for an address, and one
// of those that are there does, unless all restart.
func TestNobodyIsWithoutAnAnswer(t *testing.T) {
	words := []string{"holds", "restarting", "restarting", "starting", "stands", "draining", "lost", "lost", "unready", "cut", "local"}
	stood := 0
	for seed := range uint64(20000) {
		random := rand.New(rand.NewPCG(seed, 1))
		text := someLAN(random, 2+random.IntN(3), words)
		v := lan(text)
		macs, owners, there, soft := map[layer2.MAC]bool{}, map[string]bool{}, 0, false
		for i, m := range v.Members {
			if m.Presence == announce.Lost || m.Starting {
				continue // what it sees is not what the others do
			}
			there++
			v.Node = m.Node
			p := announce.Decide(v)
			owners[p.Verdicts[0].Owner] = true
			soft = soft || m.Draining
			for _, c := range p.Claims {
				if c.MAC == (layer2.MAC{}) {
					c.MAC = v.Members[i].Links[1].MAC
				} else {
					stood++
				}
				macs[c.MAC] = true
			}
		}
		owned := !owners[""] && len(owners) > 0
		able := slices.ContainsFunc(v.Members, func(m announce.Member) bool {
			return m.Presence == announce.Alive && !m.Starting && !m.Restarting && m.Links[1].Carrier
		})
		if len(owners) > 1 || len(macs) > 1 && !soft || len(macs) > 2 || len(macs) == 0 && owned && able && there > 0 {
			t.Fatalf("%s: owners %v, answered with %v", text, owners, macs)
		}
	}
	if stood == 0 {
		t.Error("nobody ever stood in")
	}
}
