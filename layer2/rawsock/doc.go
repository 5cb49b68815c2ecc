// Package rawsock is the layer2.Transport of Linux: packet sockets with a kernel filter for ARP (RFC 826) and
// neighbour solicitations (RFC 4861), solicited-node group memberships, and netlink for following the interfaces.
//
// It needs CAP_NET_RAW and nothing else. Everything happens in the network namespace of the thread that calls the
// methods, so a process that uses it is to live in one.
package rawsock
