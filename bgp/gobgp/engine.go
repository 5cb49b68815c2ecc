// Package gobgp implements bgp.Engine with GoBGP inside the process (BGP-4, RFC 4271; both families on every
// session, RFC 4760; graceful restart, RFC 4724).
package gobgp

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
	"go.uber.org/zap"

	"github.com/kontena/network-lb/bgp"
)

// Options of an Engine.
type Options struct {
	// NodeName identifies the node. A hash of it is the router ID of peers that have none.
	NodeName string
	// Local says what the node is on its way to a peer, and where the router of an unnumbered one is;
	// neigh.Resolver's method of that name does. nil leaves the source address to the kernel, withholds the routes
	// of the family that is not the session's, and finds no router of an unnumbered peer. Whenever it would answer
	// otherwise than before, AddressesChanged is to be called.
	Local func(peer bgp.Peer) (bgp.Local, error)
	// Restarting says that this process follows one on this node that ended by Close(true) or was killed a
	// moment ago, while the node went on forwarding. First connections of peers with a RestartTime then carry
	// the R and F bits (RFC 4724 section 3), so that their routers keep the old routes until we have sent all.
	Restarting bool
	// Logger gets GoBGP's own messages: warnings as they are, the rest at debug level. nil is quiet.
	Logger *zap.Logger
}

// Engine is a bgp.Engine. Every session has a GoBGP server of its own, because one server has one set of
// routes and one address table; servers are reused, because a GoBGP server never ends its goroutine. Nothing
// listens, and everything that a peer sends is rejected on arrival.
type Engine struct {
	options Options
	started time.Time

	mu       sync.Mutex
	idle     []*speaker
	sessions map[*session]struct{}
}

var (
	_ bgp.Engine  = (*Engine)(nil)
	_ bgp.Session = (*session)(nil)
)

// New returns an Engine without sessions.
func New(options Options) *Engine {
	if options.Logger == nil {
		options.Logger = zap.NewNop()
	}
	return &Engine{options: options, started: time.Now(), sessions: map[*session]struct{}{}}
}

// AddressesChanged has the next hops of all sessions looked up again. It is to be called when the node's
// addresses or routes, or the routers on its interfaces, have changed; too often does no harm.
func (e *Engine) AddressesChanged() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.sessions {
		s.notify(bgp.Event{NextHops: true})
	}
}

// Open implements bgp.Engine. It fails when there is no router ID.
func (e *Engine) Open(peer bgp.Peer, notify func(bgp.Event)) (bgp.Session, error) {
	id := peer.RouterID
	if !id.IsValid() {
		if e.options.NodeName == "" {
			return nil, errors.New("no router ID: the peer has none, and there is no node name to derive one from")
		}
		id = routerID(e.options.NodeName)
	}
	sp := e.take()
	if err := sp.start(peer.MyASN, id); err != nil {
		return nil, fmt.Errorf("starting BGP server: %w", err)
	}
	s := &session{
		engine: e, speaker: sp, peer: peer, notify: notify, routes: map[netip.Prefix]*bgp.Route{},
		restarting: e.options.Restarting && time.Since(e.started) < peer.RestartTime,
	}
	s.lookUp()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sessions[s] = struct{}{}
	return s, nil
}

// take returns a stopped server.
func (e *Engine) take() *speaker {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.idle); n > 0 {
		sp := e.idle[n-1]
		e.idle = e.idle[:n-1]
		return sp
	}
	return newSpeaker(e.options.Logger)
}

// leave takes a closed session off the books, and its server back if it was stopped.
func (e *Engine) leave(s *session, stopped bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, s)
	if stopped {
		e.idle = append(e.idle, s.speaker)
	}
}

// routerID derives a BGP identifier from a node's name (RFC 6286: any four octets but zero).
func routerID(node string) netip.Addr {
	sum := sha256.Sum256([]byte(node))
	if [4]byte(sum[:4]) == [4]byte{} {
		sum[3] = 1
	}
	return netip.AddrFrom4([4]byte(sum[:4]))
}

// speaker is a GoBGP server for one peer at a time.
type speaker struct {
	*server.BgpServer
	log *logger
}

func newSpeaker(log *zap.Logger) *speaker {
	l := &logger{log: log}
	sp := &speaker{BgpServer: server.NewBgpServer(server.LoggerOption(l)), log: l}
	go sp.Serve()
	return sp
}

// start makes the server ours: it listens nowhere, and imports nothing but our own routes. The policy comes
// before the peer, since a route that a peer sends could take the place of ours (BGP chooses one path).
func (sp *speaker) start(asn uint32, id netip.Addr) error {
	ctx := context.Background()
	startMu.Lock()
	err := sp.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: asn, RouterId: id.String(), ListenPort: -1, Families: []uint32{0, 1}, // IPv4 and IPv6 unicast
	}})
	startMu.Unlock()
	if err != nil {
		return err
	}
	if err := sp.AddPolicy(ctx, &api.AddPolicyRequest{Policy: localOnly}); err != nil {
		return fmt.Errorf("adding import policy: %w", err)
	}
	return sp.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_IMPORT,
		Policies: []*api.Policy{{Name: localOnly.Name}}, DefaultAction: api.RouteAction_REJECT,
	}})
}

// startMu serialises StartBgp, which writes package variables of GoBGP. Other servers read them all the same:
// the values never differ, but the race detector is right to see it (testdata/race.supp).
var startMu sync.Mutex

var localOnly = &api.Policy{Name: "local-only", Statements: []*api.Statement{{
	Name:       "local-only",
	Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
	Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
}}}
