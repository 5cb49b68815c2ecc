package speaker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/serve"
)

var (
	announcedDesc = prometheus.NewDesc("network_lb_addresses_announced",
		"Addresses that this node announces.", []string{"protocol"}, nil)
	sessionDesc = prometheus.NewDesc("network_lb_bgp_session_up",
		"1 while the BGP session with the peer is Established.", []string{"peer"}, nil)
	sentDesc = prometheus.NewDesc("network_lb_bgp_prefixes_sent",
		"Prefixes advertised to the peer in the present session.", []string{"peer", "family"}, nil)
)

// Descs describe all of the speaker's metrics.
var Descs = []*prometheus.Desc{document.StaleDesc, document.GenerationDesc, announcedDesc, sessionDesc, sentDesc}

// Metrics returns the speaker's metrics; docs/metrics.md lists them.
func (s *Speaker) Metrics() prometheus.Gatherer { return serve.Gauges(Descs, s.measure) }

func (s *Speaker) measure(set serve.Gauge) {
	status := s.Status()
	set(document.StaleDesc, serve.Truth(status.Config.Problem != ""))
	set(document.GenerationDesc, float64(status.Config.Generation))
	announced := map[announce.Protocol]float64{announce.Layer2: 0, announce.BGP: 0}
	for _, v := range status.Decisions {
		if v.Reason == "" {
			announced[v.Protocol]++
		}
	}
	for protocol, n := range announced {
		set(announcedDesc, n, string(protocol))
	}
	for _, p := range status.BGP {
		set(sessionDesc, serve.Truth(p.State == bgp.Established), p.Peer)
		set(sentDesc, float64(p.IPv4.Sent), p.Peer, "IPv4")
		set(sentDesc, float64(p.IPv6.Sent), p.Peer, "IPv6")
	}
}
