package config

import (
	"fmt"
	"net/netip"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kontena/network-lb/selector"
)

// defaultRestartTime is how long routers keep our routes while a speaker restarts.
const defaultRestartTime = 30 * time.Second

// hostname is the label that every node has of its own (https://kubernetes.io/docs/reference/labels-annotations-taints/).
const hostname = "kubernetes.io/hostname"

const (
	ownAddressRemedy = "write an address of the node, of the same family as the router's"
	routerIDRemedy   = "write an IPv4 address, such as 10.0.0.11"
	multihopRemedy   = "write false, true, or the TTL of what is sent, from 2 to 255"
	oneNodeRemedy    = "write a peer for each node, with node_selectors: [{match_labels: {" + hostname + ": NODE}}], or leave it out"
	hopsRemedy       = "write how many hops away the router is at most, 1 if it is directly connected, 0 for no check"
)

// way reads what packets to the router are like: where they come from, and how far they go.
func (r *reader) way(f fields, p *Peer) {
	if v, ok := f.get("source_address"); ok && !isEmptyText(v) {
		p.Source = r.source(v, p)
		r.oneNode(v, p.NodeSelectors)
	}
	if v, ok := f.get("router_id"); ok && !isEmptyText(v) {
		if id, ok := r.ip(v, routerIDRemedy); ok && (!id.Is4() || id.IsUnspecified()) {
			r.reject(v, "is not an IPv4 address", routerIDRemedy)
		} else if ok {
			p.RouterID = id
		}
		r.oneNode(v, p.NodeSelectors)
	}
	if v, ok := f.get("ttl_security"); ok {
		n, _ := r.number(v, 0, 254, hopsRemedy)
		p.TTLSecurity = uint8(n)
	}
	v, ok := f.get("ebgp_multihop")
	if !ok {
		return
	}
	switch p.Multihop = r.multihop(v); {
	case p.Multihop == 0:
	case !p.External && p.PeerASN == p.MyASN && p.MyASN != 0:
		r.reject(v, "is for eBGP, and this router is of our own AS, where any number of hops is fine", "leave it out")
	case p.TTLSecurity != 0:
		r.reject(v, "cannot be given together with ttl_security, which has hops of its own", "keep one of them")
	case p.Interface != "":
		r.reject(v, "is not possible with interface, whose router is directly connected", "leave it out")
	}
}

// multihop reads the TTL of what is sent; 0 is none.
func (r *reader) multihop(v value) uint8 {
	if v.Kind == yaml.ScalarNode && v.ShortTag() == "!!bool" {
		if on, _ := r.boolean(v); on {
			return 255
		}
		return 0
	}
	n, _ := r.number(v, 2, 255, multihopRemedy)
	return uint8(n)
}

// source reads our address on a session.
func (r *reader) source(v value, p *Peer) netip.Addr {
	a, ok := r.ip(v, ownAddressRemedy)
	switch {
	case !ok:
	case p.Interface != "":
		r.reject(v, "is not possible with interface, whose session is between link-local addresses", "leave it out")
	case a.Zone() != "" || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified():
		r.reject(v, "is not an address to connect from", ownAddressRemedy)
	case p.Address.IsValid() && a.Is4() != p.Address.Is4():
		r.reject(v, fmt.Sprintf("is not of the family of the router's address %s", p.Address), ownAddressRemedy)
	default:
		return a
	}
	return netip.Addr{}
}

// ip reads an IP address.
func (r *reader) ip(v value, remedy string) (netip.Addr, bool) {
	text, ok := r.text(v, "an IP address")
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		r.reject(v, "is not an IP address", remedy)
	case a.Is4In6():
		r.reject(v, "is an IPv4 address in IPv6 form", "write "+a.Unmap().String())
	default:
		return a, true
	}
	return netip.Addr{}, false
}

func isEmptyText(v value) bool {
	return v.Kind == yaml.ScalarNode && v.ShortTag() == "!!str" && v.Value == ""
}

// oneNode notes what only one node can have, of a peer that is not certain to be one node's. The document does not know
// the nodes, but no two have the same hostname.
func (r *reader) oneNode(v value, nodes selector.Any) {
	if len(nodes) != 1 || !nodes[0].Pins(hostname) {
		r.reject(v, "is for one node, and this peer's node_selectors do not name one by "+hostname, oneNodeRemedy)
	}
}

// times reads the timers of a session.
func (r *reader) times(f fields, p *Peer) {
	const most = 65535 * time.Second
	p.HoldTime = r.seconds(f, "hold_time", 3*time.Second, most, "write whole seconds from 3s to 65535s, such as 30s")
	p.KeepaliveTime = r.seconds(f, "keepalive_time", time.Second, most, "write whole seconds, at most the hold time, such as 10s")
	p.ConnectTime = r.seconds(f, "connect_time", time.Second, most, "write whole seconds, such as 1s")
	if hold := p.WithDefaults().HoldTime; p.KeepaliveTime > hold {
		v, _ := f.get("keepalive_time")
		r.reject(v, "is above the hold time of "+short(hold), "write at most that, or leave it out for a third of it")
		p.KeepaliveTime = 0
	}
	p.RestartTime = defaultRestartTime
	v, ok := f.get("graceful_restart")
	if !ok {
		return
	}
	g := r.fields(v, aRestart)
	if d := r.seconds(g, "restart_time", time.Second, 4095*time.Second, "write whole seconds from 1s to 4095s, such as 30s"); d > 0 {
		p.RestartTime = d
	}
	if v, ok := g.get("enabled"); ok {
		if on, ok := r.boolean(v); ok && !on {
			p.RestartTime = 0
		}
	}
}

// seconds reads a time span of whole seconds; 0 is that there is none, or a mistake.
func (r *reader) seconds(f fields, key string, least, most time.Duration, remedy string) time.Duration {
	v, ok := f.get(key)
	if !ok {
		return 0
	}
	d, ok := r.duration(v, least, most, remedy)
	if ok && d%time.Second != 0 {
		r.reject(v, "is not in whole seconds", remedy)
		return 0
	}
	return d
}
