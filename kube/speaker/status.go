package speaker

import (
	"net/netip"
	"time"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
)

// Status is what a person can look at: every decision with its reason, the sessions and the claims.
type Status struct {
	Node    string `json:"node"`
	Config  Config `json:"config"`
	Problem string `json:"problem,omitempty"` // what went wrong carrying out the last decisions
	// Stale is what it acts on in place of the cluster, since the API server has not answered from its start on; else absent.
	Stale     *Stale             `json:"stale,omitempty"`
	Decisions []announce.Verdict `json:"decisions"`
	BGP       []Session          `json:"bgp"`
	Layer2    Layer2             `json:"layer2"`
	DataPath  DataPath           `json:"data_path"`
	// Occupied are the addresses that were found with another machine of late, before they were announced for the first time.
	Occupied []Occupied `json:"occupied"`
	// Members are the speakers that know of each other; empty where the configuration has them not.
	Members []Member `json:"members"`
	// Drain says how the node is being emptied; absent where nobody wants that.
	Drain *Drain `json:"drain,omitempty"`
	// Report says what became of this node's Speaker report; absent where there is none.
	Report *ReportStatus `json:"report,omitempty"`
}

// Config says which configuration is in force.
type Config struct {
	// Generation counts the accepted documents; 0 with a file, or before the first.
	Generation int64 `json:"generation"`
	// Problem says why the accepted copy is missing or cannot be read; empty: it is in force.
	Problem string `json:"problem,omitempty"`
}

// Session is a BGP session of this node.
type Session struct {
	Peer      string     `json:"peer"`
	Address   netip.Addr `json:"address"`             // empty for one that is found on an interface
	Interface string     `json:"interface,omitempty"` // that it is found on
	PeerASN   uint32     `json:"peer_asn"`            // the router's own once Established; 0: not known yet
	MyASN     uint32     `json:"my_asn"`

	State    bgp.State `json:"state"`
	Since    time.Time `json:"since"`
	HoldTime string    `json:"hold_time,omitempty"` // as negotiated
	Reason   string    `json:"reason,omitempty"`    // of the last loss or failure
	Lost     string    `json:"lost,omitempty"`      // why the last Established session ended ...
	LostAt   time.Time `json:"lost_at,omitzero"`    // ... and when
	Problem  string    `json:"problem,omitempty"`   // what is refused at present, or is wrong with the password
	Flaps    int       `json:"flaps"`

	BFD      *bgp.LivenessStatus `json:"bfd,omitempty"` // of a peer with BFD
	Sent     bgp.Messages        `json:"sent"`
	Received bgp.Messages        `json:"received"`
	IPv4     bgp.FamilyStatus    `json:"ipv4"`
	IPv6     bgp.FamilyStatus    `json:"ipv6"`
}

// sessionOf returns what is to be seen of a peer; problem comes before the peer's own.
func sessionOf(p bgp.PeerStatus, problem string) Session {
	if problem != "" && p.Problem != "" {
		problem += "; "
	}
	s := Session{
		Peer: p.Peer.Title(), Address: p.Peer.Address, Interface: p.Peer.Interface, PeerASN: p.Peer.PeerASN, MyASN: p.Peer.MyASN,
		State: p.State, Since: p.Since, Reason: p.Reason, Lost: p.Lost, LostAt: p.LostAt,
		Problem: problem + p.Problem, Flaps: p.Flaps, Sent: p.Sent, Received: p.Received, IPv4: p.IPv4, IPv6: p.IPv6,
	}
	if p.State == bgp.Established {
		s.PeerASN, s.HoldTime = p.Conn.PeerASN, p.Conn.HoldTime.String()
	}
	if p.Peer.BFD.Enabled {
		s.BFD = &p.Liveness
	}
	return s
}

// Status returns the speaker's present state.
func (s *Speaker) Status() Status {
	out := Status{Node: s.opts.Node, Decisions: []announce.Verdict{}, BGP: []Session{}}
	if v := s.document.Version(); v != nil {
		out.Config.Generation = v.Generation
	}
	if problem := s.document.Problem(); problem != nil {
		out.Config.Problem = problem.Error()
	}
	s.mu.Lock()
	out.Problem, out.Stale = s.problem, s.stale
	if s.last != nil {
		out.Decisions = append(out.Decisions, s.last.Verdicts...)
	}
	last := s.last
	s.mu.Unlock()
	out.BGP = append(out.BGP, s.sessions(last)...)
	out.Layer2 = layer2Status(s.opts.Claims.Status(), s.caution.vetoed())
	out.DataPath = s.gate.status()
	out.Occupied = s.caution.taken()
	out.Members = membersOf(s.fellows.seen())
	out.Drain = s.drain.status()
	if s.reporter != nil {
		out.Report = s.reporter.status()
	}
	return out
}

// sessions returns the BGP sessions of a plan that was carried out, also those that cannot be; nil is no plan.
func (s *Speaker) sessions(last *announce.Plan) (all []Session) {
	if last != nil {
		for _, p := range last.Withheld {
			all = append(all, sessionOf(bgp.PeerStatus{Peer: p.Peer}, p.Problem))
		}
	}
	s.mu.Lock()
	passwords := s.passwordProblems
	s.mu.Unlock()
	for _, p := range s.opts.Routes.Status() {
		all = append(all, sessionOf(p, passwords[p.Peer.Title()]))
	}
	return all
}
