package bgp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// TestRandomOperations does whatever comes to mind to a Speaker and its routers. Whenever it pauses, the
// routers know what a simple reading of the last Set says.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			run(t, func(b bench) {
				random := rand.New(rand.NewPCG(seed, 7))
				behaviour := map[netip.Addr]Behaviour{}
				for range 60 {
					peers, routes := randomWishes(random)
					if err := b.speaker.Set(peers, routes); err != nil {
						t.Fatal(err)
					}
					for range random.IntN(4) {
						r := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(6))})
						switch random.IntN(6) {
						case 0:
							behaviour[r] = Behaviour(random.IntN(5))
							b.network.Behave(r, behaviour[r], "told so")
						case 1:
							b.network.Lose(r, "lost", random.IntN(2) == 0)
						case 2:
							b.after(time.Duration(random.IntN(20000)) * time.Millisecond)
						case 3:
							b.network.SetPassword(r, randomPassword(random))
						case 4:
							b.network.SetASN(r, uint32(64511+random.IntN(3)))
						case 5:
							b.network.Send(r, random.IntN(20), random.IntN(20))
						}
					}
					if random.IntN(4) > 0 {
						continue
					}
					for r, how := range behaviour {
						if how != Answers {
							behaviour[r] = Answers
							b.network.Behave(r, Answers, "")
						}
					}
					for _, p := range peers {
						b.network.SetPassword(p.Address, p.Password)
						b.network.SetASN(p.Address, 0)
						b.network.Send(p.Address, 10, 10)
					}
					b.after(5 * time.Minute)
					check(t, b, peers, routes)
				}
			})
		})
	}
}

// randomWishes are up to five peers and a dozen routes.
func randomWishes(random *rand.Rand) (peers []Peer, routes []Route) {
	for i := range 6 {
		if random.IntN(3) == 0 {
			continue
		}
		p := peer(fmt.Sprint("p", i), fmt.Sprint("10.0.0.", i))
		p.MyASN += uint32(random.IntN(2))
		p.HoldTime = time.Duration(random.IntN(2)) * 9 * time.Second
		p.Password = randomPassword(random)
		p.BFD = BFD{Enabled: random.IntN(2) == 0, Multiplier: uint8(2 + random.IntN(2))}
		p.MaxReceived = random.IntN(2) * (10 + random.IntN(5))
		if random.IntN(3) == 0 {
			p.PeerASN, p.External = 0, true
		}
		peers = append(peers, p)
	}
	for range random.IntN(12) {
		r := Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(random.IntN(8))}), 32)}
		r.Prepend = uint8(random.IntN(3))
		for range random.IntN(3) {
			r.Communities = append(r.Communities, StandardCommunity(uint32(random.IntN(3))))
		}
		if random.IntN(2) == 0 && len(peers) > 0 {
			r.Peers = []string{peers[random.IntN(len(peers))].Name}
		}
		routes = append(routes, r)
	}
	return peers, routes
}

func randomPassword(random *rand.Rand) Password {
	return Password([]string{"", "a", "b"}[random.IntN(3)])
}

func check(t *testing.T, b bench, peers []Peer, routes []Route) {
	t.Helper()
	synctest.Wait()
	status := b.speaker.Status()
	if len(status) != len(peers) {
		t.Fatalf("%d peers, want %d", len(status), len(peers))
	}
	for i := range 6 {
		router := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		want := map[netip.Prefix]said{}
		for j, p := range peers {
			if p.Address != router {
				continue
			}
			for _, r := range routes {
				if r.Peers == nil || r.Peers[0] == p.Name {
					want[r.Prefix] = want[r.Prefix].and(r)
				}
			}
			if s := status[j]; s.State != Established || s.IPv4 != (FamilyStatus{Wanted: len(want), Sent: len(want), Received: 10}) || s.Peer != p.WithDefaults() {
				t.Fatalf("%s: %+v, want %d routes", p.Name, s, len(want))
			}
			if by, _ := b.network.Watched(router); by != p.BFD.WithDefaults() || (status[j].Liveness.State == LivenessUp) != p.BFD.Enabled {
				t.Fatalf("%s is watched by %+v, want %+v: %+v", p.Name, by, p.BFD, status[j].Liveness)
			}
		}
		got := map[netip.Prefix]said{}
		for _, r := range b.network.Learnt(router) {
			got[r.Prefix] = said{}.and(r)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s has %v, want %v", router, got, want)
		}
	}
}

// said is what routes of one prefix say together: the longest prepended path, and a bit for each community.
type said struct{ prepend, communities int }

func (s said) and(r Route) said {
	s.prepend = max(s.prepend, int(r.Prepend))
	for _, c := range r.Communities {
		value, _ := c.Standard()
		s.communities |= 1 << value
	}
	return s
}
