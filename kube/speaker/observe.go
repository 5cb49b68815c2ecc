package speaker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/kube/document"
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
		gauge(sessionDesc, oneIf(p.State == bgp.Established), p.Peer)
		gauge(sentDesc, float64(p.IPv4.Sent), p.Peer, "IPv4")
		gauge(sentDesc, float64(p.IPv6.Sent), p.Peer, "IPv6")
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
