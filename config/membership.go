package config

import (
	"path"
	"slices"
	"strings"
	"time"
)

// Membership says whether and where the speakers know of each other without the API server. It is for layer 2 alone:
// see Config.Layer2.
type Membership struct {
	Enabled bool
	Port    uint16 // of TCP and UDP, on every node
}

// Detection is how fast the loss of a speaker is found out.
type Detection uint8

// The detections.
const (
	NormalDetection Detection = iota // in about 2 s
	FastDetection                    // in less than 1 s, with at most 50 speakers
)

const (
	defaultMembershipPort = 17946
	defaultGratuitousRate = 50
	defaultRestartGrace   = 30 * time.Second
	leastRestartGrace     = 5 * time.Second
	mostRestartGrace      = 10 * time.Minute

	portRemedy  = "write a port that is free on every node, 1024 to 65535, such as 17946"
	rateRemedy  = "write how many frames a second may announce addresses on an interface, 1 to 10000"
	graceRemedy = "write how long others stand in for a speaker that restarts, 5s to 10m, such as 30s"
	globRemedy  = "write the name of an interface, or a part of it with * and ?, such as eth1 or bond*"
	onlyARPPool = "leave it out, or add layer2 to the protocol"
)

// Probe says whether it is asked for an address on layer 2 before it is announced for the first time.
type Probe uint8

// The probes.
const (
	ProbeReport Probe = iota // another machine that has it is reported, and it is announced all the same
	ProbeOff
	ProbeAvoid // the Service gets another one
)

var probes = words[Probe]{{"report", ProbeReport}, {"off", ProbeOff}, {"avoid", ProbeAvoid}}

var detections = words[Detection]{{"normal", NormalDetection}, {"fast", FastDetection}}

// Layer2 reports whether a pool is announced by ARP and NDP.
func (c Config) Layer2() bool {
	return slices.ContainsFunc(c.Pools, func(p Pool) bool { return p.Layer2 })
}

// layer2 reads the keys of the document that are for layer 2.
func (r *reader) layer2(f fields, c *Config) {
	c.Membership = Membership{Enabled: true, Port: defaultMembershipPort}
	c.GratuitousRate, c.RestartGrace = defaultGratuitousRate, defaultRestartGrace
	if v, ok := f.get("exclude_interfaces"); ok {
		c.ExcludeInterfaces = r.globs(v)
	}
	if v, ok := f.get("gratuitous_rate"); ok {
		if n, ok := r.number(v, 1, 10000, rateRemedy); ok {
			c.GratuitousRate = int(n)
		}
	}
	if v, ok := f.get("restart_grace"); ok {
		if d, ok := r.duration(v, leastRestartGrace, mostRestartGrace, graceRemedy); ok {
			c.RestartGrace = d
		}
	}
	if v, ok := f.get("failure_detection"); ok {
		c.FailureDetection = oneOf(r, v, "how fast a loss is found out", detections)
	}
	v, ok := f.get("membership")
	if !ok {
		return
	}
	m := r.fields(v, aMembership)
	if v, ok := m.get("enabled"); ok {
		if enabled, ok := r.boolean(v); ok {
			c.Membership.Enabled = enabled
		}
	}
	if v, ok := m.get("port"); ok {
		if n, ok := r.number(v, 1024, 65535, portRemedy); ok {
			c.Membership.Port = uint16(n)
		}
	}
}

// answering reads the keys of a pool that are for layer 2.
func (r *reader) answering(f fields, p *Pool) {
	get := func(key string) (value, bool) {
		v, ok := f.get(key)
		if ok && p.BGP && !p.Layer2 {
			r.rejectText(v, "", "is for layer2, and this pool is for BGP alone", onlyARPPool)
		}
		return v, ok
	}
	if v, ok := get("interfaces"); ok {
		p.Interfaces = r.globs(v)
	}
	if v, ok := get("answer_ping"); ok {
		p.AnswerPing, _ = r.boolean(v)
	}
	if v, ok := get("conflict_probe"); ok {
		if v.ShortTag() == "!!bool" && strings.EqualFold(v.Value, "false") { // what Helm makes of a bare off
			p.ConflictProbe = ProbeOff
		} else {
			p.ConflictProbe = oneOf(r, v, "what comes of a probe", probes)
		}
	}
}

// globs reads names and globs of interfaces.
func (r *reader) globs(v value) (all []string) {
	for _, element := range r.list(v) {
		glob, ok := r.text(element, "the name of an interface")
		if !ok {
			continue
		}
		_, err := path.Match(glob, "")
		switch {
		case err != nil || glob == "" || len(glob) > 64 || strings.ContainsAny(glob, "/: \t\n\r\v\f"):
			r.reject(element, "is neither the name of an interface nor a glob of such", globRemedy)
		case slices.Contains(all, glob):
			r.reject(element, "is there twice", "keep one of them")
		default:
			all = append(all, glob)
		}
	}
	return all
}
