// Package document reads the product's configuration document where it stands: in a file, or, as a person wrote it, in
// a ConfigMap, or, as the leading controller has accepted it, in a Secret.
package document

import (
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/config"
)

// Keys of the ConfigMap and of the Secret.
const (
	Key           = "config.yaml"   // the document
	GenerationKey = "generation"    // in the Secret: how many documents were accepted, with this one
	LeavingKey    = "leaving-class" // in the Secret: the class before this document's, while some of its Services are to be cleared
)

// Version is what a document says at one time.
type Version struct {
	Text     string        // as it was written
	Config   config.Config // what it means; the zero value where Err is set
	Warnings []config.Warning
	Err      error // why there is no valid document
	// Generation counts the accepted documents, this one included; 0 where nobody counts.
	Generation int64
	// Leaving is the class of the document before, while Services of it still show their addresses; nil: there are none.
	Leaving *string
	// Object holds the document, with its resource version; the zero value where there is none.
	Object corev1.ObjectReference
}

// Parse returns the version that a text is.
func Parse(text string) Version {
	v := Version{Text: text}
	v.Config, v.Warnings, v.Err = config.Parse([]byte(text))
	if v.Err == nil && !v.Config.Enabled {
		v.Config, v.Err = config.Config{}, errDisabled
	}
	return v
}

// errDisabled refuses a document with enabled: false, which is meant for the chart: it then takes the processes
// away, and what they have announced until then goes with them. In force it would take all addresses from the
// Services.
var errDisabled = errors.New("enabled: false is carried out by the chart, which removes the processes; until then nothing changes")

// ReadFile reads a document from a file. The error names every mistake in it, each on a line.
func ReadFile(name string) (Version, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return Version{}, fmt.Errorf("reading the configuration: %w", err)
	}
	v := Parse(string(data))
	if v.Err != nil {
		return v, fmt.Errorf("%s is not a valid configuration:\n%w", name, v.Err)
	}
	return v, nil
}

// Descriptions of the metrics about the document, which every process exports.
var (
	StaleDesc = prometheus.NewDesc("network_lb_config_stale",
		"1 while the configuration document that is there now is not the one in force.", nil, nil)
	GenerationDesc = prometheus.NewDesc("network_lb_config_generation",
		"How many configuration documents were accepted until the one in force; 0 with a file.", nil, nil)
)
