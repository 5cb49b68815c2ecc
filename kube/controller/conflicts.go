package controller

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

// Reasons of the Events about a Service's address that another machine has, and about a pool whose addresses are not
// avoided any more for that.
const (
	reasonConflict = "AddressConflict"
	reasonAlarm    = "ConflictsNotAvoided"
)

// A machine that answers for machineLimit addresses answers for whatever it is asked for, and with poolLimit conflicts in
// the time that speakers report them, ten minutes, a pool is in use by somebody else: another address would be no better.
const (
	machineLimit = 2
	poolLimit    = 3
)

// conflict is another machine, no speaker's, that a node has seen to have an address of ours.
type conflict struct {
	addr      netip.Addr
	mac       string
	node, on  string // where it was seen
	unclaimed bool   // when the address was to be announced for the first time
}

func (f conflict) compare(o conflict) int {
	return cmp.Or(f.addr.Compare(o.addr), cmp.Compare(f.mac, o.mac))
}

// conflictsOf reads those of a report that are with strangers.
func conflictsOf(node string, all []reports.Conflict) (out []conflict) {
	for _, one := range all {
		if addr, err := netip.ParseAddr(one.Address); err == nil && one.Speaker == "" {
			out = append(out, conflict{addr, one.MAC, node, one.Interface, one.Probe})
		}
	}
	return out
}

// conflicts returns those of all reports that count, each address and machine once.
func (sp *speakers) conflicts() (all []conflict) {
	nodes, _ := sp.view()
	for _, n := range nodes {
		all = append(all, n.conflicts...)
	}
	slices.SortStableFunc(all, conflict.compare)
	return slices.CompactFunc(all, func(a, b conflict) bool { return a.compare(b) == 0 })
}

// announces says that an address may be announced by a node.
func (sp *speakers) announces(a netip.Addr) bool {
	nodes, _ := sp.view()
	return slices.ContainsFunc(nodes, func(n counted) bool {
		w := n.says(a)
		return w.layer2 || w.bgp || w.unknown
	})
}

// told names what a Service was told of.
type told struct {
	addr         netip.Addr
	mac, service string
}

// attend tells by Events of machines that have addresses of Services, and has such addresses change hands where a pool
// avoids them. A replica that begins to lead takes note of what its predecessor has told. It is called by who hands over.
func (c *Controller) attend(cfg config.Config) (changes []ipam.Change) {
	all := c.speakers.conflicts()
	begins := c.told == nil
	c.alarm(cfg, all, begins)
	now := map[told]bool{}
	for _, f := range all {
		for _, s := range c.showing(f.addr, cfg.LoadBalancerClass) {
			key := told{f.addr, f.mac, s.Key()}
			now[key] = true
			if begins || c.told[key] {
				continue
			}
			outcome, moved := c.resolve(cfg, f, s)
			changes = append(changes, moved...)
			text := fmt.Sprintf("another machine, %s, has %s, as seen on %s of node %s: %s", f.mac, f.addr, f.on, f.node, outcome)
			c.log.Warn("conflict", zap.String("service", s.Key()), zap.String("message", text))
			c.events.Post(referTo(s), corev1.EventTypeWarning, reasonConflict, text)
		}
	}
	c.told = now
	return changes
}

// showing returns the Services of ours that show an address.
func (c *Controller) showing(a netip.Addr, class string) (all []objects.Service) {
	found, err := c.informer.GetIndexer().ByIndex(byAddress, a.String())
	if err != nil {
		return nil // there is such an index
	}
	for _, o := range found {
		if svc, ok := o.(*corev1.Service); ok {
			if s := objects.FromService(svc); s.Handled(class) && s.Allocated != nil && s.Allocated.True {
				all = append(all, s)
			}
		}
	}
	return all
}

// resolve does about a conflict what the pool says, and says what that is.
func (c *Controller) resolve(cfg config.Config, f conflict, s objects.Service) (outcome string, changes []ipam.Change) {
	name, _ := c.current().PoolOf(f.addr)
	i := slices.IndexFunc(cfg.Pools, func(p config.Pool) bool { return p.Name == name })
	switch {
	case !f.unclaimed || i < 0:
		return "it stays announced", nil
	case cfg.Pools[i].ConflictProbe != config.ProbeAvoid:
		return "it is announced all the same", nil
	}
	if why := c.keeps(cfg.Pools[i], f, s); why != "" {
		return "it is announced all the same, because " + why, nil
	}
	changes, err := c.avoid(cfg, f, s)
	if err != nil {
		return "it is announced all the same: " + err.Error(), nil
	}
	return fmt.Sprintf("the Service gets another address, and this one goes to nobody for %v", quarantinePeriod), changes
}

// keeps says why a Service keeps an address that another machine has; empty: it does not.
func (c *Controller) keeps(p config.Pool, f conflict, s objects.Service) string {
	if why := c.alarmOf(p.Name); why != "" {
		return why
	}
	switch {
	case slices.ContainsFunc(p.Reservations, func(r config.Reservation) bool { return r.Address == f.addr }):
		return "it is reserved for the Service"
	case slices.Contains(s.Requested, f.addr) || s.Problem != nil:
		return "the Service asks for it"
	case len(c.current().Holders(f.addr)) != 1:
		return "several Services share it"
	case p.Disabled:
		return "the pool is disabled"
	}
	for _, a := range s.Status {
		if !c.unannounced(a, s.Key()) {
			return a.String() + " was announced before, or was not assigned by this controller"
		}
		for _, u := range c.current().Usage() {
			if u.Pool == p.Name && (u.Family == ipam.IPv4) == a.Is4() && u.Free().Sign() <= 0 {
				return "no other address is free"
			}
		}
	}
	return ""
}

// unannounced says that this process gave the address to the Service, and that nobody was heard to announce it since.
func (c *Controller) unannounced(a netip.Addr, service string) bool {
	c.mu.Lock()
	owner, given := c.given[a]
	c.mu.Unlock()
	return given && string(owner) == service && !c.speakers.announces(a)
}

// avoid puts an address in quarantine and has its Service get another one.
func (c *Controller) avoid(cfg config.Config, f conflict, s objects.Service) ([]ipam.Change, error) {
	labels, known := c.space(s.Namespace)
	if !known {
		return nil, fmt.Errorf("namespace %s is not known", s.Namespace)
	}
	c.quarantine.put(quarantined{f.addr, f.mac, f.node, time.Now().Add(quarantinePeriod)})
	allocator, owner := c.current(), ipam.Owner(s.Key())
	changes, err := allocator.SetNever(c.never(cfg))
	if err != nil {
		c.quarantine.take(f.addr)
		return nil, err
	}
	request := holding(s, labels, allocator).Request
	whole := ipam.Change{Owner: owner, Lost: fmt.Errorf("another machine, %s, has it", f.mac)}
	whole.Before, _ = allocator.Lookup(owner)
	for _, ch := range slices.Concat(allocator.Release(owner), allocator.Assign(request)) {
		if ch.Owner != owner {
			changes = append(changes, ch)
			continue
		}
		whole.After, whole.Err = ch.After, ch.Err
	}
	c.reporting().ask(true)
	return append(changes, whole), nil
}

// alarm works out in which pools addresses are not avoided for now, and tells by an Event where that begins.
func (c *Controller) alarm(cfg config.Config, all []conflict, begins bool) {
	for _, q := range c.quarantine.list() {
		all = append(all, conflict{addr: q.addr, mac: q.mac})
	}
	slices.SortStableFunc(all, conflict.compare)
	all = slices.CompactFunc(all, func(a, b conflict) bool { return a.compare(b) == 0 })
	byMAC := map[string][]string{}
	for _, f := range all {
		byMAC[f.mac] = append(byMAC[f.mac], f.addr.String())
	}
	alarms := map[string]string{}
	for _, p := range cfg.Pools {
		if p.ConflictProbe != config.ProbeAvoid {
			continue
		}
		var addrs []netip.Addr
		for _, f := range all {
			if !p.Contains(f.addr) {
				continue
			}
			if addrs = append(addrs, f.addr); len(byMAC[f.mac]) >= machineLimit && alarms[p.Name] == "" {
				alarms[p.Name] = fmt.Sprintf("%s answers for several addresses: %s", f.mac, strings.Join(byMAC[f.mac], ", "))
			}
		}
		if addrs = slices.Compact(addrs); len(addrs) >= poolLimit && alarms[p.Name] == "" {
			alarms[p.Name] = fmt.Sprintf("other machines have %d addresses of the pool: %s", len(addrs), join(addrs))
		}
	}
	c.mu.Lock()
	before := c.alarms
	c.alarms = alarms
	c.mu.Unlock()
	for name, why := range alarms {
		if begins || before[name] != "" {
			continue
		}
		c.log.Error("addresses of a pool that other machines have are not avoided for now", zap.String("pool", name), zap.String("why", why))
		about := corev1.ObjectReference{APIVersion: reports.AddressPools.GroupVersion().String(), Kind: "AddressPool", Name: name}
		c.events.Post(about, corev1.EventTypeWarning, reasonAlarm,
			"addresses that other machines have are announced all the same until it is quiet for ten minutes: "+why)
	}
}

// alarmOf says why the addresses of a pool are not avoided for now; empty: they are.
func (c *Controller) alarmOf(pool string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alarms[pool]
}
