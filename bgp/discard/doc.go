// Package discard keeps discard routes for BGP aggregates in the kernel: what comes from outside for the part of an
// advertised prefix that nobody has is answered with "unreachable" (RFC 792, RFC 4443) instead of following the default
// route back to the router, and round and round until its TTL is used up.
//
// The routes are of type unreachable, in a routing table of their own (Table) that a policy rule sends forwarded packets
// through, before the main table (ip-rule(8)). Packets of the node's own are not sent there: they are routed before
// kube-proxy has translated their destination, and an unreachable route would refuse a Service's address to programs on
// the node. Packets from outside and from Pods are translated before they are routed.
package discard
