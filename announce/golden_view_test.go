package announce_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/selector"
)

// readView reads a view, and returns it as each of its nodes has it. A line of it is one of
//
//	node NAME [WORD]...                    Ready and with a Speaker
//	pool NAME PREFIX,... layer2|bgp...     [nodes:LABEL=VALUE,...] [WORD]...
//	advertisement [nodes:...] [services:...] [WORD]...      of the pool above
//	peer NAME [nodes:...] [WORD]...
//	service NAME ADDRESS,... [@NODE:READY[+SERVING]]... [WORD]...      Allocated; without @ one endpoint somewhere
//	member NODE [link:NAME=PREFIX] [WORD]...      alive, with eth0 in 10.88.0.0/24, unless links are named
//	on NODE [WORD]...                      for what that node alone knows
//
// A WORD that begins with a capital is a field of what the line is about, true unless it says otherwise: OutOfService,
// Ready=false, Held=10.88.0.1,10.88.0.2. Any other is a label: rack=one.
func readView(t *testing.T, text string) []announce.View {
	t.Helper()
	r := viewReader{t: t, own: map[string][]string{}}
	for _, line := range strings.Split(text, "\n") {
		if words := strings.Fields(line); len(words) > 0 {
			r.line = line
			r.read(words[0], words[1:])
		}
	}
	var views []announce.View
	for _, n := range r.view.Nodes {
		v := r.view
		v.Node = n.Name
		r.words(&v, r.own[n.Name])
		views = append(views, v)
	}
	return views
}

type viewReader struct {
	t    *testing.T
	line string
	view announce.View
	own  map[string][]string // the words for a node's own view
}

func (r *viewReader) fail(why string) { r.t.Fatalf("%q: %s", r.line, why) }

func (r *viewReader) read(what string, words []string) {
	v := &r.view
	name := ""
	if what != "advertisement" {
		if len(words) == 0 {
			r.fail("want a name")
		}
		name, words = words[0], words[1:]
	}
	switch what {
	case "node":
		n := announce.Node{Name: name, Ready: true, Speaker: true}
		n.Labels = r.words(&n, words)
		v.Nodes = append(v.Nodes, n)
	case "pool":
		v.Pools = append(v.Pools, r.pool(name, words))
	case "advertisement":
		a := announce.Advertisement{}
		a.Nodes, words = selected("nodes:", words)
		a.Services, words = selected("services:", words)
		r.words(&a, words)
		p := &v.Pools[len(v.Pools)-1]
		p.Advertisements = append(p.Advertisements, a)
	case "peer":
		p := announce.Peer{Peer: bgp.Peer{Name: name}}
		p.Nodes, words = selected("nodes:", words)
		r.words(&p, words)
		v.Peers = append(v.Peers, p)
	case "service":
		v.Services = append(v.Services, r.service(name, words))
	case "member":
		v.Members = append(v.Members, r.member(name, words))
	case "on":
		r.own[name] = append(r.own[name], words...)
	default:
		r.fail("no view has that")
	}
}

func (r *viewReader) pool(name string, words []string) announce.Pool {
	p := announce.Pool{Name: name}
	var all either
	for _, text := range strings.Split(words[0], ",") {
		all = append(all, prefix(text))
	}
	p.Addresses = all
	p.Nodes, words = selected("nodes:", words[1:])
	p.Layer2, p.BGP = slices.Contains(words, "layer2"), slices.Contains(words, "bgp")
	r.words(&p, slices.DeleteFunc(words, func(w string) bool { return w == "layer2" || w == "bgp" }))
	return p
}

func (r *viewReader) service(name string, words []string) announce.Service {
	s := announce.Service{Name: "default/" + name, Allocated: true, Endpoints: map[string]announce.Endpoints{}}
	r.field(&s, "Addrs", words[0])
	anywhere := true
	words = slices.DeleteFunc(slices.Clone(words[1:]), func(word string) bool {
		at, there := strings.CutPrefix(word, "@")
		if !there {
			return false
		}
		node, counts, _ := strings.Cut(at, ":")
		ready, serving, _ := strings.Cut(counts, "+")
		n, _ := strconv.Atoi(ready)
		m, _ := strconv.Atoi(serving)
		c := announce.Count{Ready: n, Serving: m}
		s.Endpoints[node], anywhere = announce.Endpoints{V4: c, V6: c}, false
		return true
	})
	if anywhere {
		s.Endpoints[""] = ready(1)
	}
	s.Labels = r.words(&s, words)
	return s
}

func (r *viewReader) member(node string, words []string) announce.Member {
	m := announce.Member{Node: node, Presence: announce.Alive, Known: true}
	link := func(text string) {
		name, addr, _ := strings.Cut(text, "=")
		m.Links = append(m.Links, layer2.Link{Name: name, MAC: layer2.MAC{2, 0, 0, 0, 0, node[0]}, Up: true, Carrier: true, Broadcast: true,
			Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
	}
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool {
		text, there := strings.CutPrefix(word, "link:")
		if there {
			link(text)
		}
		return there
	})
	if m.Links == nil {
		link("eth0=10.88.0.10/24")
	}
	r.words(&m, words)
	return m
}

// selected takes a selector for each label after a prefix out of the words.
func selected(prefix string, words []string) (all selector.Any, rest []string) {
	for _, word := range words {
		labels, there := strings.CutPrefix(word, prefix)
		if !there {
			rest = append(rest, word)
			continue
		}
		for _, label := range strings.Split(labels, ",") {
			key, value, _ := strings.Cut(label, "=")
			all = append(all, labelled(key, value)...)
		}
	}
	return all, rest
}

// words sets the fields that words name, and returns the labels.
func (r *viewReader) words(of any, words []string) map[string]string {
	labels := map[string]string{}
	for _, word := range words {
		key, value, given := strings.Cut(word, "=")
		switch {
		case key[0] < 'A' || key[0] > 'Z':
			labels[key] = value
		case given:
			r.field(of, key, value)
		default:
			r.field(of, key, "true")
		}
	}
	return labels
}

var presences = map[string]announce.Presence{"Missing": announce.Missing, "Alive": announce.Alive, "Lost": announce.Lost}

var weights = map[string]announce.Weight{"ByEndpoints": announce.ByEndpoints, "ByNode": announce.ByNode}

var stages = map[string]announce.Stage{"Leaving": announce.Leaving, "Withdrawing": announce.Withdrawing, "Left": announce.Left}

// field sets a field by name.
func (r *viewReader) field(of any, name, text string) {
	f := reflect.ValueOf(of).Elem().FieldByName(name)
	if !f.IsValid() {
		r.fail(fmt.Sprintf("%T has no field %s", of, name))
	}
	var list []string
	if text != "" {
		list = strings.Split(text, ",")
	}
	var err error
	switch to := f.Addr().Interface().(type) {
	case *announce.Presence:
		*to = presences[text]
	case *announce.Stage:
		*to = stages[text]
	case *announce.Weight:
		*to = weights[text]
	case *bgp.Optional:
		n, e := strconv.ParseUint(text, 10, 32)
		*to, err = bgp.Some(uint32(n)), e
	case *[]string:
		*to = list
	case *[]netip.Addr:
		*to = addrs(list)
	case *[]bgp.Community:
		for _, one := range list {
			c, e := bgp.ParseCommunity(one)
			*to, err = append(*to, c), e
		}
	case *map[string]announce.Endpoints:
		*to = nil
	case *map[netip.Addr]bool:
		*to = map[netip.Addr]bool{}
		for _, addr := range addrs(list) {
			(*to)[addr] = true
		}
	case *announce.Families:
		*to = announce.Families{V4: slices.Contains(list, "V4"), V6: slices.Contains(list, "V6")}
	case *map[netip.Addr]string: // ADDRESS@NODE
		*to = map[netip.Addr]string{}
		for _, one := range list {
			addr, node, _ := strings.Cut(one, "@")
			(*to)[netip.MustParseAddr(addr)] = node
		}
	default:
		err = plain(f, text)
	}
	if err != nil {
		r.fail(err.Error())
	}
}

// plain sets a field of a kind that needs no type of ours.
func plain(f reflect.Value, text string) (err error) {
	switch {
	case f.Kind() == reflect.Bool:
		var yes bool
		yes, err = strconv.ParseBool(text)
		f.SetBool(yes)
	case f.CanInt():
		var n int64
		n, err = strconv.ParseInt(text, 10, 64)
		f.SetInt(n)
	case f.CanUint():
		var n uint64
		n, err = strconv.ParseUint(text, 10, 64)
		f.SetUint(n)
	case f.Kind() == reflect.String:
		f.SetString(text)
	default:
		err = fmt.Errorf("a field of type %s cannot be read from %q yet: teach it to field", f.Type(), text)
	}
	return err
}

func addrs(list []string) (all []netip.Addr) {
	for _, text := range list {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}
