package speaker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/layer2"
)

// Status is what a person can look at: every decision with its reason, the sessions and the claims.
type Status struct {
	Node      string             `json:"node"`
	Stale     bool               `json:"config_stale"`
	Problem   string             `json:"problem,omitempty"`
	Decisions []announce.Verdict `json:"decisions"`
	BGP       []bgp.PeerStatus   `json:"bgp"`
	Layer2    layer2.Status      `json:"layer2"`
}

// Status returns the speaker's present state.
func (s *Speaker) Status() Status {
	out := Status{Node: s.opts.Node, BGP: s.opts.Routes.Status(), Layer2: s.opts.Claims.Status()}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Stale, out.Problem = s.document != nil && s.document.Stale(), s.problem
	if s.last != nil {
		out.Decisions = s.last.Verdicts
	}
	return out
}

var (
	announcedDesc = prometheus.NewDesc("network_lb_addresses_announced",
		"Addresses that this node announces.", []string{"protocol"}, nil)
	sessionDesc = prometheus.NewDesc("network_lb_bgp_session_up",
		"1 while the BGP session with the peer is Established.", []string{"peer"}, nil)
	sentDesc = prometheus.NewDesc("network_lb_bgp_prefixes_sent",
		"Prefixes advertised to the peer in the present session.", []string{"peer", "family"}, nil)
)

// Descs describe all of the speaker's metrics.
var Descs = []*prometheus.Desc{document.StaleDesc, announcedDesc, sessionDesc, sentDesc}

// Metrics returns the speaker's metrics; docs/metrics.md lists them.
func (s *Speaker) Metrics() prometheus.Gatherer {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{s})
	return r
}

type collector struct{ s *Speaker }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range Descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	status := m.s.Status()
	gauge(document.StaleDesc, oneIf(status.Stale))
	announced := map[announce.Protocol]float64{announce.Layer2: 0, announce.BGP: 0}
	for _, v := range status.Decisions {
		if v.Reason == "" {
			announced[v.Protocol]++
		}
	}
	for protocol, n := range announced {
		gauge(announcedDesc, n, string(protocol))
	}
	for _, p := range status.BGP {
		gauge(sessionDesc, oneIf(p.State == bgp.Established), p.Peer.Title())
		gauge(sentDesc, float64(p.IPv4.Sent), p.Peer.Title(), "ipv4")
		gauge(sentDesc, float64(p.IPv6.Sent), p.Peer.Title(), "ipv6")
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
