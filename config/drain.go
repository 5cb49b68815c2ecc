package config

import (
	"fmt"
	"slices"
	"time"
)

// Drain says how a node is emptied before it goes.
type Drain struct {
	OnTaints    []string      // keys of taints that drain a node, beside the annotation
	Period      time.Duration // how long routers are asked to take other nodes before the routes are withdrawn
	Timeout     time.Duration // after that what no other node announces is given up too; at least Period
	MaxDraining int           // how many nodes at most are on their way at a time
}

// The defaults of Drain, and its bounds.
const (
	defaultDrainPeriod  = 30 * time.Second
	defaultDrainTimeout = 5 * time.Minute
	mostDrainPeriod     = time.Hour
	mostDrainTimeout    = 24 * time.Hour
	mostDraining        = 100

	drainPeriodRemedy  = "write how long routers have to take other nodes, such as 30s"
	drainTimeoutRemedy = "write after what time an address is given up that no other node announces, such as 5m"
	drainMostRemedy    = "write how many nodes may be on their way out at a time, such as 1"
)

// drain reads how nodes are emptied.
func (r *reader) drain(f fields, c *Config) {
	c.Drain = Drain{Period: defaultDrainPeriod, Timeout: defaultDrainTimeout, MaxDraining: 1}
	at, ok := f.get("drain")
	if !ok {
		return
	}
	d := r.fields(at, aDrain)
	if v, ok := d.get("on_taints"); ok {
		c.Drain.OnTaints = r.taints(v)
	}
	period, given := d.get("period")
	if given {
		if t, ok := r.duration(period, time.Second, mostDrainPeriod, drainPeriodRemedy); ok {
			c.Drain.Period = t
		}
	}
	timeout, limited := d.get("timeout")
	if limited {
		if t, ok := r.duration(timeout, time.Second, mostDrainTimeout, drainTimeoutRemedy); ok {
			c.Drain.Timeout = t
		}
	}
	if c.Drain.Timeout < c.Drain.Period {
		shown := timeout
		if !limited {
			shown = period
		}
		r.reject(shown, fmt.Sprintf("makes the timeout of %s shorter than the period of %s", short(c.Drain.Timeout), short(c.Drain.Period)),
			"write a timeout that is at least as long as the period")
	}
	if v, ok := d.get("max_draining"); ok {
		if n, ok := r.number(v, 1, mostDraining, drainMostRemedy); ok {
			c.Drain.MaxDraining = int(n)
		}
	}
}

// taints reads keys of taints.
func (r *reader) taints(v value) (all []string) {
	for _, element := range r.list(v) {
		key, ok := r.text(element, "the key of a taint")
		if !ok {
			continue
		}
		if slices.Contains(all, key) {
			r.reject(element, "is there twice", "keep one of them")
			continue
		}
		r.checkLabels(map[string]string{key: ""}, map[string]value{key: element})
		all = append(all, key)
	}
	return all
}
