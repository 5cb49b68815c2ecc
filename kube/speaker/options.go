package speaker

import (
	"context"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/dynamic"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/api"
	"github.com/kontena/network-lb/layer2"
)

// Routes is where the plan's BGP part goes; *bgp.Speaker is one.
type Routes interface {
	Set(peers []bgp.Peer, routes []bgp.Route) error
	Status() []bgp.PeerStatus
}

// Claims is where the plan's layer 2 part goes; *layer2.Responder is one.
type Claims interface {
	Set(claims []layer2.Claim) error
	Status() layer2.Status
	// Configure replaces what layer2.Options say of interfaces and of the rate.
	Configure(exclude []string, rate int)
}

// Neighbours is how this speaker finds out who else answers for an address; *layer2.Responder is one.
type Neighbours interface {
	// SetSpeakers says whose MAC addresses those of other nodes are.
	SetSpeakers(byMAC map[layer2.MAC]string)
	// Probe asks the neighbours who has the addresses.
	Probe(ctx context.Context, o layer2.ProbeOptions, claims ...layer2.Claim) ([]layer2.ProbeResult, error)
	// Defend announces an address that is answered for once more, to whoever else does.
	Defend(addr netip.Addr)
}

// Options say where a speaker works and with what.
type Options struct {
	Client api.Client
	// Node is the name of the node it runs on.
	Node string
	// Namespace is where its configuration and the speakers' Pods are, and Pods the label selector of these.
	Namespace, Pods string
	// LastGood names the Secret with the accepted configuration; File, if set, takes its place.
	LastGood, File string
	Routes         Routes
	Claims         Claims
	Discards       Discards // nil: what nobody has of an aggregate is not refused
	// Prefer is told the node's InternalIPs before each decision is carried out: BGP's next hops. nil: nobody is.
	Prefer func([]netip.Addr)
	// Reports writes the node's Speaker report; nil: there is none. The report has the node's BootID, and what Network
	// says every half minute (nil: nothing).
	Reports dynamic.Interface
	BootID  string
	Network func() (subnets []netip.Prefix, gateways []netip.Addr, err error)

	// Join is how this speaker becomes a member among the others, where the configuration wants that; members.Open is
	// one. nil: it does not, and what the cluster says decides who answers on layer 2.
	Join       func(members.Options) (*members.Membership, error)
	Neighbours Neighbours // has to be there with Join, and with State
	// Keys names the Secret with the membership's keys.
	Keys string
	// Mounted is a folder with the content of the Secrets that the speaker reads, each in a folder of its name, for the
	// time before the API server answers; empty: there is none.
	Mounted string
	// Links are the node's interfaces, and what tells that they are so no more, as a layer2.Transport has them.
	Links func() ([]layer2.Link, <-chan struct{})
	// Dial connects to the API server as a Service's client does, to find out whether the node forwards; nil: it is taken
	// to. SameBoot says that a speaker has run on the node since it booted; see SameBoot.
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	SameBoot bool
	// DrainSlots names the Leases by which nodes drain, without the number at their end; empty: none is needed.
	DrainSlots string
	// Ending is asked once when the speaker is to end: how long it may still take; 0: another one follows at once, so that
	// routers keep the routes. nil: that.
	Ending func() time.Duration
	// Restarting says why the end of this process is not followed by another one on this node at once; nil: it is. It is
	// asked once, before the end. See the function Restarting. nil: an end is one for good.
	Restarting func() error
	// State is a folder for what the next process on this node is to know; empty: there is none. Without BootID that process
	// knows only who the other speakers are.
	State  string
	Logger *zap.Logger
}
