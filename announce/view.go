// Package announce decides, from one immutable view of the cluster, which addresses this node announces and
// to whom, and gives a reason for every address that it does not.
package announce

import (
	"net/netip"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/selector"
)

// View is everything a decision depends on. It is a value: whoever builds it does not change it, nor what
// it points to, after handing it over. The zero View announces nothing.
type View struct {
	// Node is the name of the node that decides.
	Node string
	// Nodes are the nodes of the cluster, this one among them.
	Nodes []Node
	// Services are the Services of type LoadBalancer that are ours to announce.
	Services []Service
	// Pools are the configured address pools.
	Pools []Pool
	// Peers are the configured BGP neighbours of all nodes.
	Peers []Peer

	// Stage is how far this node's drain has come.
	Stage Stage
	// DrainTaints are keys of taints that drain a node.
	DrainTaints []string

	// Members are the speakers as they know each other, this one among them. nil: they do not, and what the cluster
	// says of their nodes decides who owns an address on layer 2.
	Members []Member
	// Silent says that this node answers for nothing on layer 2, as it does not know enough of the others.
	Silent bool
	// Unproven says that this node was not seen to forward since it booted. It announces nothing new then that another
	// node announces; Announced are the addresses that it has announced since, by whatever protocol.
	Unproven  bool
	Announced map[netip.Addr]bool
	// Exclude are globs of interfaces never to be chosen by default, added to layer2.ContainerInterfaces.
	Exclude []string
	// Lingering are addresses that this node goes on advertising by BGP for a moment, although as many other nodes as are
	// to do that go before it: routers hear of those meanwhile.
	Lingering map[netip.Addr]bool
	// Answered are addresses for which another node was found to answer, although it is not known to hold them: that
	// node's name, or "" where nobody knows whose speaker it is. This node leaves them alone.
	Answered map[netip.Addr]string
}

// Member is what is known of a node's speaker without the cluster.
type Member struct {
	// Node is the name of its node.
	Node     string
	Presence Presence
	// Known says that the rest is what it has told; a speaker that has not yet is no candidate for an address.
	Known bool
	// Starting says that it does not know yet what it should announce, Draining that its node is being emptied.
	Starting, Draining bool
	// Unproven says that its node was not seen to forward since it booted.
	Unproven bool
	// Restarting says that it ends, or has just begun, and that its node goes on forwarding what comes for the addresses
	// in Held. It owns them, whatever its Presence, as long as nobody else has taken them; see Verdict.StandIn.
	Restarting bool
	// Links are its node's interfaces, and Held the addresses that it answers for.
	Links []layer2.Link
	Held  []netip.Addr
	// Standing are the addresses that it answers for in the place of others that restart.
	Standing []netip.Addr
}

// Presence says whether a speaker is there, as far as the speakers know.
type Presence uint8

// The presences.
const (
	Missing Presence = iota // nobody has met it, so that what the cluster says of its node counts
	Alive
	Lost // it answers no longer, or has left, or its node is gone
)

// Node is what a decision needs to know of a node.
type Node struct {
	Name   string
	Labels map[string]string
	// InternalIPs are the node's own addresses, in the order in which the cluster lists them.
	InternalIPs []netip.Addr
	// Ready says that the cluster believes the node to work.
	Ready bool
	// Speaker says that a speaker runs there, so that the node can announce.
	Speaker bool
	// Weight is the node's share of the traffic beside other nodes', for advertisements that go by it; 0 is 1.
	Weight int
	// Pod says that there is a speaker's Pod, whether it is able to announce or not.
	Pod bool
	// Returning says that no speaker runs there, but that one did a moment ago: it may be about to start again, and what
	// it advertised by BGP stays with the routers meanwhile.
	Returning bool
	// NoSession says that none of its BGP sessions is up: it takes over by BGP from no node that is emptied.
	NoSession bool
	// Drain says that somebody wants the node emptied, and Taints are the keys of its taints.
	Drain  bool
	Taints []string
	// NetworkUnavailable and OutOfService mirror the node's condition and taint of these names.
	NetworkUnavailable, OutOfService bool
}

// Service is what a decision needs to know of a Service.
type Service struct {
	// Name is "namespace/name".
	Name string
	// Addrs are the addresses in its status.
	Addrs []netip.Addr
	// Allocated says that its status is the controller's word.
	Allocated bool
	// Labels are the Service's, which advertisements select by.
	Labels map[string]string
	// Local is externalTrafficPolicy: Local, which keeps traffic on the node that it reached.
	Local bool
	// Endpoints counts the Service's endpoints by node name; those without a node stand under "".
	Endpoints map[string]Endpoints
	// Kept and Waiting are the families of which another count than that of Endpoints holds, unless the Service is Local:
	// of those Kept it has lost its last endpoint a moment ago, and of those Waiting the next one came too soon. See Hold.
	Kept, Waiting Families
	// Rebalance has its addresses go to the nodes that come first for them, whoever holds them.
	Rebalance bool
}

// Endpoints counts the endpoints of one Service on one node, by address family.
type Endpoints struct{ V4, V6 Count }

// Families is a set of address families.
type Families struct{ V4, V6 bool }

// Count is a number of endpoints: those that are ready, and those that still serve while they terminate.
type Count struct{ Ready, Serving int }

// Pool is an address pool as far as announcing is concerned.
type Pool struct {
	Name      string
	Addresses AddressSet
	// Layer2 and BGP are the protocols by which the pool's addresses are announced; both may be set.
	Layer2, BGP bool
	// Nodes selects the nodes that may announce the pool's addresses, by label; empty selects all.
	Nodes selector.Any
	// Interfaces are names or globs of the interfaces to answer on; empty: those that layer2.Choose takes by default.
	Interfaces []string
	// AnswerPing has the node that answers for an address on layer 2 answer ICMP echo requests to it.
	AnswerPing bool
	// Advertisements are how BGP announces the pool's addresses, in the order of the configuration. None is one, the
	// zero Advertisement.
	Advertisements []Advertisement
}

// Advertisement is one way in which BGP announces a pool's addresses. The zero value advertises a host route for each
// address to every peer.
type Advertisement struct {
	// Length4 and Length6 are the lengths of the prefixes that the addresses are advertised in, by family; 0 is a host
	// route for each. A node that may not announce every address that is assigned inside such an aggregate advertises
	// the host routes of those that it may.
	Length4, Length6 int
	// LocalPref, MED, Prepend and Communities are as in a bgp.Route. Advertisements of one prefix merge as bgp.Route's
	// Merge does; where they contradict each other, one that has the prefix's length goes before one whose aggregate
	// was broken up, and an earlier one before a later one.
	LocalPref, MED bgp.Optional
	Prepend        uint8
	Communities    []bgp.Community
	// Peers are the names of the peers that are advertised to; empty is all of them.
	Peers []string
	// Weight is what the routers are told of this node's share of the traffic, by a bgp.Route's Bandwidth.
	Weight Weight
	// MaxNodes is how many nodes advertise an address at most, of those that may; 0: all of them. They are chosen by hash,
	// and with SpreadBy, the key of a label of nodes, spread over its values as evenly as can be. A node that is gone or
	// back changes the choice, so that what another node advertised in its stead is withdrawn.
	MaxNodes int
	SpreadBy string
	// Nodes selects the nodes that advertise, of those that the pool selects, and Services the Services whose addresses
	// are advertised, by label; empty selects all.
	Nodes, Services selector.Any
}

// AddressSet is a set of addresses, such as an ipam.Pool.
type AddressSet interface {
	// Contains reports whether the address is in the set.
	Contains(netip.Addr) bool
}

// Peer is a BGP neighbour and the nodes that have a session with it.
type Peer struct {
	bgp.Peer
	// Nodes selects the nodes by label; empty selects every node.
	Nodes selector.Any
	// Problem says why there can be no session with it at present, such as a password that cannot be read; empty:
	// nothing is in the way.
	Problem string
}

// of returns the counts for the family of addr.
func (e Endpoints) of(addr netip.Addr) Count {
	if addr.Is4() {
		return e.V4
	}
	return e.V6
}

// have reports whether the family of addr is in the set.
func (f Families) have(addr netip.Addr) bool { return f.V4 && addr.Is4() || f.V6 && addr.Is6() }
