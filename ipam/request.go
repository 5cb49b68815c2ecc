package ipam

import (
	"fmt"
	"net/netip"
	"time"
)

// Owner names who holds or wants addresses: any key that is unique among the callers. Kubernetes uses
// "namespace/name".
type Owner string

// Families says which addresses a request wants. The zero value is not valid.
type Families uint8

// The possible wishes. Both addresses always come from one pool.
const (
	// SingleIPv4 wants one IPv4 address.
	SingleIPv4 Families = iota + 1
	// SingleIPv6 wants one IPv6 address.
	SingleIPv6
	// PreferDualIPv4 wants an address of each family. Where no pool has both it takes one, preferably IPv4, and the
	// second is added as soon as the same pool has it.
	PreferDualIPv4
	// PreferDualIPv6 is PreferDualIPv4 that prefers IPv6.
	PreferDualIPv6
	// RequireDual wants an address of each family, or nothing.
	RequireDual
)

// String returns "IPv4", "IPv6", "IPv4 and, if possible, IPv6" and so on.
func (f Families) String() string {
	switch f {
	case SingleIPv4:
		return "IPv4"
	case SingleIPv6:
		return "IPv6"
	case PreferDualIPv4:
		return "IPv4 and, if possible, IPv6"
	case PreferDualIPv6:
		return "IPv6 and, if possible, IPv4"
	case RequireDual:
		return "IPv4 and IPv6"
	default:
		return fmt.Sprintf("Families(%d)", uint8(f))
	}
}

func (f Families) isValid() bool { return f >= SingleIPv4 && f <= RequireDual }
func (f Families) dual() bool    { return f >= PreferDualIPv4 }

// first is the only family wanted, or the preferred one.
func (f Families) first() Family {
	if f == SingleIPv6 || f == PreferDualIPv6 {
		return IPv6
	}
	return IPv4
}

func (f Families) want(family Family) bool { return f.dual() || f.first() == family }

// Request is what an owner asks for. Only Owner and Families are needed.
type Request struct {
	Owner     Owner
	Families  Families
	Pool      string       // only from the pool of this name; "": from any that is not Manual
	Addresses []netip.Addr // exactly these, at most one of each family; empty: any
	Created   time.Time    // the owner's age: the older keeps an address that two claim
	Since     time.Time    // waiting since then; the zero time is served first. Ties: Created, then Owner
	Namespace string       // to which the owner belongs: Pool.MaxPerNamespace, Pool.Sharing
	Share     Share        // with whom it may share an address; zero: nobody
	// Labels of the owner and of its namespace, for Pool.Selector. The Allocator keeps them: do not change them.
	Labels, NamespaceLabels map[string]string
}

// Assignment is what an owner has. It is comparable; the zero value is nothing.
type Assignment struct {
	Pool   string // of V4, or of V6 if there is no V4 (SetPools may divide a pool under its owners)
	V4, V6 netip.Addr
}

// Addrs returns the addresses of the assignment, IPv4 first.
func (a Assignment) Addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, addr := range [...]netip.Addr{a.V4, a.V6} {
		if addr.IsValid() {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

func (a Assignment) addr(f Family) netip.Addr {
	if f == IPv4 {
		return a.V4
	}
	return a.V6
}

func (a *Assignment) set(f Family, addr netip.Addr) {
	if f == IPv4 {
		a.V4 = addr
	} else {
		a.V6 = addr
	}
}

func (a Assignment) isZero() bool { return !a.V4.IsValid() && !a.V6.IsValid() }

// Holding is an owner with the addresses that it already uses, for Adopt.
type Holding struct {
	Request
	Addrs []netip.Addr
}

// Change says what a call changed for one owner.
type Change struct {
	Owner         Owner
	Before, After Assignment
	// Err says why the owner waits; After is then zero. It accompanies an After only when an invalid request was
	// refused and the owner keeps what it has.
	Err error
	// Lost says why an address of Before had to go. It is nil where none had to, and for a release.
	Lost error
}
