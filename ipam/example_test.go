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
