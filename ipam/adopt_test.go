package ipam

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func holding(owner Owner, created int64, families Families, have ...string) Holding {
	return Holding{Request{Owner: owner, Families: families, Created: time.Unix(created, 0)}, addrs(have...)}
}

func TestAdopt(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/29 fd00::/125", "m!: 10.9.0.0/29")
	pinned := holding("pinned", 5, SingleIPv4, "10.0.0.5")
	pinned.Addresses = addrs("10.0.0.6")
	renamed := holding("renamed", 5, SingleIPv4, "10.0.0.7")
	renamed.Pool = "was-called-so"
	changes := a.Adopt([]Holding{
		holding("new", 0, SingleIPv4),
		holding("young", 2, SingleIPv4, "10.0.0.0"),
		holding("old", 1, SingleIPv4, "10.0.0.0"),
		holding("dual", 1, RequireDual, "10.0.0.1", "fd00::1"),
		holding("half", 1, RequireDual, "fd00::4"),
		holding("prefers", 1, PreferDualIPv4, "10.0.0.3", "10.0.9.9"),
		holding("single", 1, SingleIPv6, "10.0.0.4", "fd00::7"),
		holding("manual", 1, SingleIPv4, "10.9.0.3"),
		holding("outside", 9, SingleIPv4, "192.0.2.1"),
		holding("bad", 9, 0, "10.9.0.4"),
		pinned, renamed,
	})
	for owner, want := range map[Owner]string{
		"old":     "a 10.0.0.0",
		"dual":    "a 10.0.0.1 fd00::1",
		"half":    "a 10.0.0.2 fd00::4", // completed before anything is assigned anew
		"prefers": "a 10.0.0.3 fd00::",  // the lower of two of one family, and a second one
		"single":  "a fd00::7",
		"manual":  "m 10.9.0.3",
		"renamed": "a 10.0.0.7",
		"bad":     "m 10.9.0.4",
		"new":     "a 10.0.0.4",
		"young":   "a 10.0.0.5",
		"pinned":  "a 10.0.0.6",
		"outside": `PoolExhausted: no free IPv4 address in pool "a"`,
	} {
		expect(t, a, owner, want)
	}
	lost := map[Owner]string{}
	for _, c := range changes {
		lost[c.Owner] = text(c.Lost)
	}
	want := map[Owner]string{
		"new": "", "half": "", "prefers": "", "bad": "",
		"young":   "10.0.0.0 is in use by old",
		"single":  "10.0.0.4 is not what the owner asks for any more",
		"pinned":  "10.0.0.5 is not what the owner asks for any more",
		"outside": "192.0.2.1 is in no pool",
	}
	if !maps.Equal(lost, want) {
		t.Errorf("changes %v\nwant %v", lost, want)
	}
}

// Whatever the order of the holdings, also of disputed ones, the result is the same.
func TestAdoptInAnyOrder(t *testing.T) {
	for seed := range 100 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 3))
		holdings := make([]Holding, 0, 20)
		for i := range 20 {
			h := holding(Owner(fmt.Sprint("o", i)), int64(rnd.IntN(3)), Families(1+rnd.IntN(5)))
			if rnd.IntN(2) == 0 {
				h.Share = Share{Key: "k", Ports: ports(uint16(rnd.IntN(6))), Local: rnd.IntN(5) == 0}
			}
			for _, base := range []string{"10.0.0.0", "fd00::"} {
				if rnd.IntN(2) == 0 {
					h.Addrs = append(h.Addrs, base2addr(base, rnd.IntN(14)))
				}
			}
			holdings = append(holdings, h)
		}
		var first string
		for range 5 {
			rnd.Shuffle(len(holdings), func(i, j int) { holdings[i], holdings[j] = holdings[j], holdings[i] })
			a := allocator(t, "a: 10.0.0.0/30 fd00::/127", "b: 10.0.0.6/31 fd00::8/125")
			changes := a.Adopt(holdings)
			all := make([]string, 0, 20)
			for i := range 20 {
				all = append(all, shown(a, Owner(fmt.Sprint("o", i))))
			}
			got := strings.Join(all, "\n") + fmt.Sprintln(changes)
			if first == "" {
				first = got
			}
			if got != first {
				t.Fatalf("seed %d: in another order\n%s\nfirst\n%s", seed, got, first)
			}
		}
	}
}

// Nobody loses what it may keep to somebody who is only asking.
func TestAdoptedBeforeAssigned(t *testing.T) {
	a := allocator(t, "a: 10.0.0.1")
	a.Adopt([]Holding{holding("asks", 0, SingleIPv4), holding("has", 9, SingleIPv4, "10.0.0.1")})
	expect(t, a, "has", "a 10.0.0.1")
	expect(t, a, "asks", `PoolExhausted: no free IPv4 address in pool "a"`)
	changes := a.Adopt([]Holding{holding("has", 9, SingleIPv6, "10.0.0.1"), {}})
	if len(changes) != 3 { // the one without an owner, and the two who changed places
		t.Errorf("changes %v", changes)
	}
	expect(t, a, "asks", "a 10.0.0.1")
}
