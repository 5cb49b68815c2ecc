package config

import (
	"strconv"
	"time"

	"github.com/kontena/network-lb/bgp"
)

const intervalRemedy = "write a time span from 10ms to 1m, such as 300ms"

// bfd reads the parameters of a BFD profile.
func (r *reader) bfd(f fields) bgp.BFD {
	b := bgp.BFD{Enabled: true}.WithDefaults()
	for key, to := range map[string]*time.Duration{"receive_interval": &b.Receive, "transmit_interval": &b.Transmit} {
		if v, ok := f.get(key); ok {
			*to, _ = r.duration(v, 10*time.Millisecond, time.Minute, intervalRemedy)
		}
	}
	if v, ok := f.get("detect_multiplier"); ok {
		n, _ := r.number(v, 2, 255, "write how many packets in a row may be missed, such as 3")
		b.Multiplier = uint8(n)
	}
	if v, ok := f.get("minimum_ttl"); ok {
		n, _ := r.number(v, 1, 254, "write the least TTL that packets of a router several hops away arrive with, such as 254")
		b.MinimumTTL = uint8(n)
	}
	if v, ok := f.get("passive_mode"); ok {
		b.Passive, _ = r.boolean(v)
	}
	return b
}

func lineOf(v value) string { return strconv.Itoa(v.Line) }
