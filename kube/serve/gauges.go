package serve

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Gauge sets one gauge in a scrape, with the values of its labels in the order of its description.
type Gauge func(d *prometheus.Desc, value float64, labels ...string)

// Gauges returns metrics that are read anew for each scrape: descs are all there can be, and read sets those that
// there are.
func Gauges(descs []*prometheus.Desc, read func(Gauge)) prometheus.Gatherer {
	return Readings(descs, nil, read)
}

// Readings is Gauges with some of the metrics being counters, whose readings never become less.
func Readings(descs, counters []*prometheus.Desc, read func(Gauge)) prometheus.Gatherer {
	g := gauges{slices.Concat(descs, counters), map[*prometheus.Desc]bool{}, read}
	for _, d := range counters {
		g.counters[d] = true
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(g)
	return r
}

type gauges struct {
	descs    []*prometheus.Desc
	counters map[*prometheus.Desc]bool
	read     func(Gauge)
}

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	g.read(func(d *prometheus.Desc, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if g.counters[d] {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	})
}

// Truth is the value of a gauge that says yes or no.
func Truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
