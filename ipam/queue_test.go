package ipam

import (
	"testing"
	"time"
)

// A waiting owner whose place in the queue changes is served at its new place.
func TestATurnCanChange(t *testing.T) {
	a := allocator(t, "a: 10.0.0.1")
	a.Assign(Request{Owner: "holder", Families: SingleIPv4})
	a.Assign(Request{Owner: "x", Families: SingleIPv4, Since: time.Unix(1, 0)})
	a.Assign(Request{Owner: "y", Families: SingleIPv4, Since: time.Unix(2, 0)})
	a.Assign(Request{Owner: "z", Families: SingleIPv4, Since: time.Unix(3, 0)})
	a.Assign(Request{Owner: "x", Families: SingleIPv4, Since: time.Unix(9, 0)})
	for _, want := range []Owner{"y", "z", "x"} {
		a.Release(a.held[addrs("10.0.0.1")[0]].owner)
		expect(t, a, want, "a 10.0.0.1")
	}
}

// Who waits for a family beside a requested address that meanwhile went to somebody else does not hold up the others.
func TestAStaleHeadGivesWay(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/29 fd00::1")
	a.Assign(Request{Owner: "six", Families: SingleIPv6})
	a.Assign(Request{Owner: "first", Families: RequireDual, Addresses: addrs("10.0.0.1"), Since: time.Unix(1, 0)})
	a.Assign(Request{Owner: "next", Families: RequireDual, Addresses: addrs("10.0.0.2"), Since: time.Unix(2, 0)})
	a.Assign(Request{Owner: "taker", Families: SingleIPv4, Addresses: addrs("10.0.0.1")})
	a.Release("six")
	expect(t, a, "first", "AddressInUse: 10.0.0.1 is in use by taker")
	expect(t, a, "next", "a 10.0.0.2 fd00::1")
	a.Release("next")
	a.Release("taker")
	expect(t, a, "first", "a 10.0.0.1 fd00::1")
}

// Who has one address and asks for a second one that is in use gets it when it is free.
func TestARequestedSecondAddressComesLater(t *testing.T) {
	a := allocator(t, "a: 10.0.0.0/29 fd00::/125")
	a.Assign(Request{Owner: "six", Families: SingleIPv6, Addresses: addrs("fd00::5")})
	a.Assign(Request{Owner: "x", Families: PreferDualIPv4})
	expect(t, a, "x", "a 10.0.0.0 fd00::")
	a.Assign(Request{Owner: "x", Families: PreferDualIPv4, Addresses: addrs("fd00::5")})
	expect(t, a, "x", "a 10.0.0.0")
	a.Release("six")
	expect(t, a, "x", "a 10.0.0.0 fd00::5")
}
