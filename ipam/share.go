package ipam

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sort"
)

// Share says with whom an owner may share an address. Two owners may if they have the same Key, no Port in common, and
// the same way to their backends: neither is Local, or both are and have the same non-empty Backends.
type Share struct {
	Key      string // "": shares with nobody
	Ports    []Port
	Local    bool   // reachable only where its backends run (Kubernetes' externalTrafficPolicy: Local)
	Backends string // identifies the set of backends, such as a pod selector; matters if Local
}

// Port is a port of a protocol, such as {"TCP", 80}.
type Port struct {
	Protocol string
	Number   uint16
}

// String returns "TCP 80".
func (p Port) String() string { return fmt.Sprintf("%s %d", p.Protocol, p.Number) }

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Number, b.Number))
}

func (s Share) equal(o Share) bool {
	return s.Key == o.Key && s.Local == o.Local && s.Backends == o.Backends && slices.Equal(s.Ports, o.Ports)
}

// sameWay reports whether the traffic of both can be sent to the same places.
func (s Share) sameWay(o Share) bool {
	return s.Local == o.Local && (!s.Local || s.Backends == o.Backends && s.Backends != "")
}

// clash says why two owners with one key cannot share an address, and is "" if they can. The ports are in order.
func (s Share) clash(o Share) string {
	if !s.sameWay(o) {
		return "only owners that all are not local, or all are local with the same backends, share an address"
	}
	for _, port := range s.Ports {
		if _, common := slices.BinarySearchFunc(o.Ports, port, comparePorts); common {
			return "both use " + port.String()
		}
	}
	return ""
}

// site is an address that is held by owners with a sharing key, of whom all have the same one and no two clash.
type site struct {
	addr       netip.Addr
	holders    []*record // by age
	ports      []Port    // of all, ascending
	namespaces []inhabited
}

type inhabited struct {
	namespace string
	owners    int
}

func (s *site) key() string { return s.holders[0].share().Key }

// place returns where a namespace is in the list, or has to be.
func (s *site) place(namespace string) (i int, found bool) {
	return slices.BinarySearchFunc(s.namespaces, namespace, func(n inhabited, name string) int {
		return cmp.Compare(n.namespace, name)
	})
}

func (s *site) add(r *record) {
	i := sort.Search(len(s.holders), func(i int) bool { return compareAges(r, s.holders[i]) < 0 })
	s.holders = slices.Insert(s.holders, i, r)
	for _, port := range r.share().Ports {
		i, _ := slices.BinarySearchFunc(s.ports, port, comparePorts)
		s.ports = slices.Insert(s.ports, i, port)
	}
	i, found := s.place(r.namespace())
	if !found {
		s.namespaces = slices.Insert(s.namespaces, i, inhabited{namespace: r.namespace()})
	}
	s.namespaces[i].owners++
}

func (s *site) remove(r *record) {
	i := slices.Index(s.holders, r)
	s.holders = slices.Delete(s.holders, i, i+1)
	for _, port := range r.share().Ports {
		i, _ := slices.BinarySearchFunc(s.ports, port, comparePorts)
		s.ports = slices.Delete(s.ports, i, i+1)
	}
	i, _ = s.place(r.namespace())
	if s.namespaces[i].owners--; s.namespaces[i].owners == 0 {
		s.namespaces = slices.Delete(s.namespaces, i, i+1)
	}
}

// admits reports whether an owner with the site's key may join its holders, as far as the owners are concerned and as
// far as the reach goes.
func (s *site) admits(r *record, reach Reach) bool {
	share := r.share()
	if reach == NotShared || !share.sameWay(*s.holders[0].share()) {
		return false
	}
	if reach == SharedInNamespace && (len(s.namespaces) > 1 || s.namespaces[0].namespace != r.namespace()) {
		return false
	}
	for _, port := range share.Ports {
		if _, taken := slices.BinarySearchFunc(s.ports, port, comparePorts); taken {
			return false
		}
	}
	return true
}

// refusal says why an owner may not join the holders of an address in a pool. With anyReach only what the owners
// themselves say counts. It is nil if it may.
func (a *Allocator) refusal(r *record, p *pool, addr netip.Addr, anyReach bool) error {
	if holder := a.held[addr]; holder != nil {
		return &AddressInUseError{addr, p.Name, holder.owner}
	}
	s := a.sites[addr]
	if s == nil {
		return nil
	}
	if s.key() != r.share().Key {
		return &AddressInUseError{addr, p.Name, s.holders[0].owner}
	}
	for _, h := range s.holders {
		problem := r.share().clash(*h.share())
		switch {
		case problem != "" || anyReach:
		case p.Sharing == NotShared:
			problem = fmt.Sprintf("pool %q lets nobody share", p.Name)
		case p.Sharing == SharedInNamespace && h.namespace() != r.namespace():
			problem = fmt.Sprintf("pool %q lets only owners of one namespace share", p.Name)
		}
		if problem != "" {
			return &SharingConflictError{addr, p.Name, h.owner, problem}
		}
	}
	return nil
}

// keyed is where a pool looks for addresses of its family that owners with a key hold; with SharedInNamespace, owners
// of that namespace.
type keyed struct {
	family         Family
	key, namespace string
}

// index has a pool know a site, under one of its namespaces or as a whole.
func (p *pool) index(s *site, namespace string) {
	k := p.keyed(s, namespace)
	i, found := slices.BinarySearchFunc(p.sites[k], s.addr, compareSite)
	if found || p.Sharing == NotShared {
		return
	}
	if p.sites == nil {
		p.sites = map[keyed][]*site{}
	}
	p.sites[k] = slices.Insert(p.sites[k], i, s)
}

// forget is the inverse of index.
func (p *pool) forget(s *site, namespace string) {
	k := p.keyed(s, namespace)
	i, found := slices.BinarySearchFunc(p.sites[k], s.addr, compareSite)
	if !found {
		return
	}
	if p.sites[k] = slices.Delete(p.sites[k], i, i+1); len(p.sites[k]) == 0 {
		delete(p.sites, k)
	}
}

func (p *pool) keyed(s *site, namespace string) keyed {
	if p.Sharing == SharedByAll {
		namespace = ""
	}
	return keyed{familyOf(s.addr), s.key(), namespace}
}

func compareSite(s *site, addr netip.Addr) int { return s.addr.Compare(addr) }
