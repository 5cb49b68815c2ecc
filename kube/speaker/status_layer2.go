package speaker

import (
	"net/netip"
	"time"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/layer2"
)

// Layer2 is what this node answers by ARP and NDP.
type Layer2 struct {
	Interfaces []Interface `json:"interfaces"`
	Claims     []Claim     `json:"claims"`
	// Vetoes are the addresses that it would take, did another speaker not answer for them.
	Vetoes []Veto `json:"vetoes"`
}

// Interface counts what happened on an interface where addresses are or were answered.
type Interface struct {
	Name       string     `json:"name"`
	MAC        layer2.MAC `json:"mac"`
	Carrier    bool       `json:"carrier"`
	Problem    string     `json:"problem,omitempty"`
	Addresses  int        `json:"addresses"`
	Requests   uint64     `json:"requests"`
	Answers    uint64     `json:"answers"`
	Gratuitous uint64     `json:"gratuitous"`
	Conflicts  uint64     `json:"conflicts"` // frames of other stations that claim an address that is answered here
	Errors     uint64     `json:"errors"`    // frames that the interface did not take
	Drops      uint64     `json:"drops"`     // frames that the kernel had no room for
}

// Claim is an address that this node answers for, as its owner or in the owner's place, and where.
type Claim struct {
	Address    netip.Addr `json:"address"`
	Interfaces []string   `json:"interfaces,omitempty"`
	Problem    string     `json:"problem,omitempty"`
	// Conflicts are the last other station on each interface that claimed the address.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// KernelAnswers are the interfaces on which this machine's kernel answers for it too.
	KernelAnswers []string `json:"kernel_answers,omitempty"`
}

// Conflict is another station that claims an address which is answered here.
type Conflict struct {
	Interface string     `json:"interface"`
	MAC       layer2.MAC `json:"mac"`
	Speaker   string     `json:"speaker,omitempty"` // the node whose it is; empty for a foreign machine
	First     time.Time  `json:"first"`
	Last      time.Time  `json:"last"`
	Frames    uint64     `json:"frames"`
}

// Veto is an address that is left to the speaker that answers for it, although it was lost or says nothing of it.
type Veto struct {
	Address netip.Addr `json:"address"`
	Node    string     `json:"node,omitempty"` // whose speaker it is; empty where nobody knows
	Times   int        `json:"times"`          // it was found to answer
}

// Member is a speaker as this one knows it without the API server.
type Member struct {
	Node     string           `json:"node"`
	Address  netip.AddrPort   `json:"address"`
	Presence members.Presence `json:"presence"`
	Since    time.Time        `json:"since,omitzero"`
	Problem  string           `json:"problem,omitempty"` // what is wrong between it and this speaker
	Starting bool             `json:"starting,omitempty"`
	Draining bool             `json:"draining,omitempty"`
	Unproven bool             `json:"unproven,omitempty"` // its node was not seen to forward since it booted
	// RestartsUntil is when others stop standing in for it if its restart is not over by then; absent: it does not restart.
	RestartsUntil time.Time `json:"restarts_until,omitzero"`
	// Holds are the addresses that it answers for, or did when it last told.
	Holds []netip.Addr `json:"holds"`
	// StandsIn are the addresses that it answers for in the place of others that restart.
	StandsIn []netip.Addr `json:"stands_in,omitempty"`
}

func layer2Status(s layer2.Status, vetoes []Veto) Layer2 {
	out := Layer2{Interfaces: []Interface{}, Claims: []Claim{}, Vetoes: vetoes}
	for _, l := range s.Links {
		if l.Addresses > 0 || l.Requests > 0 || l.Gratuitous > 0 || l.Problem != "" {
			out.Interfaces = append(out.Interfaces, Interface{
				Name: l.Name, MAC: l.MAC, Carrier: l.Carrier, Problem: l.Problem, Addresses: l.Addresses, Requests: l.Requests,
				Answers: l.Answers, Gratuitous: l.Gratuitous, Conflicts: l.Conflicts, Errors: l.Errors, Drops: l.Drops,
			})
		}
	}
	for _, c := range s.Claims {
		claim := Claim{Address: c.Addr, Interfaces: c.Interfaces, KernelAnswers: c.KernelAnswersARP}
		if c.Err != nil {
			claim.Problem = c.Err.Error()
		}
		for _, x := range c.Conflicts {
			claim.Conflicts = append(claim.Conflicts, Conflict{x.Interface, x.MAC, x.Speaker, x.First, x.Last, x.Frames})
		}
		out.Claims = append(out.Claims, claim)
	}
	return out
}

func membersOf(c *company) []Member {
	out := []Member{}
	for _, m := range c.members {
		one := Member{Node: m.Node, Address: m.Addr, Presence: m.Presence, Since: m.Since, Problem: m.Problem,
			Starting: m.State.Starting, Draining: m.State.Draining, Unproven: m.State.Unproven, RestartsUntil: m.Until,
			Holds: m.State.Held, StandsIn: m.State.Standing}
		if one.Holds == nil {
			one.Holds = []netip.Addr{}
		}
		out = append(out, one)
	}
	return out
}
