package speaker

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/objects"
)

// roll is the list of the Services of a class, in order of name. What was handed out is never changed: a list of
// thousands is made anew by copying it, and only what has changed is looked at.
type roll struct {
	class   string
	all     []announce.Service
	touched map[string]bool // Services that may have come, gone or changed since
}

func (r *roll) touch(service string) {
	if r.touched == nil {
		r.touched = map[string]bool{}
	}
	r.touched[service] = true
}

// of brings the list up to date. look returns a Service as it is now, if it is there.
func (r *roll) of(class string, everything func() []string, look func(name string) (announce.Service, bool)) []announce.Service {
	if r.class != class {
		r.class, r.all = class, nil
		for _, name := range everything() {
			r.touch(name)
		}
	}
	if len(r.touched) == 0 {
		return r.all
	}
	before := r.all
	r.all = make([]announce.Service, 0, len(before)+len(r.touched))
	for _, name := range slices.Sorted(maps.Keys(r.touched)) {
		i, found := slices.BinarySearchFunc(before, name, func(s announce.Service, name string) int { return cmp.Compare(s.Name, name) })
		if r.all, before = append(r.all, before[:i]...), before[i:]; found {
			before = before[1:]
		}
		if s, there := look(name); there {
			r.all = append(r.all, s)
		}
	}
	r.all, r.touched = append(r.all, before...), nil
	return r.all
}

// service returns a Service of the roll's class with its endpoints; s.mu is held.
func (s *state) service(key string) (announce.Service, bool) {
	e := s.services[key]
	if e == nil || e.class != s.roll.class {
		return announce.Service{}, false
	}
	out := e.Service
	out.Rebalance = time.Now().Before(e.until)
	all := make([]objects.Slice, 0, 2) // one of each family, mostly
	for _, k := range s.slices[key] {
		all = append(all, k.Slice)
	}
	out.Endpoints = objects.Merge(all...)
	now := time.Now()
	if until := e.holds.Apply(&out, now); !until.IsZero() {
		s.again(key, until.Sub(now))
	}
	return out, true
}

// everything are the keys of all Services; s.mu is held.
func (s *state) everything() []string { return slices.Collect(maps.Keys(s.services)) }
