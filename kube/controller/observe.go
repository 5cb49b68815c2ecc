package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontena/network-lb/kube/document"
)

// Status is what a person can look at.
type Status struct {
	Leading bool         `json:"leading"`
	Stale   bool         `json:"config_stale"`
	Pools   []PoolStatus `json:"pools,omitempty"`
}

// PoolStatus counts the addresses of one family of a pool. Size is a decimal number of any length.
type PoolStatus struct {
	Pool   string `json:"pool"`
	Family string `json:"family"`
	Size   string `json:"size"`
	InUse  int    `json:"in_use"`
}

// Status returns the controller's present state; pools are shown by the replica that leads.
func (c *Controller) Status() Status {
	c.mu.Lock()
	allocator, source, leading := c.allocator, c.document, c.leading
	c.mu.Unlock()
	s := Status{Leading: leading, Stale: source != nil && source.Stale()}
	if allocator != nil {
		for _, u := range allocator.Usage() {
			s.Pools = append(s.Pools, PoolStatus{Pool: u.Pool, Family: u.Family.String(), Size: u.Size.String(), InUse: u.InUse})
		}
	}
	return s
}

var (
	leadingDesc = prometheus.NewDesc("network_lb_controller_leading",
		"1 in the replica that assigns addresses.", nil, nil)
	sizeDesc = prometheus.NewDesc("network_lb_pool_addresses",
		"Addresses in the pool.", []string{"pool", "family"}, nil)
	inUseDesc = prometheus.NewDesc("network_lb_pool_addresses_in_use",
		"Addresses of the pool that a Service has.", []string{"pool", "family"}, nil)
)

// Descs describe all of the controller's metrics.
var Descs = []*prometheus.Desc{document.StaleDesc, leadingDesc, sizeDesc, inUseDesc}

// Metrics returns the controller's metrics; docs/metrics.md lists them.
func (c *Controller) Metrics() prometheus.Gatherer {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{c})
	return r
}

type collector struct{ c *Controller }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range Descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m collector) Collect(ch chan<- prometheus.Metric) {
	m.c.mu.Lock()
	allocator, source, leading := m.c.allocator, m.c.document, m.c.leading
	m.c.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	isLeading := 0.0
	if leading {
		isLeading = 1
	}
	gauge(leadingDesc, isLeading)
	if source != nil {
		source.Collect(ch)
	}
	if allocator == nil {
		return
	}
	for _, u := range allocator.Usage() {
		size, _ := u.Size.Float64()
		gauge(sizeDesc, size, u.Pool, u.Family.String())
		gauge(inUseDesc, float64(u.InUse), u.Pool, u.Family.String())
	}
}
