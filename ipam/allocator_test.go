package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pools makes pools from "name: range range"; a name that ends in "!" is Manual.
func pools(t testing.TB, lines ...string) []Pool {
	t.Helper()
	all := make([]Pool, 0, len(lines))
	for _, line := range lines {
		name, ranges, _ := strings.Cut(line, ":")
		p := Pool{Name: strings.TrimSuffix(name, "!"), Manual: strings.HasSuffix(name, "!")}
		for _, s := range strings.Fields(ranges) {
			r, err := ParseRange(s)
			if err != nil {
				t.Fatal(err)
			}
			p.Ranges = append(p.Ranges, r)
		}
		all = append(all, p)
	}
	return all
}

func allocator(t testing.TB, lines ...string) *Allocator {
	t.Helper()
	a, err := New(pools(t, lines...))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func addrs(s ...string) []netip.Addr {
	all := make([]netip.Addr, 0, len(s))
	for _, s := range s {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// shown is what Lookup says, as text: "pool v4 v6" or "Reason: sentence".
func shown(a *Allocator, owner Owner) string {
	got, err := a.Lookup(owner)
	if err != nil {
		return Reason(err) + ": " + err.Error()
	}
	return strings.Trim(fmt.Sprintf("%s %v", got.Pool, got.Addrs()), "]")
}

func expect(t *testing.T, a *Allocator, owner Owner, want string) {
	t.Helper()
	if got := strings.Replace(shown(a, owner), "[", "", 1); got != want {
		t.Errorf("%s: %s\nwant %s", owner, got, want)
	}
}

func TestAssignOne(t *testing.T) {
	for name, tc := range map[string]struct {
		pools   []string
		request Request
		want    string
	}{
		"lowest of the first pool":     {[]string{"b: 10.0.0.8/30", "a: 10.0.0.0/30"}, Request{Families: SingleIPv4}, "b 10.0.0.8"},
		"lowest whatever the order":    {[]string{"b: 10.0.0.8 10.0.0.2"}, Request{Families: SingleIPv4}, "b 10.0.0.2"},
		"first pool of the family":     {[]string{"b: 10.0.0.8", "a: fd00::/64"}, Request{Families: SingleIPv6}, "a fd00::"},
		"manual pools are passed over": {[]string{"m!: 10.0.0.0", "a: 10.0.0.9"}, Request{Families: SingleIPv4}, "a 10.0.0.9"},
		"a pool on request":            {[]string{"a: 10.0.0.9", "m!: 10.0.0.0"}, Request{Families: SingleIPv4, Pool: "m"}, "m 10.0.0.0"},
		"an address on request":        {[]string{"a: 10.0.0.9", "m!: 10.0.0.0/24"}, Request{Families: SingleIPv4, Addresses: addrs("10.0.0.7")}, ""},
		"prefer dual":                  {[]string{"a: 10.0.0.1", "b: 10.0.0.2 fd00::1"}, Request{Families: PreferDualIPv4}, "b 10.0.0.2 fd00::1"},
		"prefer dual, none has both":   {[]string{"b: fd00::1", "a: 10.0.0.1"}, Request{Families: PreferDualIPv4}, "a 10.0.0.1"},
		"prefer dual, IPv6 first":      {[]string{"a: 10.0.0.1", "b: fd00::1"}, Request{Families: PreferDualIPv6}, "b fd00::1"},
		"prefer dual, only the other":  {[]string{"a: 10.0.0.1"}, Request{Families: PreferDualIPv6}, "a 10.0.0.1"},
		"prefer dual, one requested":   {[]string{"a: 10.0.0.0/24 fd00::1"}, Request{Families: PreferDualIPv4, Addresses: addrs("10.0.0.7")}, "a 10.0.0.7 fd00::1"},
		"prefer dual, beside nothing":  {[]string{"a: 10.0.0.0/24", "b: fd00::1"}, Request{Families: PreferDualIPv4, Addresses: addrs("10.0.0.7")}, "a 10.0.0.7"},
		"require dual":                 {[]string{"a: 10.0.0.1", "b: 10.0.0.2 fd00::1"}, Request{Families: RequireDual}, "b 10.0.0.2 fd00::1"},
		"require dual, requested":      {[]string{"b: 10.0.0.0/24 fd00::/64"}, Request{Families: RequireDual, Addresses: addrs("fd00::5", "10.0.0.5")}, "b 10.0.0.5 fd00::5"},

		"no pools":                     {nil, Request{Families: SingleIPv4}, "NoMatchingPool: no pool assigns addresses automatically"},
		"manual pools only":            {[]string{"m!: 10.0.0.0"}, Request{Families: SingleIPv4}, "NoMatchingPool: no pool assigns addresses automatically"},
		"unknown pool":                 {[]string{"a: 10.0.0.0"}, Request{Families: SingleIPv4, Pool: "x"}, `NoMatchingPool: there is no pool "x"`},
		"no pool of the family":        {[]string{"a: 10.0.0.0"}, Request{Families: SingleIPv6}, `FamilyUnavailable: pool "a" does not have IPv6 addresses`},
		"no pool of both families":     {[]string{"a: 10.0.0.0", "b: fd00::"}, Request{Families: RequireDual}, `FamilyUnavailable: none of pools "a", "b" has both IPv4 and IPv6 addresses`},
		"requested, beside nothing":    {[]string{"a: 10.0.0.0", "b: fd00::"}, Request{Families: RequireDual, Addresses: addrs("fd00::")}, `FamilyUnavailable: pool "b" does not have both IPv4 and IPv6 addresses`},
		"requested address in no pool": {[]string{"a: 10.0.0.0"}, Request{Families: SingleIPv4, Addresses: addrs("10.0.0.7")}, "AddressNotInPool: 10.0.0.7 is in no pool"},
		"requested in another pool":    {[]string{"a: 10.0.0.0", "b: 10.0.0.1"}, Request{Families: SingleIPv4, Pool: "a", Addresses: addrs("10.0.0.1")}, `AddressNotInPool: 10.0.0.1 is not in pool "a"`},
		"requested of two pools":       {[]string{"a: 10.0.0.0", "b: fd00::"}, Request{Families: RequireDual, Addresses: addrs("10.0.0.0", "fd00::")}, `InvalidRequest: the request is not valid: it asks for addresses of two pools, "a" and "b", and both have to come from one`},
		"no families":                  {[]string{"a: 10.0.0.0"}, Request{}, "InvalidRequest: the request is not valid: it says no families"},
		"two addresses of a family":    {[]string{"a: 10.0.0.0"}, Request{Families: RequireDual, Addresses: addrs("10.0.0.0", "10.0.0.1")}, "InvalidRequest: the request is not valid: it asks for two IPv4 addresses, 10.0.0.0 and 10.0.0.1"},
		"requested of another family":  {[]string{"a: 10.0.0.0"}, Request{Families: SingleIPv6, Addresses: addrs("10.0.0.0")}, "InvalidRequest: the request is not valid: it asks for 10.0.0.0 but wants IPv6 only"},
		"requested with a zone":        {[]string{"a: 10.0.0.0"}, Request{Families: SingleIPv6, Addresses: addrs("fe80::1%eth0")}, "InvalidRequest: the request is not valid: fe80::1%eth0 has a zone"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.want == "" {
				tc.pools = []string{"m!: 10.0.0.0/29", "a: 10.0.0.9"}
				tc.want = "m 10.0.0.7"
			}
			a := allocator(t, tc.pools...)
			tc.request.Owner = "x"
			changes := a.Assign(tc.request)
			if len(changes) != 1 || changes[0].Owner != "x" || changes[0].After.isZero() != (changes[0].Err != nil) {
				t.Errorf("changes %v", changes)
			}
			expect(t, a, "x", tc.want)
		})
	}
}

func TestExhaustion(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/31 fd00::", "b: 10.0.0.7")
	for i := range 5 {
		a.Assign(Request{Owner: Owner(fmt.Sprint(i)), Families: SingleIPv4})
	}
	a.Assign(Request{Owner: "only a", Families: SingleIPv4, Pool: "a"})
	a.Assign(Request{Owner: "both", Families: RequireDual})
	a.Assign(Request{Owner: "any", Families: PreferDualIPv4})
	a.Assign(Request{Owner: "taken", Families: SingleIPv4, Addresses: addrs("10.0.0.1")})
	a.Assign(Request{Owner: "beside", Families: PreferDualIPv4, Pool: "a", Since: time.Unix(9, 0)})
	expect(t, a, "2", "b 10.0.0.7")
	expect(t, a, "3", `PoolExhausted: no free IPv4 address in pools "a", "b"`)
	expect(t, a, "only a", `PoolExhausted: no free IPv4 address in pool "a"`)
	expect(t, a, "both", `PoolExhausted: no free pair of IPv4 and IPv6 addresses in pool "a"`)
	expect(t, a, "any", "a fd00::")
	expect(t, a, "beside", `PoolExhausted: no free address in pool "a"`)
	expect(t, a, "taken", "AddressInUse: 10.0.0.1 is in use by 1")
	got, err := a.Lookup("taken")
	if inUse, ok := errors.AsType[*AddressInUseError](err); !ok || inUse.Holder != "1" || inUse.Pool != "a" || !got.isZero() {
		t.Errorf("%v, %#v", got, err)
	}
	if _, err := a.Lookup("nobody"); !errors.Is(err, ErrUnknownOwner) || Reason(err) != "" {
		t.Errorf("nobody: %v", err)
	}
}

// A freed address goes to the owner that waits longest, within the call that frees it.
func TestReleaseServesTheLongestWaiting(t *testing.T) {
	a := allocator(t, "a: 10.0.0.1")
	a.Assign(Request{Owner: "holder", Families: SingleIPv4})
	for _, w := range []struct {
		owner          Owner
		since, created int64
	}{{"z", 1, 1}, {"late", 2, 0}, {"young", 1, 2}, {"a", 1, 1}, {"gone", 0, 0}} {
		a.Assign(Request{Owner: w.owner, Families: SingleIPv4, Since: time.Unix(w.since, 0), Created: time.Unix(w.created, 0)})
	}
	if changes := a.Release("gone"); len(changes) != 0 {
		t.Errorf("releasing one who waits changed %v", changes)
	}
	for _, want := range []Owner{"a", "z", "young", "late"} {
		holder := a.held[netip.MustParseAddr("10.0.0.1")].owner
		changes := a.Release(holder)
		if len(changes) != 2 || changes[0].Owner != holder || !changes[0].After.isZero() || changes[0].Err != nil ||
			changes[1].Owner != want || changes[1].After.V4 != netip.MustParseAddr("10.0.0.1") || changes[1].Err != nil {
			t.Fatalf("releasing %s: %v, want it to go to %s", holder, changes, want)
		}
	}
	if changes := a.Release("nobody"); changes != nil {
		t.Errorf("releasing nobody: %v", changes)
	}
}

func TestRequestChanges(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/30 fd00::/126", "b: 10.0.1.0/30", "c: fd00::10")
	steps := []struct {
		request Request
		want    string
	}{
		{Request{Families: SingleIPv4}, "a 10.0.0.0"},
		{Request{Families: PreferDualIPv6}, "a 10.0.0.0 fd00::"},
		{Request{Families: RequireDual, Addresses: addrs("fd00::2")}, "a 10.0.0.0 fd00::2"},
		{Request{Families: RequireDual}, "a 10.0.0.0 fd00::2"},
		{Request{Families: SingleIPv6}, "a fd00::2"},
		{Request{Families: SingleIPv4}, "a 10.0.0.0"},
		{Request{Families: SingleIPv4, Addresses: addrs("10.0.0.3")}, "a 10.0.0.3"},
		{Request{Families: SingleIPv4, Pool: "b"}, "b 10.0.1.0"},
		{Request{Families: RequireDual}, "a 10.0.0.0 fd00::"},
		{Request{Families: PreferDualIPv4, Pool: "b"}, "b 10.0.1.0"},
		{Request{}, "b 10.0.1.0"}, // not valid: keeps what it has
		{Request{Families: SingleIPv6, Pool: "b"}, `FamilyUnavailable: pool "b" does not have IPv6 addresses`},
		{Request{Families: SingleIPv6, Pool: "c"}, "c fd00::10"},
	}
	for i, s := range steps {
		s.request.Owner = "x"
		before, _ := a.Lookup("x")
		changes := a.Assign(s.request)
		expect(t, a, "x", s.want)
		after, _ := a.Lookup("x")
		if before != after && (len(changes) != 1 || changes[0].Before != before || changes[0].After != after) {
			t.Errorf("step %d: %v", i, changes)
		}
		if again := a.Assign(s.request); len(again) != 0 {
			t.Errorf("step %d, repeated: %v", i, again)
		}
	}
}

func TestAnInvalidRequestKeepsWhatThereIs(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/30")
	a.Assign(Request{Owner: "x", Families: SingleIPv4})
	changes := a.Assign(Request{Owner: "x"})
	if len(changes) != 1 || Reason(changes[0].Err) != InvalidRequest || changes[0].After.isZero() {
		t.Errorf("changes %v", changes)
	}
	changes = a.Assign(Request{Owner: "x", Families: SingleIPv4})
	if len(changes) != 1 || changes[0].Err != nil || changes[0].Before != changes[0].After {
		t.Errorf("valid again: %v", changes)
	}
	if changes := a.Assign(Request{Families: SingleIPv4}); len(changes) != 1 || Reason(changes[0].Err) != InvalidRequest {
		t.Errorf("no owner: %v", changes)
	}
}

func TestPreferDualGetsItsSecondLater(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/30 fd00::1")
	a.Assign(Request{Owner: "six", Families: SingleIPv6})
	a.Assign(Request{Owner: "x", Families: PreferDualIPv4})
	a.Assign(Request{Owner: "waits", Families: SingleIPv6, Since: time.Unix(99, 0)})
	expect(t, a, "x", "a 10.0.0.0")
	a.Release("six")
	expect(t, a, "waits", "a fd00::1") // who has nothing comes first
	expect(t, a, "x", "a 10.0.0.0")
	changes := a.Release("waits")
	expect(t, a, "x", "a 10.0.0.0 fd00::1")
	if len(changes) != 2 || changes[1].Owner != "x" || changes[1].Lost != nil {
		t.Errorf("changes %v", changes)
	}
	a = allocator(t, "a: 10.0.0.0/30", "b: fd00::/64")
	a.Assign(Request{Owner: "x", Families: PreferDualIPv4})
	if _, err := a.SetPools(pools(t, "b: fd00::/64", "a: fd01::7 10.0.0.0/30")); err != nil {
		t.Fatal(err)
	}
	expect(t, a, "x", "a 10.0.0.0 fd01::7")
}

func TestSetPools(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/24 fd00::/64")
	for i := range 4 {
		a.Assign(Request{Owner: Owner(fmt.Sprint(i)), Families: RequireDual})
	}
	a.Assign(Request{Owner: "other", Families: SingleIPv4, Pool: "other"})

	// Renamed, reordered, grown, Manual: nobody moves.
	changes, err := a.SetPools(pools(t, "z: 10.9.0.0/24", "a2!: fd00::/64 10.0.0.0/20"))
	if err != nil || len(changes) != 4 {
		t.Errorf("%v, %v", changes, err)
	}
	for i := range 4 {
		expect(t, a, Owner(fmt.Sprint(i)), fmt.Sprintf("a2 10.0.0.%d fd00::%s", i, strings.Trim(fmt.Sprint(i), "0")))
	}
	// The same again changes nothing, also if only the caller's slices differ.
	if changes, err := a.SetPools(pools(t, "z: 10.9.0.0/24", "a2!: fd00::/64 10.0.0.0/20")); err != nil || changes != nil {
		t.Errorf("%v, %v", changes, err)
	}
	// Divided by family and by number: still nobody moves, and one who waited for a pool is served.
	changes, err = a.SetPools(pools(t, "low: 10.0.0.0/31", "other: 10.0.0.2-10.0.0.9", "six: fd00::/126"))
	if err != nil || len(changes) != 5 {
		t.Errorf("%v, %v", changes, err)
	}
	expect(t, a, "1", "low 10.0.0.1 fd00::1")
	expect(t, a, "3", "other 10.0.0.3 fd00::3")
	expect(t, a, "other", "other 10.0.0.4")
	// Shrunk: who loses an address gets another if possible; who requires two does not keep one alone.
	changes, err = a.SetPools(pools(t, "low: 10.0.0.0-10.0.0.2", "new: 10.5.0.0/31 fd05::/64"), "low", "other", "fd00::/64")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, a, "0", "new 10.5.0.0 fd05::")
	expect(t, a, "1", "new 10.5.0.1 fd05::1")
	expect(t, a, "2", `PoolExhausted: no free pair of IPv4 and IPv6 addresses in pool "new"`)
	expect(t, a, "other", `NoMatchingPool: there is no pool "other"`)
	for _, c := range changes {
		if c.Lost == nil {
			t.Errorf("%s lost something without a reason: %v", c.Owner, c)
		}
	}
	if !slices.IsSortedFunc(changes, func(x, y Change) int { return strings.Compare(string(x.Owner), string(y.Owner)) }) {
		t.Errorf("changes are not in order: %v", changes)
	}
}

func TestPoolMistakesChangeNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		pools []Pool
		want  string
	}{
		"no name":      {pools(t, ": 10.0.0.1"), "pool 0 has no name"},
		"name twice":   {pools(t, "a: 10.0.0.1", "a: 10.0.0.2"), `two pools are named "a"`},
		"no addresses": {pools(t, "a:"), `pool "a" has no addresses`},
		"bad range":    {[]Pool{{Name: "a", Ranges: []Range{{}}}}, `pool "a": an address is missing`},
		"backwards":    {[]Pool{{Name: "a", Ranges: []Range{{addrs("10.0.0.2")[0], addrs("10.0.0.1")[0]}}}}, `pool "a": the range ends at 10.0.0.1, before it starts at 10.0.0.2`},
		"overlap":      {pools(t, "a: 10.0.0.0/24", "b: 10.0.0.9"), `pool "b": 10.0.0.9 overlaps 10.0.0.0/24 of pool "a"`},
		"within":       {pools(t, "a: fd00::/64 fd00::/48"), `pool "a": fd00::/48 overlaps fd00::/64 of pool "a"`},
		"all at once":  {pools(t, "a: 10.0.0.0/24 10.0.0.7", "b: 10.0.0.9", "b:"), "two pools are named \"b\"\npool \"b\" has no addresses\npool \"a\": 10.0.0.7 overlaps 10.0.0.0/24 of pool \"a\"\npool \"b\": 10.0.0.9 overlaps 10.0.0.0/24 of pool \"a\""},
	} {
		t.Run(name, func(t *testing.T) {
			if a, err := New(tc.pools); a != nil || err == nil || err.Error() != tc.want {
				t.Errorf("New: %v\nwant %s", err, tc.want)
			}
			a := allocator(t, "p: 10.0.0.1")
			a.Assign(Request{Owner: "x", Families: SingleIPv4})
			if changes, err := a.SetPools(tc.pools); len(changes) > 0 || err == nil || err.Error() != tc.want {
				t.Errorf("SetPools: %v, %v", changes, err)
			}
			expect(t, a, "x", "p 10.0.0.1")
		})
	}
}

// New keeps a copy: what the caller does with its slices afterwards changes nothing.
func TestPoolsAreCopied(t *testing.T) {
	given := pools(t, "a: 10.0.0.0/24")
	a, _ := New(given)
	given[0].Ranges[0] = Range{}
	if changes, err := a.SetPools(pools(t, "a: 10.0.0.0/24")); err != nil || changes != nil {
		t.Errorf("%v, %v", changes, err)
	}
}

func TestUsage(t *testing.T) {
	a := allocator(t, "a: fd00::/64 10.0.0.0/8", "b: ::1-::f:0:0:0:0")
	a.Assign(Request{Owner: "x", Families: RequireDual})
	a.Assign(Request{Owner: "y", Families: SingleIPv4})
	lines := make([]string, 0, 3)
	for _, u := range a.Usage() {
		lines = append(lines, fmt.Sprint(u.Pool, " ", u.Family, " ", u.Size, " ", u.InUse, " ", u.Free()))
	}
	want := []string{
		"a IPv4 16777216 2 16777214",
		"a IPv6 18446744073709551616 1 18446744073709551615",
		"b IPv6 276701161105643274240 0 276701161105643274240",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
	a.Usage()[0].Size.SetInt64(0)
	if a.Usage()[0].Size.Sign() == 0 {
		t.Error("Usage hands out its own numbers")
	}
	if name, ok := a.PoolOf(netip.MustParseAddr("10.255.255.255")); name != "a" || !ok {
		t.Errorf("the pool of 10.255.255.255 is %q, %v", name, ok)
	}
	if name, ok := a.PoolOf(netip.MustParseAddr("11.0.0.0")); ok {
		t.Errorf("the pool of 11.0.0.0 is %q", name)
	}
}

func TestConcurrentUse(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/27 fd00::/123")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				owner := Owner(fmt.Sprint(g, "/", i%10))
				a.Assign(Request{Owner: owner, Families: Families(1 + i%5), Share: Share{Key: []string{"", "k"}[i%2], Ports: ports(uint16(i % 10))}})
				_, _ = a.Lookup(owner)
				a.Usage()
				a.Remember(a.Remembered())
				if _, err := a.Plan(nil, Everything); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					a.Release(owner)
				}
				if i%50 == 0 {
					if _, err := a.SetPools(pools(t, "a: 10.0.0.0/27 fd00::/123", fmt.Sprintf("b: 10.1.%d.0/29", g)), Everything); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
