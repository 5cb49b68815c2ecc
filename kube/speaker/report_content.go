package speaker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/reports"
	"github.com/kontena/network-lb/layer2"
)

const (
	// mostNames is how many Services that are not announced a report names, and mostConflicts and mostTroubles how many
	// conflicts and troubles with other speakers it has.
	mostNames     = 100
	mostConflicts = 100
	mostTroubles  = 100
	// networkInterval is how often the node's subnets are looked at.
	networkInterval = 30 * time.Second
	// conflictInterval is how long after it was last heard a conflict is reported.
	conflictInterval = 10 * time.Minute
)

// summary is what of a report decides how soon it is written.
type summary struct {
	up        bool                // every session is Established
	owned     map[netip.Addr]bool // on layer 2
	conflicts map[string]bool     // as "address MAC"
	drain     reports.DrainState
}

// urgent says that somebody waits to hear what is said now, and was not before: an address has no owner here any more,
// another machine has it, or a drain has come further.
func (s summary) urgent(before summary) bool {
	for a := range before.owned {
		if !s.owned[a] {
			return true
		}
	}
	for c := range s.conflicts {
		if !before.conflicts[c] {
			return true
		}
	}
	return s.drain != before.drain
}

// content makes reports. It is the reporter's own.
type content struct {
	s       *Speaker
	outages map[string]outage // of the sessions that are down, by their peers

	asked               time.Time // when the network was looked at
	subnets, gateways   []string
	networkProblem      string
	plan                *announce.Plan // what tallied is about ...
	established, broken string         // ... and with which sessions and claims
	tallied             tally
}

func newContent(s *Speaker) content { return content{s: s, outages: map[string]outage{}} }

// look returns the report as it should be now; decided says that there is something to report.
func (c *content) look() (status reports.SpeakerStatus, sum summary, decided bool) {
	c.s.mu.Lock()
	plan, problem := c.s.last, c.s.problem
	c.s.mu.Unlock()
	if plan == nil || c.s.fellows.behind.Load() { // what it held before it restarted it still has
		return status, sum, false
	}
	status.Installation = reports.Installation(c.s.opts.Namespace, c.s.opts.LastGood)
	status.BootID, status.Problem = c.s.opts.BootID, problem
	if v := c.s.document.Version(); v != nil {
		status.Generation = v.Generation
	}
	if err := c.s.document.Problem(); err != nil {
		status.Problem = strings.Trim(err.Error()+"; "+problem, "; ")
	}
	sessions := c.s.sessions(plan)
	claims := c.s.opts.Claims.Status().Claims
	t := c.tally(plan, sessions, claims)
	status.BGP = c.bgp(sessions, t)
	status.Layer2 = reports.Layer2{Owned: len(t.owned), Listed: t.layer2, KernelAnswers: kernelAnswers(claims), Membership: c.s.membership(plan)}
	status.NotAnnounced = t.notAnnounced
	status.Subnets, status.Gateways = c.network()
	sum = summary{up: !slices.ContainsFunc(sessions, down), owned: t.owned, conflicts: map[string]bool{}}
	if d := c.s.drain.status(); d != nil {
		sum.drain = d.State
		status.Drain = &reports.Drain{State: d.State, Since: metav1.NewMicroTime(d.Since), Reason: d.Reason}
	}
	status.Conflicts = conflicts(claims, c.s.caution.taken())
	for _, one := range status.Conflicts {
		sum.conflicts[one.Address+" "+one.MAC] = true
	}
	return status, sum, true
}

// conflicts returns the first of those that were heard lately, and before them the addresses that another machine was
// found to have before they were announced.
func conflicts(claims []layer2.ClaimStatus, occupied []Occupied) (all []reports.Conflict) {
	for _, o := range occupied {
		all = append(all, reports.Conflict{
			Address: o.Address.String(), MAC: o.MAC.String(), Interface: o.Interface, Probe: true, Time: metav1.NewMicroTime(o.Found),
		})
	}
	for _, claim := range claims {
		for _, c := range claim.Conflicts {
			if time.Since(c.Last) <= conflictInterval {
				all = append(all, reports.Conflict{
					Address: c.Addr.String(), MAC: c.MAC.String(), Interface: c.Interface, Speaker: c.Speaker, Time: metav1.NewMicroTime(c.First),
				})
			}
		}
	}
	return all[:min(len(all), mostConflicts)]
}

// kernelAnswers returns the addresses that the kernel answers for too; nil: none.
func kernelAnswers(claims []layer2.ClaimStatus) *reports.Counted {
	var addrs, others []netip.Addr
	for _, claim := range claims {
		if len(claim.KernelAnswersARP) > 0 {
			addrs = append(addrs, claim.Addr)
		} else {
			others = append(others, claim.Addr)
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	return &reports.Counted{Count: len(addrs), Listed: reports.List(addrs, others)}
}

// network returns the node's subnets and gateways: the last that were known, where they cannot be read.
func (c *content) network() (subnets, gateways []string) {
	if c.s.opts.Network == nil || !c.asked.IsZero() && time.Since(c.asked) < networkInterval {
		return c.subnets, c.gateways
	}
	c.asked = time.Now()
	prefixes, addrs, err := c.s.opts.Network()
	if err != nil {
		if err.Error() != c.networkProblem {
			c.s.log.Warn("the node's subnets", zap.Error(err))
		}
		c.networkProblem = err.Error()
		return c.subnets, c.gateways
	}
	c.networkProblem, c.subnets, c.gateways = "", texts(prefixes), texts(addrs)
	return c.subnets, c.gateways
}

func texts[T fmt.Stringer](all []T) (out []string) {
	for _, one := range all {
		out = append(out, one.String())
	}
	return out
}

// tally returns what is announced and what is not, worked out anew only where something has changed.
func (c *content) tally(plan *announce.Plan, sessions []Session, claims []layer2.ClaimStatus) tally {
	up := map[string]bool{}
	for _, s := range sessions {
		if !down(s) {
			up[s.Peer] = true
		}
	}
	homeless := map[netip.Addr]bool{}
	for _, claim := range claims {
		if claim.Err != nil {
			homeless[claim.Addr] = true
		}
	}
	established := strings.Join(slices.Sorted(maps.Keys(up)), " ")
	broken := fmt.Sprint(slices.SortedFunc(maps.Keys(homeless), netip.Addr.Compare))
	if plan != c.plan || established != c.established || broken != c.broken {
		c.plan, c.established, c.broken = plan, established, broken
		c.tallied = newTally(c.s.opts.Node, *plan, reachOf(plan.Routes, up), homeless)
	}
	return c.tallied
}
