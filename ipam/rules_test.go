package ipam

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// ruled makes an allocator of one pool "a" with rules.
func ruled(t *testing.T, ranges string, rules func(*Pool)) *Allocator {
	t.Helper()
	all := pools(t, "a: "+ranges)
	rules(&all[0])
	a, err := New(all)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func parsed(t *testing.T, ranges string) []Range {
	t.Helper()
	return pools(t, "x: "+ranges)[0].Ranges
}

// assignAll assigns one IPv4 address to each, and returns what they have, shortened to the last byte.
func assignAll(a *Allocator, owners ...Owner) string {
	got := make([]string, 0, len(owners))
	for _, owner := range owners {
		a.Assign(Request{Owner: owner, Families: SingleIPv4})
		s := shown(a, owner)
		if i := strings.LastIndex(s, "."); strings.HasPrefix(s, "a ") && i >= 0 {
			s = s[i+1:]
		}
		got = append(got, strings.TrimSuffix(s, "]"))
	}
	return strings.Join(got, ", ")
}

const exhaustedA = `PoolExhausted: no free IPv4 address in pool "a"`

func TestNeverAssigned(t *testing.T) {
	a := ruled(t, "10.0.0.254-10.0.1.3", func(p *Pool) {
		p.AvoidBuggyIPs = true
		p.Exclude = parsed(t, "10.0.1.2")
		p.Reservations = []Reservation{{addrs("10.0.1.0")[0], "zero"}}
	})
	if _, err := a.SetNever(parsed(t, "10.0.1.3 10.0.1.3-10.9.0.0 fd00::1")); err != nil {
		t.Fatal(err)
	}
	if got, want := assignAll(a, "x", "y", "z"), "254, 1, "+exhaustedA; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := assignAll(a, "zero"); got != "0" {
		t.Errorf("the reserved address was not given: %s", got)
	}
	for _, s := range []string{"10.0.0.255", "10.0.1.2", "10.0.1.3"} {
		a.Assign(Request{Owner: "asks", Families: SingleIPv4, Addresses: addrs(s)})
		expect(t, a, "asks", "AddressNotInPool: "+s+` is never assigned from pool "a"`)
	}
	if u := a.Usage()[0]; u.Size.String() != "2" || u.InUse != 3 || u.Free().Sign() != 0 || u.Reserved != 0 {
		t.Errorf("usage %+v", u)
	}
	// An address that may be assigned again serves who waits; one that may not be any more stays where it is.
	changes, err := a.SetNever(parsed(t, "10.0.1.1"))
	if err != nil || len(changes) != 1 {
		t.Errorf("%v, %v", changes, err)
	}
	expect(t, a, "y", "a 10.0.1.1")
	expect(t, a, "z", exhaustedA)
	expect(t, a, "asks", "a 10.0.1.3")
	if changes, err := a.SetNever(parsed(t, "10.0.1.1")); err != nil || changes != nil {
		t.Errorf("the same again: %v, %v", changes, err)
	}
	if _, err := a.SetNever([]Range{{}}); err == nil || err.Error() != "never assigning: an address is missing" {
		t.Errorf("%v", err)
	}
}

// Keeping what one has needs no permission; getting something does.
func TestWhoKeepsAndWhoGets(t *testing.T) {
	plain := pools(t, "a: 10.0.0.0/30")
	for name, rules := range map[string]func(*Pool){
		"disabled": func(p *Pool) { p.Disabled = true },
		"excluded": func(p *Pool) { p.Exclude = slices.Clone(p.Ranges) },
		"manual":   func(p *Pool) { p.Manual = true },
		"quota":    func(p *Pool) { p.MaxPerNamespace = 1 },
		"reserved": func(p *Pool) {
			for i := range 4 {
				p.Reservations = append(p.Reservations, Reservation{base2addr("10.0.0.0", i), "other"})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := New(plain)
			if got := assignAll(a, "x", "y"); got != "0, 1" {
				t.Fatal(got)
			}
			next := slices.Clone(plain)
			rules(&next[0])
			if changes, err := a.SetPools(next); err != nil || len(changes) != 0 {
				t.Errorf("%v, %v", changes, err)
			}
			if got := assignAll(a, "x", "y", "new"); !strings.HasPrefix(got, "0, 1, ") || len(got) < 10 {
				t.Errorf("%s, want nothing for the new one", got)
			}
			a.Release("x")
			if got := assignAll(a, "new"); len(got) < 4 {
				t.Errorf("new got %s", got)
			}
			holdings := []Holding{holding("y", 0, SingleIPv4, "10.0.0.1"), holding("z", 0, SingleIPv4, "10.0.0.2")}
			successor, _ := New(next)
			successor.Adopt(holdings)
			expect(t, successor, "y", "a 10.0.0.1")
			expect(t, successor, "z", "a 10.0.0.2")
		})
	}
}

func TestPoolOrder(t *testing.T) {
	all := pools(t, "low: 10.0.0.1", "first: 10.0.0.2", "second: 10.0.0.3", "reds: 10.0.0.4", "off: 10.0.0.5")
	all[1].Priority, all[2].Priority, all[4].Priority = 5, 5, 9
	all[3].Selector = SelectorFunc(func(r Request) bool { return r.Labels["team"] == "red" })
	all[4].Disabled = true
	a, err := New(all)
	if err != nil {
		t.Fatal(err)
	}
	red := map[string]string{"team": "red"}
	for i, want := range []string{"reds 10.0.0.4", "first 10.0.0.2", "second 10.0.0.3", "low 10.0.0.1",
		`PoolExhausted: no free IPv4 address in pools "reds", "first", "second", "low"`} {
		owner := Owner(fmt.Sprint("red", i))
		a.Assign(Request{Owner: owner, Families: SingleIPv4, Labels: red})
		expect(t, a, owner, want)
	}
	for pool, want := range map[string]string{
		"reds": `NoMatchingPool: pool "reds" does not serve this owner: its selector does not match`,
		"off":  `NoMatchingPool: pool "off" is disabled`,
		"":     `PoolExhausted: no free IPv4 address in pools "first", "second", "low"`,
	} {
		a.Assign(Request{Owner: "x", Families: SingleIPv4, Pool: pool})
		expect(t, a, "x", want)
	}
	a.Assign(Request{Owner: "x", Families: SingleIPv4, Addresses: addrs("10.0.0.4")})
	expect(t, a, "x", `NoMatchingPool: pool "reds" does not serve this owner: its selector does not match`)
	a.Assign(Request{Owner: "red0", Families: SingleIPv4}) // its own labels changed
	expect(t, a, "red4", "reds 10.0.0.4")
	expect(t, a, "red0", `PoolExhausted: no free IPv4 address in pools "first", "second", "low"`)
	only := slices.Clone(all[3:4])
	a, _ = New(only)
	a.Assign(Request{Owner: "x", Families: SingleIPv4})
	expect(t, a, "x", "NoMatchingPool: no pool that assigns addresses automatically serves this owner")
}

// These addresses were computed by another program: they must never change.
func TestStableGolden(t *testing.T) {
	for owner, want := range map[Owner][]string{
		"prod/web":      {"10.20.0.104", "10.93.99.104", "fd00:20::233d:963a:6d5d:6368", "1c9:1e8c:c384:507d:233d:963a:6d5d:6368", "10.20.1.107"},
		"prod/api":      {"10.20.0.245", "10.135.3.245", "fd00:20::7271:f669:d387:3f5", "9159:6d0f:cf9f:4734:7271:f669:d387:3f5", "10.20.1.24"},
		"default/nginx": {"10.20.0.23", "10.28.124.23", "fd00:20::6dd:bf7:3f1c:7c17", "97b4:6729:2f24:e3ca:6dd:bf7:3f1c:7c17", "10.20.1.162"},
		"vm-17":         {"10.20.0.33", "10.1.10.33", "fd00:20::e5fc:2f07:3f01:a21", "c22f:a8d5:aa44:1813:e5fc:2f07:3f01:a21", "10.20.0.254"},
	} {
		for i, ranges := range []string{"10.20.0.0/24", "10.0.0.0/8", "fd00:20::/64", "::/0", "10.20.0.0/23"} {
			a := ruled(t, ranges, func(p *Pool) {
				p.Assignment = Stable
				if i == 4 {
					p.AvoidBuggyIPs, p.Exclude = true, parsed(t, "10.20.0.10-10.20.0.19")
				}
			})
			families := SingleIPv6
			if addrs(want[i])[0].Is4() {
				families = SingleIPv4
			}
			a.Assign(Request{Owner: owner, Families: families})
			expect(t, a, owner, "a "+want[i])
		}
	}
}

func TestStableGoesUpAndWraps(t *testing.T) {
	a := ruled(t, "10.20.0.100-10.20.0.103", func(p *Pool) { p.Assignment = Stable }) // "prod/web" starts at .100
	got := []string{assignAll(a, "prod/web")}
	a.Release("prod/web")
	for _, pinned := range []string{"10.20.0.100", "10.20.0.101", "10.20.0.103", "10.20.0.102"} {
		a.Assign(Request{Owner: Owner(pinned), Families: SingleIPv4, Addresses: addrs(pinned)})
		got = append(got, assignAll(a, "prod/web"))
		a.Release("prod/web")
	}
	if want := "100 101 102 102 " + exhaustedA; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRequestsFor(t *testing.T) {
	pin := Request{Families: SingleIPv4, Addresses: addrs("10.0.0.5")}
	for _, tc := range []struct {
		requests Requests
		owner    Owner
		want     string
	}{
		{RequestsOfAll, "other", "AddressReserved: 10.0.0.5 is reserved for web"},
		{RequestsOfAll, "web", "a 10.0.0.5"},
		{RequestsIfReserved, "web", "a 10.0.0.5"},
		{RequestsIfReserved, "other", "AddressReserved: 10.0.0.5 is reserved for web"},
		{NoRequests, "web", `InvalidRequest: the request is not valid: pool "a" grants no requests for addresses`},
	} {
		a := ruled(t, "10.0.0.0/29", func(p *Pool) {
			p.Requests, p.Reservations = tc.requests, []Reservation{{addrs("10.0.0.5")[0], "web"}}
		})
		pin.Owner = tc.owner
		a.Assign(pin)
		expect(t, a, tc.owner, tc.want)
		if tc.requests == RequestsIfReserved {
			a.Assign(Request{Owner: tc.owner, Families: SingleIPv4, Addresses: addrs("10.0.0.6")})
			expect(t, a, tc.owner, `AddressReserved: 10.0.0.6 is not reserved for this owner, and pool "a" grants requests for reserved addresses only`)
		}
	}
}

// A reservation is kept, is given whatever the pool's order, and is waited for when somebody has it.
func TestReservations(t *testing.T) {
	all := pools(t, "first: 10.0.0.0/29", "manual!: 10.0.1.0/30")
	all[1].Reservations = []Reservation{{addrs("10.0.1.1")[0], "web"}, {addrs("10.0.1.0")[0], "api"}}
	a, _ := New(all)
	a.Assign(Request{Owner: "web", Families: SingleIPv4})
	a.Assign(Request{Owner: "other", Families: SingleIPv4, Pool: "manual"})
	expect(t, a, "web", "manual 10.0.1.1")
	expect(t, a, "other", "manual 10.0.1.2")
	if u := a.Usage()[1]; u.Reserved != 1 || u.InUse != 2 || u.Free().Int64() != 1 || u.Size.Int64() != 4 {
		t.Errorf("usage %+v", u)
	}

	all = pools(t, "a: 10.0.0.1")
	a, _ = New(all)
	assignAll(a, "holder")
	all[0].Reservations = []Reservation{{addrs("10.0.0.1")[0], "web"}}
	if changes, err := a.SetPools(all); err != nil || len(changes) > 0 {
		t.Errorf("a new reservation changed %v, %v", changes, err)
	}
	assignAll(a, "early", "web")
	a.Release("holder")
	expect(t, a, "early", exhaustedA)
	expect(t, a, "web", "a 10.0.0.1")
}

func TestQuota(t *testing.T) {
	a := ruled(t, "10.0.0.0/28 fd00::/124", func(p *Pool) { p.MaxPerNamespace, p.Sharing = 2, SharedByAll })
	in := func(namespace string, owner Owner, families Families, ports ...uint16) {
		r := Request{Owner: owner, Namespace: namespace, Families: families}
		for _, n := range ports {
			r.Share.Key = "k"
			r.Share.Ports = append(r.Share.Ports, Port{"TCP", n})
		}
		a.Assign(r)
	}
	in("x", "1", SingleIPv4, 80)
	in("x", "2", SingleIPv4, 81) // beside it: counts once
	in("x", "3", RequireDual)
	expect(t, a, "3", `QuotaExceeded: namespace "x" has reached its limit of 2 addresses of pool "a"`)
	in("x", "4", PreferDualIPv6)
	expect(t, a, "4", "a fd00::")
	in("x", "5", SingleIPv4)
	expect(t, a, "5", `QuotaExceeded: namespace "x" has reached its limit of 2 addresses of pool "a"`)
	in("y", "6", PreferDualIPv4)
	expect(t, a, "6", "a 10.0.0.1 fd00::1")
	in("x", "7", SingleIPv4, 82)
	expect(t, a, "7", "a 10.0.0.0")
	in("y", "8", SingleIPv4, 83)
	expect(t, a, "8", `QuotaExceeded: namespace "y" has reached its limit of 2 addresses of pool "a"`)
	a.Release("6") // of y: not the one that waits in x
	expect(t, a, "8", "a 10.0.0.0")
	expect(t, a, "5", `QuotaExceeded: namespace "x" has reached its limit of 2 addresses of pool "a"`)
	a.Release("4")
	expect(t, a, "5", "a 10.0.0.1")
	in("z", "5", SingleIPv4) // moves to another namespace, and its address with it
	expect(t, a, "3", `QuotaExceeded: namespace "x" has reached its limit of 2 addresses of pool "a"`)
	in("z", "9", SingleIPv6)
	in("z", "10", SingleIPv6)
	expect(t, a, "10", `QuotaExceeded: namespace "z" has reached its limit of 2 addresses of pool "a"`)
}

func TestPlanAndRelease(t *testing.T) {
	a := allocator(t, "old: 10.0.0.0/30 fd00::/126", "other: 10.1.0.0/30")
	a.Assign(Request{Owner: "dual", Families: RequireDual, Created: time.Unix(1, 0)})
	a.Assign(Request{Owner: "one", Families: SingleIPv4, Pool: "other"})
	next := pools(t, "six: fd00::/126", "new: 10.2.0.0/30")
	plan, err := a.Plan(next, "old", "other")
	if err != nil || len(plan) != 3 || plan[0].Err.Error() != "10.0.0.0 is in no pool" || plan[0].Follows ||
		!plan[1].Follows || plan[1].Address != addrs("fd00::")[0] || plan[2].Owner != "one" || plan[2].Pool != "other" {
		t.Errorf("%+v, %v", plan, err)
	}
	for _, release := range [][]string{nil, {"old"}, {"other", "10.0.0.1"}, {"six", "new"}, {"fd00::/64"}} {
		if changes, err := a.SetPools(next, release...); err == nil || len(changes) > 0 {
			t.Errorf("releasing %s: %v, %v", release, changes, err)
		}
	}
	again, planned := a.Plan(next)
	if planned == nil || !reflect.DeepEqual(again, plan) {
		t.Errorf("without a release: %+v, %v", again, planned)
	}
	_, err = a.SetPools(next)
	if want := "dual would lose 10.0.0.0: 10.0.0.0 is in no pool (and 1 more)"; err == nil || err.Error() != want || planned.Error() != want {
		t.Errorf("%v, planned %v, want %s", err, planned, want)
	}
	expect(t, a, "dual", "old 10.0.0.0 fd00::")
	if _, err := a.SetPools(next, "other", "10.0.0.0/8"); err != nil {
		t.Error(err)
	}
	expect(t, a, "one", `NoMatchingPool: there is no pool "other"`)
	expect(t, a, "dual", `FamilyUnavailable: none of pools "six", "new" has both IPv4 and IPv6 addresses`)
	if plan, err := a.Plan(pools(t, "x:")); err == nil {
		t.Errorf("%v", plan)
	}
}

// What a Selector does not match any more has to be released like what is in no pool.
func TestPlanOfSelectors(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/30")
	a.Assign(Request{Owner: "blue", Families: SingleIPv4, Labels: map[string]string{"team": "blue"}})
	next := pools(t, "a: 10.0.0.0/30")
	next[0].Selector = labelled("red")
	if _, err := a.SetPools(next); err == nil ||
		err.Error() != `blue would lose 10.0.0.0: pool "a" does not serve this owner: its selector does not match` {
		t.Errorf("%v", err)
	}
	if _, err := a.SetPools(next, "a"); err != nil {
		t.Error(err)
	}
	expect(t, a, "blue", "NoMatchingPool: no pool that assigns addresses automatically serves this owner")
}

func TestRuleMistakes(t *testing.T) {
	for want, rules := range map[string]func(*Pool){
		`pool "a": excluding: an address is missing`:             func(p *Pool) { p.Exclude = []Range{{}} },
		`pool "a": excluding 10.0.1.0, which is not in the pool`: func(p *Pool) { p.Exclude = parsed(t, "10.0.1.0") },
		`pool "a": excluding 10.0.0.9-10.0.2.0, which is not in the pool`: func(p *Pool) {
			p.Ranges, p.Exclude = parsed(t, "10.0.0.0/24 10.0.2.0/24"), parsed(t, "10.0.0.9-10.0.2.0")
		},
		`pool "a": reserving: an address is missing`:             func(p *Pool) { p.Reservations = []Reservation{{Owner: "x"}} },
		`pool "a": reserving 10.0.0.1 for nobody`:                func(p *Pool) { p.Reservations = []Reservation{{Address: addrs("10.0.0.1")[0]}} },
		`pool "a": reserving 10.0.1.0, which is not in the pool`: func(p *Pool) { p.Reservations = []Reservation{{addrs("10.0.1.0")[0], "x"}} },
		`pool "a": two reservations of 10.0.0.1`:                 func(p *Pool) { p.Reservations = slices.Repeat([]Reservation{{addrs("10.0.0.1")[0], "x"}}, 2) },
		`pool "a": a duration or limit is negative`:              func(p *Pool) { p.Cooldown = -1 },
		`pool "a": an unknown Assignment, Sharing or Requests`:   func(p *Pool) { p.Sharing = 7 },
		`pool "a": reserving 10.0.0.1, which is excluded`: func(p *Pool) {
			p.Exclude, p.Reservations = parsed(t, "10.0.0.0/31"), []Reservation{{addrs("10.0.0.1")[0], "x"}}
		},
	} {
		all := pools(t, "a: 10.0.0.0/24")
		rules(&all[0])
		if _, err := New(all); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
