package ipam_test

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/kontena/network-lb/ipam"
)

func mustParse(s string) ipam.Range {
	r, err := ipam.ParseRange(s)
	if err != nil {
		panic(err)
	}
	return r
}

// A pool made of a CIDR: the lowest free address each time, and a freed one is used again.
func Example() {
	a, err := ipam.New([]ipam.Pool{{Name: "default", Ranges: []ipam.Range{mustParse("10.20.0.0/30")}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, vm := range []ipam.Owner{"vm-1", "vm-2", "vm-3"} {
		a.Assign(ipam.Request{Owner: vm, Families: ipam.SingleIPv4})
	}
	a.Release("vm-1")
	for _, change := range a.Assign(ipam.Request{Owner: "vm-4", Families: ipam.SingleIPv4}) {
		fmt.Println(change.Owner, "has", change.After.V4, "from", change.After.Pool)
	}
	// Output: vm-4 has 10.20.0.0 from default
}

// Both addresses of a dual-stack owner come from one pool: the first that has both.
func Example_dualStack() {
	a, _ := ipam.New([]ipam.Pool{
		{Name: "legacy", Ranges: []ipam.Range{mustParse("192.0.2.0/24")}},
		{Name: "modern", Ranges: []ipam.Range{mustParse("198.51.100.10-198.51.100.20"), mustParse("2001:db8::/64")}},
	})
	a.Assign(ipam.Request{Owner: "web", Families: ipam.RequireDual})
	got, _ := a.Lookup("web")
	fmt.Println(got.Pool, got.Addrs())
	// Output: modern [198.51.100.10 2001:db8::]
}

// Owners with one key share an address as long as their ports differ.
func Example_sharing() {
	a, _ := ipam.New([]ipam.Pool{{Name: "default", Ranges: []ipam.Range{mustParse("10.20.0.0/24")}}})
	for owner, port := range map[ipam.Owner]uint16{"shop/web": 80, "shop/mail": 25} {
		a.Assign(ipam.Request{
			Owner: owner, Namespace: "shop", Families: ipam.SingleIPv4,
			Share: ipam.Share{Key: "shop", Ports: []ipam.Port{{Protocol: "TCP", Number: port}}},
		})
	}
	web, _ := a.Lookup("shop/web")
	mail, _ := a.Lookup("shop/mail")
	fmt.Println(web.V4, mail.V4, "in use:", a.Usage()[0].InUse)
	// Output: 10.20.0.0 10.20.0.0 in use: 1
}

// A reserved address is kept for its owner, who gets it without asking for it.
func Example_reservation() {
	a, _ := ipam.New([]ipam.Pool{{
		Name:         "default",
		Ranges:       []ipam.Range{mustParse("10.20.0.0/24")},
		Reservations: []ipam.Reservation{{Address: netip.MustParseAddr("10.20.0.0"), Owner: "prod/web"}},
	}})
	for _, owner := range []ipam.Owner{"test/web", "prod/web"} {
		a.Assign(ipam.Request{Owner: owner, Families: ipam.SingleIPv4})
		got, _ := a.Lookup(owner)
		fmt.Println(owner, got.V4)
	}
	// Output:
	// test/web 10.20.0.1
	// prod/web 10.20.0.0
}

// New pools say what they would take away, before they do, and take only what is released.
func ExampleAllocator_SetPools() {
	a, _ := ipam.New([]ipam.Pool{{Name: "old", Ranges: []ipam.Range{mustParse("10.20.0.0/24")}}})
	a.Assign(ipam.Request{Owner: "web", Families: ipam.SingleIPv4})
	next := []ipam.Pool{{Name: "new", Ranges: []ipam.Range{mustParse("10.30.0.0/24")}}}
	_, err := a.SetPools(next)
	fmt.Println(err)
	changes, _ := a.SetPools(next, "old")
	fmt.Println(changes[0].Owner, "has", changes[0].After.V4, "now")
	// Output:
	// web would lose 10.20.0.0: 10.20.0.0 is in no pool
	// web has 10.30.0.0 now
}

// Exhaustion is an error that names the pools.
func ExamplePoolExhaustedError() {
	a, _ := ipam.New([]ipam.Pool{{Name: "tiny", Ranges: []ipam.Range{mustParse("10.20.2.7")}}})
	a.Assign(ipam.Request{Owner: "first", Families: ipam.SingleIPv4})
	a.Assign(ipam.Request{Owner: "second", Families: ipam.SingleIPv4})
	_, err := a.Lookup("second")
	if full, ok := errors.AsType[*ipam.PoolExhaustedError](err); ok {
		fmt.Println(full.Pools, "full:", err)
	}
	// Output: [tiny] full: no free IPv4 address in pool "tiny"
}

// Who cannot be served waits, and the call that frees an address serves it.
func ExampleAllocator_Release() {
	a, _ := ipam.New([]ipam.Pool{{Name: "tiny", Ranges: []ipam.Range{mustParse("10.20.2.7")}}})
	a.Assign(ipam.Request{Owner: "first", Families: ipam.SingleIPv4})
	a.Assign(ipam.Request{Owner: "second", Families: ipam.SingleIPv4})
	_, err := a.Lookup("second")
	fmt.Println(ipam.Reason(err)+":", err)
	for _, change := range a.Release("first") {
		fmt.Println(change.Owner, change.Before.Addrs(), "to", change.After.Addrs())
	}
	// Output:
	// PoolExhausted: no free IPv4 address in pool "tiny"
	// first [10.20.2.7] to []
	// second [] to [10.20.2.7]
}

// Errors carry data: here, who has the requested address.
func ExampleAddressInUseError() {
	a, _ := ipam.New([]ipam.Pool{{Name: "default", Ranges: []ipam.Range{mustParse("10.20.0.0/24")}}})
	want := []netip.Addr{netip.MustParseAddr("10.20.0.80")}
	a.Assign(ipam.Request{Owner: "shop/web", Families: ipam.SingleIPv4, Addresses: want})
	for _, change := range a.Assign(ipam.Request{Owner: "blog/web", Families: ipam.SingleIPv4, Addresses: want}) {
		if inUse, ok := errors.AsType[*ipam.AddressInUseError](change.Err); ok {
			fmt.Println(change.Owner, "waits for", inUse.Holder, "to leave", inUse.Address)
		}
	}
	// Output: blog/web waits for shop/web to leave 10.20.0.80
}

// A new process takes over what is in use, in whatever order it learns of it.
func ExampleAllocator_Adopt() {
	a, _ := ipam.New([]ipam.Pool{{Name: "default", Ranges: []ipam.Range{mustParse("10.20.0.0/24")}}})
	changes := a.Adopt([]ipam.Holding{
		{Request: ipam.Request{Owner: "asks", Families: ipam.SingleIPv4}},
		{Request: ipam.Request{Owner: "has", Families: ipam.SingleIPv4}, Addrs: []netip.Addr{netip.MustParseAddr("10.20.0.0")}},
	})
	for _, change := range changes {
		fmt.Println(change.Owner, "has", change.After.V4, "now")
	}
	// Output: asks has 10.20.0.1 now
}
