package announce

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/layer2"
)

// excludeLabel takes a node out of external load balancing, whatever its value
// (https://kubernetes.io/docs/reference/labels-annotations-taints/).
const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"

// Decide returns the plan of the node v.Node. It is a pure function of the view.
func Decide(v View) Plan {
	d := newDecision(v)
	for _, s := range v.Services {
		for _, addr := range s.Addrs {
			d.address(s, addr)
		}
	}
	return d.plan()
}

type decision struct {
	view     View
	own      Node    // this node
	self     Reason  // why this node announces nothing at all; empty: it may
	eligible []Node  // the nodes that may announce, in order of name
	pools    []scope // of each of the view's pools
	peers    []bgp.Peer
	withheld []Peer                  // of this node, with a problem
	offers   [][]*offer              // of each of the view's pools
	claims   map[netip.Addr]int      // the pool's index
	members  map[string]*Member      // by node; nil without a membership
	reach    *reach                  // likewise, as the next
	unproven map[string]bool         // members that announce nothing new: what they hold they go on with
	shut     bool                    // this node announces nothing new that another one announces
	holders  map[netip.Addr][]string // the speakers that answer for an address
	whole    map[spot]among          // of all eligible nodes, of which one is to own the addresses there
	shared   map[netip.Addr]share
	restarts map[netip.Addr][]string       // the speakers that restart and answered for an address
	seconds  map[netip.Addr][]string       // those that answer for it in another one's place
	places   map[netip.Addr][]layer2.Claim // what this node answers for in another one's place
	verdicts []Verdict
}

func newDecision(v View) *decision {
	d := &decision{
		view: v, self: NodeNotSelected, claims: map[netip.Addr]int{}, whole: map[spot]among{}, unproven: map[string]bool{},
		verdicts: make([]Verdict, 0, len(v.Services)),
	}
	for _, n := range v.Nodes {
		why := n.barred()
		if why == "" && n.Name == v.Node && v.Stage == Left {
			why = NodeDraining
		}
		if why == "" {
			d.eligible = append(d.eligible, n)
		}
		if n.Name == v.Node {
			d.own, d.self = n, why
			d.peers, d.withheld = peersOf(n, v.Peers)
			slices.SortFunc(d.peers, func(a, b bgp.Peer) int { return cmp.Compare(a.Title(), b.Title()) })
		}
	}
	slices.SortFunc(d.eligible, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	d.meet()
	d.meetGate()
	for _, p := range v.Pools {
		d.pools = append(d.pools, d.scopeOf(p.Nodes))
	}
	d.shared = d.sharers()
	for _, p := range v.Pools {
		d.offers = append(d.offers, d.offersOf(p))
	}
	d.narrow()
	return d
}

// barred says why the node may not announce anything; empty: it may.
func (n Node) barred() Reason {
	_, excluded := n.Labels[excludeLabel]
	switch {
	case excluded:
		return NodeExcluded
	case n.NetworkUnavailable:
		return NodeNetworkUnavailable
	case n.OutOfService:
		return NodeOutOfService
	}
	return ""
}

// peersOf returns the neighbours that the node has a session with, and those that something is in the way of. A peer
// without a router ID gets the node's first IPv4 address as such; where there is none, the engine derives one.
func peersOf(n Node, peers []Peer) (out []bgp.Peer, withheld []Peer) {
	var id netip.Addr
	if i := slices.IndexFunc(n.InternalIPs, netip.Addr.Is4); i >= 0 {
		id = n.InternalIPs[i]
	}
	for _, p := range peers {
		if !p.Nodes.Matches(n.Labels) {
			continue
		}
		if p.Problem != "" {
			withheld = append(withheld, p)
			continue
		}
		if !p.RouterID.IsValid() {
			p.RouterID = id
		}
		out = append(out, p.Peer)
	}
	return out, withheld
}

func (d *decision) address(s Service, addr netip.Addr) {
	i := d.poolOf(addr)
	if i < 0 {
		d.record(s, addr, "", NotConfigured, "")
		return
	}
	if d.view.Pools[i].Layer2 {
		why, owner, standIn := d.layer2(i, s, addr)
		d.record(s, addr, Layer2, why, owner)
		d.verdicts[len(d.verdicts)-1].StandIn = standIn
		if why == "" {
			d.claims[addr] = i
		}
	}
	if d.view.Pools[i].BGP {
		d.record(s, addr, BGP, d.bgp(d.offers[i], s, addr), "")
	}
}

func (d *decision) record(s Service, addr netip.Addr, p Protocol, why Reason, owner string) {
	d.verdicts = append(d.verdicts, Verdict{Service: s.Name, Addr: addr, Protocol: p, Reason: why, Owner: owner})
}

// may says whether this node may announce the address, and which of the eligible nodes of a scope may.
func (d *decision) may(s Service, addr netip.Addr, of scope) (Reason, []Node) {
	if !s.Allocated {
		return NotAllocated, nil
	}
	why, nodes := NoEndpoints, []Node(nil)
	if serves(s, addr) {
		why, nodes = "", of.nodes
		if s.Local {
			why, nodes = NoLocalEndpoints, d.withEndpoints(s, addr, of.nodes)
		}
	}
	switch {
	case d.self != "":
		return d.self, nodes
	case !of.here:
		return NodeNotSelected, nodes
	}
	if slices.ContainsFunc(nodes, func(n Node) bool { return n.Name == d.view.Node }) {
		return "", nodes
	}
	return why, nodes
}

// withEndpoints returns the nodes that have a ready endpoint of their own; where no node has that stays, also those
// whose endpoints still serve while they terminate (as kube-proxy does, KEP-1669).
func (d *decision) withEndpoints(s Service, addr netip.Addr, among []Node) []Node {
	var ready, able []Node
	stays := false
	for _, n := range among {
		c := s.Endpoints[n.Name].of(addr)
		if c.Ready > 0 {
			ready = append(ready, n)
			stays = stays || !d.drains(n)
		}
		if c.Ready > 0 || c.Serving > 0 {
			able = append(able, n)
		}
	}
	if stays {
		return ready
	}
	return able
}

// serves reports whether the Service counts as having an endpoint of the address's family.
func serves(s Service, addr netip.Addr) bool {
	if !s.Local && (s.Kept.have(addr) || s.Waiting.have(addr)) {
		return s.Kept.have(addr)
	}
	for _, e := range s.Endpoints {
		if e.of(addr).any() {
			return true
		}
	}
	return false
}

func (d *decision) plan() Plan {
	p := Plan{Peers: d.peers, Withheld: d.withheld, Verdicts: d.verdicts}
	p.Routes, p.Aggregates = d.advertise()
	for addr, i := range d.claims {
		pool := d.view.Pools[i]
		p.Claims = append(p.Claims, layer2.Claim{Addr: addr, Interfaces: pool.Interfaces, AnswerPing: pool.AnswerPing})
	}
	for addr, claims := range d.places {
		if _, own := d.claims[addr]; !own {
			p.Claims = append(p.Claims, claims...)
		}
	}
	slices.SortStableFunc(p.Claims, func(a, b layer2.Claim) int { return a.Addr.Compare(b.Addr) })
	slices.SortFunc(p.Verdicts, Verdict.Compare)
	return p
}
