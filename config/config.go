// Package config reads the product's configuration, one YAML document, into one immutable value, and says everything
// that is wrong with a document at once, each mistake with its place and a remedy.
package config

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/selector"
)

// Config is the validated intent. It is immutable: whoever gets one changes nothing in it. Configs are compared with
// Equal.
type Config struct {
	Enabled      bool              // false: the rest may be absent
	NodeSelector map[string]string // labels of the nodes where speaker pods run; empty: all nodes
	Tolerations  []Toleration      // of the speaker pods
	// LoadBalancerClass is the spec.loadBalancerClass of the Services that are handled; empty: those without one.
	LoadBalancerClass string

	Pools []Pool // at least one, unless not Enabled
	Peers []Peer // at least one if a pool is for BGP, unless not Enabled
	// What follows is for layer 2.
	Membership        Membership
	FailureDetection  Detection
	ExcludeInterfaces []string // globs of interfaces never to be chosen by default, added to layer2.ContainerInterfaces
	GratuitousRate    int      // how many frames a second may announce addresses on an interface
	// RestartGrace is how long the node of a speaker that restarts keeps its addresses, while others answer in its place.
	RestartGrace time.Duration

	Drain   Drain
	Release []string // pools and addresses that may be taken from their Services, as ipam's SetPools reads them
}

// Toleration is a toleration of the speaker pods, as in Kubernetes' core/v1.
type Toleration struct {
	Key      string // a taint's key; empty: every taint, with operator Exists
	Operator string // Exists or Equal
	Value    string // with Equal
	Effect   string // NoSchedule, PreferNoSchedule or NoExecute; empty: all of them
	Seconds  *int64 // with NoExecute, how long the taint is tolerated; nil: for ever
}

// Pool is a set of addresses and how they are announced.
type Pool struct {
	Name       string
	Layer2     bool // announced by ARP and NDP
	BGP        bool // announced by BGP; one of the two is true, or both
	Ranges     []ipam.Range
	AutoAssign bool // false: only for Services that ask for the pool or one of its addresses, or have one reserved

	Exclude       []ipam.Range // never assigned
	Disabled      bool         // nobody new gets an address
	AvoidBuggyIPs bool         // IPv4 addresses that end in .0 and .255 are never assigned
	Priority      int          // the pool with the higher one is tried first
	Assignment    ipam.Strategy
	StickyTTL     time.Duration // how long a released address is kept in mind for the Service that had it; 0: not at all
	Cooldown      time.Duration // how long a released address goes to other Services last
	Sharing       ipam.Reach    // how far an equal sharing key reaches
	Requests      ipam.Requests // whose requests for a specific address are granted
	Reservations  []Reservation

	MaxPerNamespace    int          // how many addresses the Services of a namespace have together; 0: no limit
	Namespaces         []string     // only Services of these namespaces ...
	NamespaceSelectors selector.Any // ... or of namespaces with these labels; both empty: of every namespace
	ServiceSelectors   selector.Any // and only Services with these labels; empty: every Service

	NodeSelectors  selector.Any             // of the nodes that may announce its addresses; empty: every node
	Interfaces     []string                 // names or globs of those where layer 2 answers; empty: layer2.Choose's default
	AnswerPing     bool                     // the node that answers on layer 2 for an address answers ICMP echo requests to it, too
	ConflictProbe  Probe                    // whether it is asked for an address on layer 2 before it is announced for the first time
	Advertisements []announce.Advertisement // how BGP announces it; none: as the zero one does
}

// Contains reports whether the address is in the pool.
func (p Pool) Contains(addr netip.Addr) bool {
	return slices.ContainsFunc(p.Ranges, func(r ipam.Range) bool { return r.Contains(addr) })
}

// Peer is a BGP router and the nodes that have a session with it. Of bgp.Peer everything is as configured, with the
// Name always set; zero timers have bgp.Peer's defaults.
type Peer struct {
	bgp.Peer
	NodeSelectors  selector.Any // empty: every node
	PasswordSecret SecretKey    // where the password is, if not in Password; the zero value: nowhere
}

// Equal reports whether both say the same.
func (c Config) Equal(other Config) bool { return reflect.DeepEqual(c, other) }

// AllocatorPools returns the pools as the allocator takes them, in the order of the document.
func (c Config) AllocatorPools() []ipam.Pool {
	pools := make([]ipam.Pool, 0, len(c.Pools))
	for _, p := range c.Pools {
		pools = append(pools, p.allocator())
	}
	return pools
}

// Parse reads a document. The error joins an *Error for every mistake, in the order of their lines; Mistakes takes it
// apart. With an error the Config is the zero value; the warnings are valid either way.
func Parse(document []byte) (Config, []Warning, error) {
	r := &reader{}
	root, ok := r.document(document)
	return r.parsed(root, ok)
}

// parsed reads the document, if there is one, and returns what Parse does.
func (r *reader) parsed(root value, ok bool) (Config, []Warning, error) {
	var c Config
	if ok {
		c = r.config(root)
	}
	warnings, err := r.result()
	if err != nil {
		return Config{}, warnings, err
	}
	return c, warnings, nil
}

const needPool = "add a pool with name, protocol and addresses, or set enabled: false"

// config reads the whole document, and checks what holds between its parts.
func (r *reader) config(root value) Config {
	c := Config{Enabled: true}
	r.schemaVersion(root)
	f := r.fields(root, theDocument)
	if v, ok := f.get("enabled"); ok {
		if enabled, ok := r.boolean(v); ok {
			c.Enabled = enabled
		}
	}
	if v, ok := f.get("node_selector"); ok {
		c.NodeSelector = r.nodeSelector(v)
	}
	if v, ok := f.get("tolerations"); ok {
		for _, element := range r.list(v) {
			c.Tolerations = append(c.Tolerations, r.toleration(element))
		}
	}
	if v, ok := f.get("load_balancer_class"); ok {
		if c.LoadBalancerClass, ok = r.text(v, "the class of Services"); ok && c.LoadBalancerClass != "" {
			r.checkLabels(map[string]string{c.LoadBalancerClass: ""}, map[string]value{c.LoadBalancerClass: v})
		}
	}
	// What a pool and a peer name is read before them.
	if v, ok := f.get("bgp_communities"); ok {
		r.namedCommunities(v)
	}
	if v, ok := f.get("bfd_profiles"); ok {
		r.bfdProfiles(v)
	}
	if v, ok := f.get("peers"); ok {
		c.Peers = r.peers(v)
	}
	if v, ok := f.get("address_pools"); ok {
		c.Pools = r.pools(v)
	}
	r.layer2(f, &c)
	r.drain(f, &c)
	if v, ok := f.get("release"); ok {
		c.Release = r.release(v)
	}
	if !c.Enabled {
		return c
	}
	if pools, ok := r.require(f, "address_pools", needPool); ok && isEmptyList(pools) {
		r.reject(pools, "has no pool, and at least one is needed", needPool)
	}
	if peers, ok := f.get("peers"); (!ok || isEmptyList(peers)) && !f.meant["peers"] {
		r.needPeers(f, c.Pools)
	}
	return c
}
