package speaker

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/reports"
)

// tally is what a plan came to.
type tally struct {
	announced    int  // addresses, by BGP
	bgpWanted    bool // some address is to be announced by BGP
	bgp, layer2  reports.Listed
	owned        map[netip.Addr]bool
	notAnnounced reports.NotAnnounced
}

// kind is what addresses are counted by.
type kind struct {
	reason   announce.Reason
	protocol announce.Protocol
}

// newTally counts the plan of a node: told says whether a peer is told of an address, and homeless are the claims that no interface
// is there for.
func newTally(node string, plan announce.Plan, told func(netip.Addr) bool, homeless map[netip.Addr]bool) tally {
	t := tally{owned: map[netip.Addr]bool{}}
	announced, all := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	verdicts := slices.Clone(plan.Verdicts)
	for i := range verdicts {
		v := &verdicts[i]
		all[v.Addr] = true
		t.bgpWanted = t.bgpWanted || v.Protocol == announce.BGP
		switch {
		case v.Reason != "":
		case v.Protocol == announce.Layer2 && homeless[v.Addr]:
			v.Reason = announce.NoInterface
		case v.Protocol == announce.Layer2:
			t.owned[v.Addr] = true
		case !told(v.Addr):
			v.Reason = announce.NoSession
		default:
			announced[v.Addr] = true
		}
	}
	t.announced = len(announced)
	t.bgp, t.layer2 = list(announced, all), list(t.owned, all)
	t.notAnnounced = counted(verdicts, func(v announce.Verdict) bool {
		here := v.Protocol == announce.Layer2 && t.owned[v.Addr] || v.Protocol == announce.BGP && announced[v.Addr]
		elsewhere := v.Reason == announce.NotOwner || v.Reason == announce.BeyondMaxNodes ||
			(v.Reason == announce.NoInterface || v.Reason == announce.NodeDraining) && v.Owner != "" && v.Owner != node
		return v.Reason == "" || elsewhere || here // for another Service that shares it
	}, all)
	return t
}

// silent counts the addresses that are not announced, by reason.
func (s *Speaker) silent() map[string]int {
	s.mu.Lock()
	plan := s.last
	s.mu.Unlock()
	if plan == nil {
		return nil
	}
	c := newContent(s) // the reporter's own is the reporter's
	counts := map[string]int{}
	for _, r := range c.tally(plan, s.sessions(plan), s.opts.Claims.Status().Claims).notAnnounced.Reasons {
		counts[r.Reason] += r.Count
	}
	return counts
}

// list writes addresses as ranges, beside all those that Services have.
func list(addrs, all map[netip.Addr]bool) reports.Listed {
	others := make([]netip.Addr, 0, len(all))
	for a := range all {
		if !addrs[a] {
			others = append(others, a)
		}
	}
	slices.SortFunc(others, netip.Addr.Compare)
	return reports.List(slices.SortedFunc(maps.Keys(addrs), netip.Addr.Compare), others)
}

// counted counts the addresses of the verdicts that are not left out, by reason, and names Services: of each reason the
// first few.
func counted(verdicts []announce.Verdict, leave func(announce.Verdict) bool, all map[netip.Addr]bool) reports.NotAnnounced {
	addrs, names := map[kind]map[netip.Addr]bool{}, map[kind][]string{}
	total := map[netip.Addr]bool{}
	for _, v := range verdicts {
		if leave(v) {
			continue
		}
		k := kind{v.Reason, v.Protocol}
		if addrs[k] == nil {
			addrs[k] = map[netip.Addr]bool{}
		}
		addrs[k][v.Addr], total[v.Addr] = true, true
		if n := names[k]; len(n) < mostNames && !slices.Contains(n, v.Service) {
			names[k] = append(n, v.Service)
		}
	}
	out := reports.NotAnnounced{Count: len(total)}
	kinds := slices.SortedFunc(maps.Keys(addrs), func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.reason, b.reason), cmp.Compare(a.protocol, b.protocol))
	})
	for _, k := range kinds {
		n := names[k]
		n = n[:min(len(n), mostNames/len(kinds))]
		out.Reasons = append(out.Reasons, reports.Reason{
			Reason: string(k.reason), Protocol: string(k.protocol), Count: len(addrs[k]), Services: n, Listed: list(addrs[k], all),
		})
	}
	return out
}

// reachOf says of an address whether one of the routes that bring it is for a peer whose session is up.
func reachOf(routes []bgp.Route, up map[string]bool) func(netip.Addr) bool {
	told := map[netip.Prefix]bool{}
	lengths := map[int]bool{}
	for _, r := range routes {
		heard := len(r.Peers) == 0 && len(up) > 0 || slices.ContainsFunc(r.Peers, func(p string) bool { return up[p] })
		p := r.Prefix.Masked()
		told[p] = told[p] || heard
		lengths[p.Bits()] = true
	}
	return func(a netip.Addr) bool {
		for bits := range lengths {
			if p, err := a.Prefix(bits); err == nil && told[p] {
				return true
			}
		}
		return false
	}
}
