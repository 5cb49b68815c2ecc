// Package ipam hands out IP addresses from pools: exactly, deterministically and at every size, from a single address
// to a /8 or an IPv6 /64 and beyond. It needs nothing but the standard library and knows nothing of Kubernetes.
//
// An [Allocator] has a list of [Pool]s, each made of [Range]s of either family. An [Owner], any unique key, sends a
// [Request] and gets the lowest free address of the first pool that can serve it:
//
//	r, err := ipam.ParseRange("10.0.0.0/24") // or "10.0.0.1-10.0.0.9", "10.0.0.7", "fd00::/64"
//	a, err := ipam.New([]ipam.Pool{{Name: "default", Ranges: []ipam.Range{r}}})
//	a.Assign(ipam.Request{Owner: "vm-17", Families: ipam.SingleIPv4})
//	got, err := a.Lookup("vm-17") // got.V4, got.V6, got.Pool; or err says why it waits
//	a.Release("vm-17")
//
// Every call that changes something returns a [Change] for each owner that it touched, and is idempotent: the caller
// says what should be, as often as it likes, and acts on the changes.
//
// An owner that cannot be served stays in a queue, and the call that makes it possible (a release, other pools)
// serves it: the longest-waiting first. Errors are typed, with the pool, the address and its holder in them, and
// [Reason] gives the one word for each.
//
// What works is not moved. An address is kept as long as it is in some pool and its owner does not ask for something
// else: [Allocator.SetPools] may rename, divide, grow and reorder pools, and [Allocator.Adopt] lets a new process take
// over what is in use. Dual-stack owners get both addresses from one pool.
//
// Nothing iterates addresses: the free space is kept as ordered intervals, so that every operation is O(log n) in the
// number of gaps, whatever the size of the pools.
package ipam
