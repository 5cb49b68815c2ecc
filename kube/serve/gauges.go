package serve

import "github.com/prometheus/client_golang/prometheus"

// Gauge sets one gauge in a scrape, with the values of its labels in the order of its description.
type Gauge func(d *prometheus.Desc, value float64, labels ...string)

// Gauges returns metrics that are read anew for each scrape: descs are all there can be, and read sets those that
// there are.
func Gauges(descs []*prometheus.Desc, read func(Gauge)) prometheus.Gatherer {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(gauges{descs, read})
	return r
}

type gauges struct {
	descs []*prometheus.Desc
	read  func(Gauge)
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
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	})
}

// Truth is the value of a gauge that says yes or no.
func Truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
