package ipam

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func sharing(owner, namespace string, share Share) Request {
	return Request{Owner: Owner(owner), Namespace: namespace, Families: SingleIPv4, Share: share}
}

func ports(numbers ...uint16) []Port {
	all := make([]Port, 0, len(numbers))
	for _, n := range numbers {
		all = append(all, Port{"TCP", n})
	}
	return all
}

func TestWhoMayShare(t *testing.T) {
	web := Share{Key: "k", Ports: ports(80)}
	for name, tc := range map[string]struct {
		reach     Reach
		first     Share
		namespace string
		second    Share
		conflict  string
	}{
		"other port":               {0, web, "x", Share{Key: "k", Ports: ports(443)}, ""},
		"other protocol":           {0, web, "x", Share{Key: "k", Ports: []Port{{"UDP", 80}}}, ""},
		"same port":                {0, web, "x", Share{Key: "k", Ports: ports(443, 80)}, "both use TCP 80"},
		"other key":                {0, web, "x", Share{Key: "l", Ports: ports(443)}, "in use"},
		"no key":                   {0, web, "x", Share{Ports: ports(443)}, "in use"},
		"neither has a key":        {0, Share{Ports: ports(80)}, "x", Share{Ports: ports(443)}, "in use"},
		"other namespace":          {SharedInNamespace, web, "y", Share{Key: "k", Ports: ports(443)}, `pool "a" lets only owners of one namespace share`},
		"other namespace, allowed": {SharedByAll, web, "y", Share{Key: "k", Ports: ports(443)}, ""},
		"nobody shares":            {NotShared, web, "x", Share{Key: "k", Ports: ports(443)}, `pool "a" lets nobody share`},
		"local, same backends":     {0, Share{"k", ports(80), true, "app=web"}, "x", Share{"k", ports(443), true, "app=web"}, ""},
		"local, other backends":    {0, Share{"k", ports(80), true, "app=web"}, "x", Share{"k", ports(443), true, "app=api"}, "only owners"},
		"local, no backends":       {0, Share{"k", ports(80), true, ""}, "x", Share{"k", ports(443), true, ""}, "only owners"},
		"local and not":            {0, Share{"k", ports(80), true, "app=web"}, "x", Share{"k", ports(443), false, "app=web"}, "only owners"},
		"cluster, other backends":  {0, Share{"k", ports(80), false, "app=web"}, "x", Share{"k", ports(443), false, "app=api"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := ruled(t, "10.0.0.0/29", func(p *Pool) { p.Sharing = tc.reach })
			a.Assign(sharing("first", "x", tc.first))
			second := sharing("second", tc.namespace, tc.second)
			a.Assign(second)
			got, _ := a.Lookup("second")
			if shared := got.V4 == addrs("10.0.0.0")[0]; shared != (tc.conflict == "") {
				t.Errorf("shared: %v", shared)
			}
			second.Addresses = addrs("10.0.0.0")
			a.Assign(second)
			_, err := a.Lookup("second")
			switch conflict, ok := errors.AsType[*SharingConflictError](err); {
			case tc.conflict == "" && err == nil:
			case tc.conflict == "in use" && Reason(err) == AddressInUse:
			case ok && conflict.Holder == "first" && conflict.Pool == "a" && conflict.Problem[:len(tc.conflict)] == tc.conflict[:min(len(tc.conflict), len(conflict.Problem))]:
			default:
				t.Errorf("%v, want %s", err, tc.conflict)
			}
		})
	}
}

// Of two that no longer fit together the older keeps the address, whoever changed.
func TestTheOlderKeepsASharedAddress(t *testing.T) {
	for _, changed := range []string{"old", "young"} {
		a := allocator(t, "a: 10.0.0.0/29")
		for i, owner := range []string{"old", "young", "third"} {
			r := sharing(owner, "x", Share{Key: "k", Ports: ports(80 + uint16(i))})
			r.Created = time.Unix(int64(i), 0)
			a.Assign(r)
			expect(t, a, r.Owner, "a 10.0.0.0")
		}
		r := sharing(changed, "x", Share{Key: "k", Ports: ports(80, 81)})
		if changed == "young" {
			r.Created = time.Unix(1, 0)
		}
		changes := a.Assign(r)
		expect(t, a, "old", "a 10.0.0.0")
		expect(t, a, "young", "a 10.0.0.1")
		expect(t, a, "third", "a 10.0.0.0")
		if len(changes) != 1 || changes[0].Owner != "young" || Reason(changes[0].Lost) != SharingConflict {
			t.Errorf("%s changed: %v", changed, changes)
		}
		// One without a key any more shares with nobody: the oldest keeps it, all others go together.
		changes = a.Assign(sharing("old", "x", Share{Ports: ports(80)}))
		expect(t, a, "old", "a 10.0.0.0")
		expect(t, a, "third", "a 10.0.0.1")
		if len(changes) != 1 {
			t.Errorf("changes %v", changes)
		}
	}
}

// A narrower reach takes nothing from anybody, nor does a successor that learns of it.
func TestANarrowerReachMovesNobody(t *testing.T) {
	all := pools(t, "a: 10.0.0.0/29")
	all[0].Sharing = SharedByAll
	a, _ := New(all)
	requests := []Request{sharing("1", "x", Share{Key: "k", Ports: ports(80)}), sharing("2", "y", Share{Key: "k", Ports: ports(81)})}
	for _, r := range requests {
		a.Assign(r)
	}
	for _, reach := range []Reach{SharedInNamespace, NotShared} {
		all = pools(t, "a: 10.0.0.0/29")
		all[0].Sharing = reach
		if changes, err := a.SetPools(all); err != nil || len(changes) > 0 {
			t.Errorf("%v, %v", changes, err)
		}
		successor, _ := New(all)
		holdings := make([]Holding, 0, 2)
		for _, r := range requests {
			holdings = append(holdings, Holding{r, addrs("10.0.0.0")})
		}
		if changes := successor.Adopt(holdings); len(changes) > 0 {
			t.Errorf("%v", changes)
		}
		successor.Assign(sharing("3", "x", Share{Key: "k", Ports: ports(82)}))
		expect(t, successor, "3", "a 10.0.0.1")
	}
}

// Who waits for a place beside its key gets it when those who are there make room.
func TestWaitingForAPlaceBeside(t *testing.T) {
	a := allocator(t, "a: 10.0.0.1")
	a.Assign(sharing("1", "x", Share{Key: "k", Ports: ports(80)}))
	a.Assign(sharing("2", "x", Share{Key: "k", Ports: ports(80)}))
	expect(t, a, "2", exhaustedA)
	if changes := a.Assign(sharing("1", "x", Share{Key: "k", Ports: ports(81)})); len(changes) != 1 || changes[0].Owner != "2" {
		t.Errorf("changes %v", changes)
	}
	expect(t, a, "2", "a 10.0.0.1")
}

func TestManySharers(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/24")
	for i := range 500 {
		a.Assign(sharing(fmt.Sprint(i), "x", Share{Key: "k", Ports: ports(uint16(i), uint16(i), uint16(i)+1000)}))
	}
	if u := a.Usage()[0]; u.InUse != 1 {
		t.Errorf("usage %+v", u)
	}
	for i := range 500 {
		a.Release(Owner(fmt.Sprint(i)))
	}
	if u := a.Usage()[0]; u.InUse != 0 || len(a.sites) > 0 || len(a.space.pools[0].sites) > 0 {
		t.Errorf("usage %+v", u)
	}
}
