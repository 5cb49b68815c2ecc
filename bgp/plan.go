package bgp

import (
	"errors"
	"fmt"
	"slices"
)

// want is what one session is to be: immutable once made.
type want struct {
	peer   Peer    // with defaults
	routes []Route // sorted, without duplicates; possibly shared with other sessions
	v4, v6 int     // how many of the routes are of which family
}

func (w *want) equal(o *want) bool {
	return w.peer == o.peer && slices.EqualFunc(w.routes, o.routes, Route.same)
}

// planned is a wanted session and the running one that becomes it, by index; -1 is a new one.
type planned struct {
	running int
	*want
}

// plan decides which sessions there are to be. Peers and routes that are wrong are left out, each with an
// error; a running peer whose new form is wrong stays as it is.
func plan(running, peers []Peer, routes []Route) ([]planned, error) {
	good, spoilt, peersErr := planPeers(running, peers)
	named, routesErr := planRoutes(good, spoilt, routes)
	match := matchPeers(running, good)
	all := make([]planned, len(good))
	for i, p := range good {
		w := &want{peer: p, routes: named[p.Name]}
		w.v4, w.v6 = count(w.routes)
		all[i] = planned{running: match[i], want: w}
	}
	return all, errors.Join(peersErr, routesErr)
}

// planPeers returns the peers to have, and the names of those left out.
func planPeers(running, peers []Peer) (good []Peer, spoilt map[string]bool, err error) {
	var errs []error
	spoilt = map[string]bool{}
	names, sessions := map[string]bool{}, map[Peer]string{}
	add := func(p Peer) error {
		if names[p.Name] {
			return fmt.Errorf("another peer has this name")
		}
		if other, dup := sessions[p.session()]; dup {
			return fmt.Errorf("peer %s is the same session", other)
		}
		names[p.Name], sessions[p.session()] = true, p.Name
		good = append(good, p)
		return nil
	}
	for _, p := range peers {
		p = p.WithDefaults()
		err := p.Validate()
		if err == nil {
			err = add(p)
		} else if i := slices.IndexFunc(running, func(r Peer) bool { return r.Name == p.Name }); i >= 0 {
			_ = add(running[i]) // a conflict means that another peer takes its place
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("peer %s: %w", p.Name, err))
			spoilt[p.Name] = !names[p.Name]
		}
	}
	return good, spoilt, errors.Join(errs...)
}

// planRoutes returns each peer's routes by its name. Peers that get all routes share one slice.
func planRoutes(peers []Peer, spoilt map[string]bool, routes []Route) (map[string][]Route, error) {
	var errs []error
	named := make(map[string][]Route, len(peers))
	for _, p := range peers {
		named[p.Name] = nil
	}
	all := make([]Route, 0, len(routes))
	for _, r := range routes {
		if err := r.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("route: %w", err))
			continue
		}
		route := r.tidy()
		if r.Peers == nil {
			all = append(all, route)
			continue
		}
		for _, name := range r.Peers {
			if _, known := named[name]; known {
				named[name] = append(named[name], route)
			} else if !spoilt[name] {
				errs = append(errs, fmt.Errorf("route %s: no peer has the name %q", route.Prefix, name))
			}
		}
	}
	all, err := unique(all)
	errs = append(errs, err)
	for _, p := range peers {
		own := named[p.Name]
		if len(own) == 0 {
			named[p.Name] = all
			continue
		}
		if named[p.Name], err = unique(append(own, all...)); err != nil {
			errs = append(errs, fmt.Errorf("peer %s: %w", p.Name, err))
		}
	}
	return named, errors.Join(errs...)
}

// unique sorts tidy routes and merges those of one prefix. Where they contradict each other the first one counts.
func unique(routes []Route) ([]Route, error) {
	var errs []error
	sortRoutes(routes)
	merged := routes[:0]
	for _, r := range routes {
		last := len(merged) - 1
		if last < 0 || merged[last].Prefix != r.Prefix {
			merged = append(merged, r)
			continue
		}
		if merged[last].same(r) {
			continue
		}
		var err error
		if merged[last], err = merged[last].Merge(r); err != nil {
			errs = append(errs, fmt.Errorf("route: %w", err))
		}
	}
	return merged, errors.Join(errs...)
}

// matchPeers finds for every wanted peer the running one that becomes it, so that a peer that was renamed
// keeps its session, and one that was changed keeps its place and its history: by the same session, else by
// name, else by where it is dialled. -1 is none.
func matchPeers(running, wanted []Peer) []int {
	match := make([]int, len(wanted))
	for i := range match {
		match[i] = -1
	}
	taken := make([]bool, len(running))
	for _, same := range []func(a, b Peer) bool{
		func(a, b Peer) bool { return a.session() == b.session() },
		func(a, b Peer) bool { return a.Name == b.Name },
		func(a, b Peer) bool { return a.endpoint() == b.endpoint() },
	} {
		for i, w := range wanted {
			for j, r := range running {
				if match[i] < 0 && !taken[j] && same(r, w) {
					match[i], taken[j] = j, true
				}
			}
		}
	}
	return match
}
