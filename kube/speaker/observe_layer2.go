package speaker

import (
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/kube/serve"
)

var (
	requestsDesc = prometheus.NewDesc("network_lb_layer2_requests_total",
		"ARP requests and neighbour solicitations for this node's addresses; a counter.", []string{"interface"}, nil)
	answersDesc = prometheus.NewDesc("network_lb_layer2_answers_total",
		"Answers to them; a counter.", []string{"interface"}, nil)
	gratuitousDesc = prometheus.NewDesc("network_lb_layer2_gratuitous_total",
		"Frames that announced addresses, or defended them; a counter.", []string{"interface"}, nil)
	errorsDesc = prometheus.NewDesc("network_lb_layer2_errors_total",
		"Frames that the interface did not take; a counter.", []string{"interface"}, nil)
	dropsDesc = prometheus.NewDesc("network_lb_layer2_drops_total",
		"Frames that were heard, and lost since the kernel had no room for more; a counter.", []string{"interface"}, nil)
	claimsDesc = prometheus.NewDesc("network_lb_layer2_conflict_frames_total",
		"Frames of other stations that claim an address of this node; a counter.", []string{"interface"}, nil)
	conflictsDesc = prometheus.NewDesc("network_lb_layer2_conflicts",
		"Addresses of this node that another station has claimed within a minute.", []string{"station"}, nil)
	occupiedDesc = prometheus.NewDesc("network_lb_layer2_occupied",
		"Addresses that were found with another machine within ten minutes, before they were announced for the first time.", nil, nil)
	kernelDesc = prometheus.NewDesc("network_lb_layer2_kernel_answers",
		"Addresses of this node for which its kernel answers too, as the kernels of other nodes may.", nil, nil)
	membersDesc = prometheus.NewDesc("network_lb_members",
		"Speakers that this one knows of, itself included; there where a pool is for layer 2.", []string{"presence"}, nil)
	standingDesc = prometheus.NewDesc("network_lb_layer2_stood_in",
		"Addresses that this node answers for in the place of nodes whose speakers restart.", nil, nil)
	membershipDesc = prometheus.NewDesc("network_lb_membership_ready",
		"1 while this speaker knows the others well enough to answer on layer 2; there where a pool is for layer 2.", nil, nil)
	lossesDesc = prometheus.NewDesc("network_lb_members_lost_total",
		"Speakers that were lost, as this one saw it; a counter.", nil, nil)
	lapsesDesc = prometheus.NewDesc("network_lb_membership_lapses_total",
		"How often this speaker stood still for so long that it was silent on layer 2 until it knew the others again; a counter.", nil, nil)
	unreadDesc = prometheus.NewDesc("network_lb_membership_undecryptable_total",
		"Packets and connections of speakers that could not be decrypted; a counter.", nil, nil)
	vetoesDesc = prometheus.NewDesc("network_lb_takeovers_vetoed_total",
		"How often this node left a layer 2 address alone, since another speaker still answered for it; a counter.", nil, nil)
)

// What of the metrics is for layer 2.
var (
	layer2Gauges   = []*prometheus.Desc{conflictsDesc, occupiedDesc, kernelDesc, standingDesc, membersDesc, membershipDesc}
	layer2Counters = []*prometheus.Desc{requestsDesc, answersDesc, gratuitousDesc, errorsDesc, dropsDesc, claimsDesc,
		lossesDesc, lapsesDesc, unreadDesc, vetoesDesc}
)

// inConflict is how long an address counts as claimed by another station that was heard.
const inConflict = time.Minute

// measureStandIns counts what this node answers for in the place of others.
func measureStandIns(set serve.Gauge, s Status) {
	stood := map[netip.Addr]bool{}
	for _, v := range s.Decisions {
		if v.StandIn == s.Node {
			stood[v.Addr] = true
		}
	}
	set(standingDesc, float64(len(stood)))
}

func measureLayer2(set serve.Gauge, l Layer2) {
	for _, i := range l.Interfaces {
		set(requestsDesc, float64(i.Requests), i.Name)
		set(answersDesc, float64(i.Answers), i.Name)
		set(gratuitousDesc, float64(i.Gratuitous), i.Name)
		set(errorsDesc, float64(i.Errors), i.Name)
		set(dropsDesc, float64(i.Drops), i.Name)
		set(claimsDesc, float64(i.Conflicts), i.Name)
	}
	var speakers, foreign, kernel float64
	for _, c := range l.Claims {
		bySpeaker, byOther := c.inConflict(time.Now())
		speakers += serve.Truth(bySpeaker)
		foreign += serve.Truth(byOther)
		kernel += serve.Truth(len(c.KernelAnswers) > 0)
	}
	set(conflictsDesc, speakers, "speaker")
	set(conflictsDesc, foreign, "foreign")
	set(kernelDesc, kernel)
}

// inConflict reports whether a speaker, and whether a foreign machine has claimed the address lately.
func (c Claim) inConflict(now time.Time) (speaker, foreign bool) {
	for _, x := range c.Conflicts {
		if now.Sub(x.Last) < inConflict {
			speaker, foreign = speaker || x.Speaker != "", foreign || x.Speaker == ""
		}
	}
	return speaker, foreign
}

func (s *Speaker) measureMembers(set serve.Gauge, all []Member) {
	set(vetoesDesc, float64(s.caution.vetoes.Load()))
	if !s.fellows.wanted.Load() {
		return
	}
	set(membershipDesc, serve.Truth(s.fellows.ready() == nil))
	count := map[members.Presence]float64{members.Missing: 0, members.Alive: 0, members.Lost: 0, members.Left: 0, members.Gone: 0}
	for _, m := range all {
		count[m.Presence]++
	}
	for presence, n := range count {
		set(membersDesc, n, presence.String())
	}
	if m := s.fellows.membership(); m != nil {
		c := m.Counters()
		set(lossesDesc, float64(c.Losses))
		set(lapsesDesc, float64(c.ClockLapses))
		set(unreadDesc, float64(c.WrongKey))
	}
}
