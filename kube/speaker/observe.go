package speaker

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/serve"
)

var (
	announcedDesc = prometheus.NewDesc("network_lb_addresses_announced",
		"Addresses that this node announces.", []string{"protocol"}, nil)
	silentDesc = prometheus.NewDesc("network_lb_addresses_not_announced",
		"Addresses that this node does not announce and that are not another node's, by reason.", []string{"reason"}, nil)
	forwardsDesc = prometheus.NewDesc("network_lb_data_path_ready",
		"1 where the node was seen to forward since it booted; 0: it announces nothing new that another node announces.", nil, nil)
	staleDesc = prometheus.NewDesc("network_lb_view_stale",
		"1 while the speaker acts on what the last process on its node has kept, since the API server has not answered from its start on.", nil, nil)
	drainDesc = prometheus.NewDesc("network_lb_drain",
		"Always 1, while this node is to be emptied; the label says how far that is: Waiting, Draining or Drained.", []string{"state"}, nil)
	reportedDesc = prometheus.NewDesc("network_lb_report_writes_total",
		"Writes of this node's Speaker report that the API server took; a counter.", nil, nil)
	unreportedDesc = prometheus.NewDesc("network_lb_report_errors_total",
		"Writes of it that the API server refused or did not answer, and that are tried again; a counter.", nil, nil)
	sessionDesc = prometheus.NewDesc("network_lb_bgp_session_up",
		"1 while the BGP session with the peer is Established.", []string{"peer"}, nil)
	sessionInfoDesc = prometheus.NewDesc("network_lb_bgp_session_info",
		"Always 1; the labels say the session's state, and why the last one was lost or does not come about.", []string{"peer", "state", "reason"}, nil)
	sinceDesc = prometheus.NewDesc("network_lb_bgp_session_state_timestamp_seconds",
		"When the session came into its present state, in Unix time.", []string{"peer"}, nil)
	wantedDesc = prometheus.NewDesc("network_lb_bgp_prefixes_wanted",
		"Prefixes that the peer is to have.", []string{"peer", "family"}, nil)
	sentDesc = prometheus.NewDesc("network_lb_bgp_prefixes_sent",
		"Prefixes advertised to the peer in the present session.", []string{"peer", "family"}, nil)
	receivedDesc = prometheus.NewDesc("network_lb_bgp_prefixes_received",
		"Prefixes that the peer advertises to us in the present session; they are used for nothing.", []string{"peer", "family"}, nil)
	livenessDesc = prometheus.NewDesc("network_lb_bfd_session_up",
		"1 while the peer's BFD session is Up; there for peers with BFD only.", []string{"peer"}, nil)
	flapsDesc = prometheus.NewDesc("network_lb_bgp_session_flaps_total",
		"How often an Established session was lost; a counter.", []string{"peer"}, nil)
	messagesDesc = prometheus.NewDesc("network_lb_bgp_messages_total",
		"BGP messages; a counter.", []string{"peer", "direction", "type"}, nil)
)

// What is read anew for each scrape, and what of it is counted.
var (
	gaugeDescs = []*prometheus.Desc{document.StaleDesc, document.GenerationDesc, staleDesc, announcedDesc, silentDesc, forwardsDesc, drainDesc, sessionDesc, sessionInfoDesc,
		sinceDesc, wantedDesc, sentDesc, receivedDesc, livenessDesc}
	counterDescs = []*prometheus.Desc{flapsDesc, messagesDesc, reportedDesc, unreportedDesc}
)

// Descs describe all of the speaker's metrics.
var Descs = slices.Concat(gaugeDescs, layer2Gauges, counterDescs, layer2Counters)

// Metrics returns the speaker's metrics; docs/metrics.md lists them.
func (s *Speaker) Metrics() prometheus.Gatherer {
	return serve.Readings(slices.Concat(gaugeDescs, layer2Gauges), slices.Concat(counterDescs, layer2Counters), s.measure)
}

func (s *Speaker) measure(set serve.Gauge) {
	status := s.Status()
	set(document.StaleDesc, serve.Truth(status.Config.Problem != ""))
	set(document.GenerationDesc, float64(status.Config.Generation))
	set(staleDesc, serve.Truth(status.Stale != nil))
	announced := map[announce.Protocol]float64{announce.Layer2: 0, announce.BGP: 0}
	for _, v := range status.Decisions {
		if v.Reason == "" {
			announced[v.Protocol]++
		}
	}
	for protocol, n := range announced {
		set(announcedDesc, n, string(protocol))
	}
	for reason, n := range s.silent() {
		set(silentDesc, float64(n), reason)
	}
	set(forwardsDesc, serve.Truth(status.DataPath.Ready))
	if status.Drain != nil {
		set(drainDesc, 1, string(status.Drain.State))
	}
	if status.Report != nil {
		set(reportedDesc, float64(status.Report.Written))
		set(unreportedDesc, float64(status.Report.Failed))
	}
	for _, p := range status.BGP {
		measureSession(set, p)
	}
	measureLayer2(set, status.Layer2)
	measureStandIns(set, status)
	set(occupiedDesc, float64(len(status.Occupied)))
	s.measureMembers(set, status.Members)
}

func measureSession(set serve.Gauge, p Session) {
	set(sessionDesc, serve.Truth(p.State == bgp.Established), p.Peer)
	set(sessionInfoDesc, 1, p.Peer, p.State.String(), p.why())
	if !p.Since.IsZero() {
		set(sinceDesc, float64(p.Since.UnixMilli())/1000, p.Peer)
	}
	for name, f := range map[string]bgp.FamilyStatus{"IPv4": p.IPv4, "IPv6": p.IPv6} {
		set(wantedDesc, float64(f.Wanted), p.Peer, name)
		set(sentDesc, float64(f.Sent), p.Peer, name)
		set(receivedDesc, float64(f.Received), p.Peer, name)
	}
	if p.BFD != nil {
		set(livenessDesc, serve.Truth(p.BFD.State == bgp.LivenessUp), p.Peer)
	}
	set(flapsDesc, float64(p.Flaps), p.Peer)
	for direction, m := range map[string]bgp.Messages{"sent": p.Sent, "received": p.Received} {
		set(messagesDesc, float64(m.Updates), p.Peer, direction, "update")
		set(messagesDesc, float64(m.Notifications), p.Peer, direction, "notification")
		set(messagesDesc, float64(m.Total-m.Updates-m.Notifications), p.Peer, direction, "other")
	}
}

// why says what is the matter with the session: of one that is Established, why the one before it was lost.
func (p Session) why() string {
	switch {
	case p.Problem != "":
		return p.Problem
	case p.State == bgp.Established:
		return p.Lost
	}
	return p.Reason
}
