package announce

import (
	"cmp"
	"net/netip"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/layer2"
)

// Plan is what this node is to announce, all of it, in a fixed order: two equal views give equal plans.
type Plan struct {
	Peers    []bgp.Peer
	Withheld []Peer // those of this node that have a Problem, and so no session
	Routes   []bgp.Route
	// Aggregates are the prefixes among the Routes that stand for several addresses, of which some may be nobody's. The
	// node has to refuse what comes for those (package bgp/discard), or it would go back to the router, and round and
	// round.
	Aggregates []netip.Prefix
	// Claims are the addresses that this node answers for: those with a MAC address in the place of that node.
	Claims   []layer2.Claim
	Verdicts []Verdict
}

// Protocol is the way in which an address is announced.
type Protocol string

// The protocols a pool can name.
const (
	Layer2 Protocol = "layer2"
	BGP    Protocol = "bgp"
)

// Verdict is the decision for one address of one Service by one protocol on this node.
type Verdict struct {
	Service  string     `json:"service"`
	Addr     netip.Addr `json:"address"`
	Protocol Protocol   `json:"protocol,omitempty"` // empty where the pool, and so the protocol, is unknown
	// Reason says why this node does not announce the address; empty means that it does.
	Reason Reason `json:"reason,omitempty"`
	// Owner is the node that answers for the address on layer 2, as far as one was chosen.
	Owner string `json:"owner,omitempty"`
	// StandIn is the node that answers for the address in the owner's place, with the owner's MAC address, while the
	// owner's speaker restarts; empty: there is none, or no need. On that node the Reason says why it is not the owner, as
	// on all others: the address is the owner's, and so are the packets.
	StandIn string `json:"standIn,omitempty"`
}

// Compare orders verdicts as a Plan has them: by Service, address and protocol, whatever was decided.
func (v Verdict) Compare(w Verdict) int {
	return cmp.Or(cmp.Compare(v.Service, w.Service), v.Addr.Compare(w.Addr), cmp.Compare(v.Protocol, w.Protocol))
}

// Reason says in one word why a node does not announce an address. Reports, events, logs and tests all use
// the same word.
type Reason string

// The reasons, in the order in which a decision looks for them.
const (
	// NotConfigured: the address is in none of the configured pools, or no advertisement of its pool is for the Service.
	NotConfigured Reason = "NotConfigured"
	// NotAllocated: the controller has not said that the address is the Service's.
	NotAllocated Reason = "NotAllocated"
	// NodeExcluded: the node carries the label node.kubernetes.io/exclude-from-external-load-balancers.
	NodeExcluded Reason = "NodeExcluded"
	// NodeNetworkUnavailable: the node's condition NetworkUnavailable is true.
	NodeNetworkUnavailable Reason = "NodeNetworkUnavailable"
	// NodeOutOfService: the node carries the taint node.kubernetes.io/out-of-service.
	NodeOutOfService Reason = "NodeOutOfService"
	// NodeDraining: the node is being emptied, and another one answers for the address on layer 2, or announces it by
	// BGP too.
	NodeDraining Reason = "NodeDraining"
	// NodeNotSelected: the node is unknown to the cluster, or the pool, or each peer or advertisement, does not select it.
	NodeNotSelected Reason = "NodeNotSelected"
	// DataPathNotReady: the node was not seen to forward since it booted, and another one announces the address.
	DataPathNotReady Reason = "DataPathNotReady"
	// NoEndpoints: the Service has no endpoint of the address's family that could answer.
	NoEndpoints Reason = "NoEndpoints"
	// NoLocalEndpoints: externalTrafficPolicy is Local and the endpoints are on other nodes.
	NoLocalEndpoints Reason = "NoLocalEndpoints"
	// NoSession: each peer that selects the node, and is advertised to, has a problem that keeps it from having a session.
	NoSession Reason = "NoSession"
	// BeyondMaxNodes: as many other nodes as are to advertise the address by BGP go before this one.
	BeyondMaxNodes Reason = "BeyondMaxNodes"
	// NotOwner: another node answers for the address on layer 2.
	NotOwner Reason = "NotOwner"
	// NoInterface: the node has no interface with carrier for the address on layer 2, or others are in its subnet and
	// this one is not.
	NoInterface Reason = "NoInterface"
)
