package speaker

import (
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/layer2"
)

const (
	// avoidance is how long an address that another machine has is left alone where the pool says avoid: the controller
	// has long given the Service another one then, if it is going to.
	avoidance = 10 * time.Second
	// occupancy is how long it is remembered, and told, that another machine had an address.
	occupancy = 10 * time.Minute
)

// Occupied is an address that no speaker had announced yet, and that another machine answered for when this one asked,
// before it was to be announced for the first time.
type Occupied struct {
	Address   netip.Addr `json:"address"`
	MAC       layer2.MAC `json:"mac"` // of the machine
	Interface string     `json:"interface"`
	Found     time.Time  `json:"found"`
	// Until then the address is left alone: the controller may give the Service another one.
	Until time.Time `json:"until,omitzero"`
}

// fresh are the addresses of the Services of a class that were never announced, with what their pools say of probing.
func (s *state) fresh(cfg config.Config) map[netip.Addr]config.Probe {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := map[netip.Addr]config.Probe{}
	for _, svc := range s.services {
		for _, addr := range svc.unannounced {
			if svc.class != cfg.LoadBalancerClass {
				continue
			}
			i := slices.IndexFunc(cfg.Pools, func(p config.Pool) bool { return p.Layer2 && p.Contains(addr) })
			if i >= 0 && cfg.Pools[i].ConflictProbe != config.ProbeOff {
				fresh[addr] = cfg.Pools[i].ConflictProbe
			}
		}
	}
	return fresh
}

// unannounced are the addresses of a Service that its condition does not say to be announced, nor to have been.
func unannounced(svc objects.Service) (all []netip.Addr) {
	for _, a := range svc.Status {
		if !svc.Announced.Names(a) {
			all = append(all, a)
		}
	}
	return all
}

// refresh takes note of the addresses that were never announced, as far as their Services say. That is later than the
// announcement, and never where there are no reports: those that somebody was seen to hold are left out. c.mu is held.
func (c *caution) refresh(fresh map[netip.Addr]config.Probe, held []netip.Addr) {
	seen := map[netip.Addr]bool{}
	for addr := range fresh {
		if _, holds := slices.BinarySearchFunc(held, addr, netip.Addr.Compare); holds || c.seen[addr] || c.company.holds(addr) {
			seen[addr] = true
			delete(fresh, addr)
		}
	}
	c.fresh, c.seen = fresh, seen
}

// unheard reports whether it is to be asked for an address since it is about to be announced for the first time. c.mu
// is held.
func (c *caution) unheard(addr netip.Addr) bool {
	_, fresh := c.fresh[addr]
	o, known := c.occupied[addr]
	return fresh && !(known && time.Since(o.Found) < occupancy)
}

// meet notes who else answers for an address that is about to be announced for the first time. As long as it is not known
// which MAC addresses all the speakers have, nobody is a stranger. c.mu is held.
func (c *caution) meet(r layer2.ProbeResult, now time.Time) {
	mode, fresh := c.fresh[r.Addr]
	if !fresh || c.company.mute {
		return
	}
	i := slices.IndexFunc(r.Answers, func(a layer2.Answer) bool { return c.company.byMAC[a.MAC] == "" })
	if i < 0 {
		return
	}
	o := Occupied{Address: r.Addr, MAC: r.Answers[i].MAC, Interface: r.Answers[i].Interface, Found: now}
	if mode == config.ProbeAvoid {
		o.Until = now.Add(avoidance)
		time.AfterFunc(avoidance, c.wake)
	}
	c.occupied[r.Addr] = o
	c.log.Warn("another machine answers for an address that was never announced", zap.Stringer("address", r.Addr),
		zap.Stringer("mac", o.MAC), zap.String("interface", o.Interface), zap.Bool("avoided", mode == config.ProbeAvoid))
}

// taken are the addresses that other machines were found to have, of late. It may be called from anywhere.
func (c *caution) taken() []Occupied {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []Occupied{}
	for addr, o := range c.occupied {
		if time.Since(o.Found) >= occupancy {
			delete(c.occupied, addr)
			continue
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b Occupied) int { return a.Address.Compare(b.Address) })
	return out
}
