package controller

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/serve"
)

var (
	leadingDesc = prometheus.NewDesc("network_lb_controller_leading",
		"1 in the replica that assigns addresses.", nil, nil)
	sizeDesc = prometheus.NewDesc("network_lb_pool_addresses",
		"Addresses in the pool.", []string{"pool", "family"}, nil)
	inUseDesc = prometheus.NewDesc("network_lb_pool_addresses_in_use",
		"Addresses of the pool that a Service has.", []string{"pool", "family"}, nil)
	quarantineDesc = prometheus.NewDesc("network_lb_pool_quarantine",
		"Addresses of the pool that are given to nobody for ten minutes, because another machine has them.", []string{"pool"}, nil)
	alarmDesc = prometheus.NewDesc("network_lb_pool_conflict_alarm",
		"1 if addresses of the pool that another machine has are not avoided, although conflict_probe says so: there are too many.",
		[]string{"pool"}, nil)
	pendingDesc = prometheus.NewDesc("network_lb_services_pending",
		"Services that wait for an address, by the reason in their condition.", []string{"reason"}, nil)
	silentDesc = prometheus.NewDesc("network_lb_services_not_announced",
		"Services with an address that no node announces, by the reason in their condition.", []string{"reason"}, nil)
)

// What is read anew for each scrape, and what is counted as it happens.
var gaugeDescs = []*prometheus.Desc{document.StaleDesc, document.GenerationDesc, leadingDesc, sizeDesc, inUseDesc, quarantineDesc, alarmDesc,
	pendingDesc, silentDesc}

// Descs describe all of the controller's metrics.
var Descs = append(gaugeDescs, newCounts().descs()...)

// Operations that fail, as network_lb_api_errors_total has them.
const (
	writingStatus = "status"
	writingReport = "report"
	keepingConfig = "config"
)

// counts is what is counted as it happens.
type counts struct {
	latency prometheus.Histogram
	errors  *prometheus.CounterVec
}

func newCounts() counts {
	c := counts{
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "network_lb_reconcile_seconds", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
			Help: "How long it took to bring one Service up to date, its status included; a histogram.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "network_lb_api_errors_total",
			Help: "Writes that the API server refused or did not answer, conflicts included, and that are tried again; a counter.",
		}, []string{"operation"}),
	}
	for _, operation := range []string{writingStatus, writingReport, keepingConfig} {
		c.errors.WithLabelValues(operation)
	}
	return c
}

func (c counts) descs() []*prometheus.Desc {
	found := make(chan *prometheus.Desc, 2)
	c.latency.Describe(found)
	c.errors.Describe(found)
	return []*prometheus.Desc{<-found, <-found}
}

// failed counts an error, if there is one, and returns it.
func (c counts) failed(operation string, err error) error {
	if err != nil {
		c.errors.WithLabelValues(operation).Inc()
	}
	return err
}

// Metrics returns the controller's metrics; docs/metrics.md lists them.
func (c *Controller) Metrics() prometheus.Gatherer {
	counted := prometheus.NewPedanticRegistry()
	counted.MustRegister(c.counts.latency, c.counts.errors)
	return prometheus.Gatherers{serve.Gauges(gaugeDescs, c.measure), counted}
}

// timed measures a reconciliation that began then.
func (c counts) timed(began time.Time) { c.latency.Observe(time.Since(began).Seconds()) }

func (c *Controller) measure(set serve.Gauge) {
	c.mu.Lock()
	allocator, documents, leading := c.allocator, c.documents, c.leading
	c.mu.Unlock()
	set(leadingDesc, serve.Truth(leading))
	set(document.StaleDesc, serve.Truth(documents.problem() != nil))
	if documents.kept != nil {
		set(document.GenerationDesc, float64(documents.kept.Generation))
	}
	if allocator == nil {
		return
	}
	for _, u := range allocator.Usage() {
		size, _ := u.Size.Float64()
		set(sizeDesc, size, u.Pool, u.Family.String())
		set(inUseDesc, float64(u.InUse), u.Pool, u.Family.String())
	}
	for _, p := range documents.force.Config.Pools {
		if p.Layer2 {
			inside := slices.DeleteFunc(c.quarantine.list(), func(q quarantined) bool { return !p.Contains(q.addr) })
			set(quarantineDesc, float64(len(inside)), p.Name)
			set(alarmDesc, serve.Truth(c.alarmOf(p.Name) != ""), p.Name)
		}
	}
	pending, silent := map[string]float64{}, map[string]float64{}
	class := documents.force.Config.LoadBalancerClass
	for _, s := range c.all(class) {
		if s.Handled(class) && s.Allocated != nil && !s.Allocated.True && s.Allocated.Reason != reasonForeign {
			pending[s.Allocated.Reason]++
		}
		if s.Handled(class) && s.Allocated != nil && s.Allocated.True && s.Announced != nil && !s.Announced.True {
			silent[s.Announced.Reason]++
		}
	}
	for reason, n := range pending {
		set(pendingDesc, n, reason)
	}
	for reason, n := range silent {
		set(silentDesc, n, reason)
	}
}
