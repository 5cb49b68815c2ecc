package speaker

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/kube/reports"
)

// membership returns what is said of the other speakers; nil where this one does not take part.
func (s *Speaker) membership(plan *announce.Plan) *reports.Membership {
	if !s.fellows.wanted.Load() {
		return nil
	}
	out := &reports.Membership{Speakers: 1}
	if err := s.fellows.complaint(); err != nil {
		out.Problem = err.Error()
	}
	answers := map[string]map[netip.Addr]bool{} // by who answers
	for addr, node := range s.caution.left() {
		if answers[node] == nil {
			answers[node] = map[netip.Addr]bool{}
		}
		answers[node][addr] = true
	}
	for _, m := range s.fellows.seen().members {
		if m.Node == s.opts.Node || m.Presence == members.Gone {
			continue
		}
		out.Speakers++
		if m.Problem != "" || len(answers[m.Node]) > 0 {
			out.Troubles = append(out.Troubles, reports.Trouble{
				Node: m.Node, Presence: m.Presence.String(), Problem: m.Problem, Answers: among(answers[m.Node], plan),
			})
		}
		delete(answers, m.Node)
	}
	for _, node := range slices.Sorted(maps.Keys(answers)) { // who is no member
		out.Troubles = append(out.Troubles, reports.Trouble{Node: node, Answers: among(answers[node], plan)})
	}
	out.Troubles = out.Troubles[:min(len(out.Troubles), mostTroubles)]
	return out
}

// among counts some of the addresses of a plan; nil for none.
func among(addrs map[netip.Addr]bool, plan *announce.Plan) *reports.Counted {
	if len(addrs) == 0 {
		return nil
	}
	all := map[netip.Addr]bool{}
	for _, v := range plan.Verdicts {
		all[v.Addr] = true
	}
	return &reports.Counted{Count: len(addrs), Listed: list(addrs, all)}
}
