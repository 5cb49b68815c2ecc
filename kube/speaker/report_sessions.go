package speaker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/reports"
)

// reasonHold is how long a session that stays down keeps the reason that it is reported with: each try may fail in
// another way.
const reasonHold = time.Minute

// outage is a session that is down, as it is reported.
type outage struct {
	since, held time.Time
	reason      string
}

func down(s Session) bool { return s.State != bgp.Established }

// bgp returns what is said of the sessions; nil where there is nothing to say.
func (c *content) bgp(sessions []Session, t tally) *reports.BGP {
	if len(sessions) == 0 && len(t.bgp.Addresses) == 0 && !t.bgpWanted {
		return nil
	}
	out := &reports.BGP{Announced: t.announced, Listed: t.bgp}
	up, sent, wanted := 0, 0, 0
	for _, s := range sessions {
		if !down(s) {
			up++
		}
		sent += s.IPv4.Sent + s.IPv6.Sent
		wanted += s.IPv4.Wanted + s.IPv6.Wanted
		out.Peers = append(out.Peers, c.session(s))
	}
	out.Sessions, out.Routes = fmt.Sprintf("%d/%d", up, len(sessions)), fmt.Sprintf("%d/%d", sent, wanted)
	known := map[string]bool{}
	for _, s := range sessions {
		known[s.Peer] = true
	}
	maps.DeleteFunc(c.outages, func(peer string, _ outage) bool { return !known[peer] })
	slices.SortFunc(out.Peers, func(a, b reports.Session) int { return cmp.Compare(a.Peer, b.Peer) })
	return out
}

func (c *content) session(s Session) reports.Session {
	out := reports.Session{Peer: s.Peer, State: "Established", Reason: s.why(), IPv4: routes(s.IPv4), IPv6: routes(s.IPv6)}
	if s.Address.IsValid() {
		out.Address = s.Address.String()
	}
	since := s.Since
	if down(s) {
		// What a session that is down does in between, dialling and waiting, is nobody's business.
		since, out.State = s.LostAt, "Down"
		o, was := c.outages[s.Peer]
		if !was || !o.since.Equal(since) || o.reason == "" || o.reason != out.Reason && time.Since(o.held) >= reasonHold {
			o = outage{since, time.Now(), out.Reason}
			c.outages[s.Peer] = o
		}
		out.Reason = o.reason
	} else {
		delete(c.outages, s.Peer)
	}
	if !since.IsZero() {
		at := metav1.NewMicroTime(since)
		out.Since = &at
	}
	if s.BFD != nil {
		out.BFD = s.BFD.State.String()
	}
	return out
}

func routes(f bgp.FamilyStatus) *reports.Routes {
	if f.Wanted == 0 && f.Sent == 0 {
		return nil
	}
	return &reports.Routes{Wanted: f.Wanted, Sent: f.Sent, Withheld: f.Withheld}
}
