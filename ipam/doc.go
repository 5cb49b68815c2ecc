// Package ipam hands out IP addresses from pools: exactly, deterministically and at every size, from a single address
// to a /8 or an IPv6 /64 and beyond. It needs nothing but the standard library and knows nothing of Kubernetes.
//
// An [Allocator] has a list of [Pool]s, each made of [Range]s of either family. An [Owner], any unique key, sends a
// [Request] and gets an address of the first pool that can serve it:
//
//	r, err := ipam.ParseRange("10.0.0.0/24") // or "10.0.0.1-10.0.0.9", "10.0.0.7", "fd00::/64"
//	a, err := ipam.New([]ipam.Pool{{Name: "default", Ranges: []ipam.Range{r}}})
//	a.Assign(ipam.Request{Owner: "vm-17", Families: ipam.SingleIPv4})
//	got, err := a.Lookup("vm-17") // got.V4, got.V6, got.Pool; or err says why it waits
//	a.Release("vm-17")
//
// Every call that changes something returns a [Change] for each owner that it touched, and is idempotent: the caller
// says what should be, as often as it likes, and acts on the changes. An owner that cannot be served stays in a queue,
// and the call that makes it possible (a release, other pools) serves it: the longest-waiting first. Errors are typed,
// with the pool, the address and its holder in them, and [Reason] gives the one word for each.
//
// # Which address
//
// First an address that a [Reservation] keeps for the owner, then the one that it released lately (Pool.StickyTTL),
// then one that owners with its [Share] key have, then a free one by the pool's [Strategy], those that were released
// lately (Pool.Cooldown) last; each time the pools are tried in their order: those whose [Selector] matches, then by
// Priority, then as listed. Owners of two families get both addresses from one pool.
//
// # What stays
//
// What works is not moved. An address is kept as long as it is in some pool whose Selector matches, its owner does not
// ask for something else, and no older owner stops fitting together with it. Disabling a pool, excluding an address,
// reserving it for another, a lower quota or a narrower sharing take nothing from anybody. [Allocator.SetPools] refuses
// pools that would take an address which is not released, and [Allocator.Plan] says which those are. A successor takes
// over with [Allocator.Adopt] and [Allocator.Remember] as if it had been there all the time.
//
// # What it costs
//
// Nothing iterates addresses: the assignable ones are numbered without gaps and the free ones kept as ordered
// intervals, so that an operation is O(log n) in the number of gaps, whatever the size and fill of the pools. Measured
// on two cores of a server with some other load, half of the owners assigned anew at random (go test -bench .), in
// microseconds:
//
//	owners                                100    1k   10k  100k
//	release and assign                    1.0   1.0   1.1   1.7
//	the same, over 20 pools               1.0   0.9   1.0   1.8
//	the same, Stable                      1.3   1.6   2.6   3.7
//	the same, IPv6 /64                    0.8   0.8   1.1   1.8
//	the same, both families               1.4   1.3   1.5   2.2
//	the same, MaxPerNamespace             1.2   1.1   1.3   1.7
//	the same, StickyTTL and Cooldown      2.2   2.3   2.4   3.3
//	the same, four owners to an address   1.6   2.0   3.3   4.9
//	assign the first time                 0.7   0.6   1.0   2.0
//	the same, Stable                      0.9   1.1   1.6   3.4
//	full: release, serve a waiting one,
//	and have the first wait               1.8   1.9   2.8   4.6
//	look up                               0.03  0.03  0.04  0.16
//
// What grows with the number of owners is mostly the time that the processor waits for memory: maps of 100k owners do
// not fit into its caches. A plain owner takes 250 bytes, at 100k of them. SetPools takes 40 ms with 50k owners, and
// 190 ms if it renames the pool of all of them. Only many waiting owners that are all unlike each other (they request
// an address, share or have something reserved) cost time in proportion to their number when something that they wait
// for is freed.
package ipam
