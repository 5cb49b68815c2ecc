package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/objects"
)

const (
	// reasonAnnounced is the reason of a condition that is True.
	reasonAnnounced = "Announced"
	// mostNodes is how many nodes a condition names.
	mostNodes = 10
	// A speaker may report up to reportInterval late, or as late as keeps all speakers together at nodesPerSecond reports
	// a second.
	nodesPerSecond = 20
)

// telling are the reasons for which an address is not announced, the most telling first: those that hold for all nodes,
// then those of nodes that came near to announcing it.
var telling = []announce.Reason{
	announce.NotConfigured, announce.NotAllocated, announce.NoEndpoints, announce.NoSession, announce.NoInterface,
	announce.NoLocalEndpoints, announce.DataPathNotReady, announce.NodeDraining, announce.NodeNetworkUnavailable, announce.NodeOutOfService,
	announce.NodeNotSelected, announce.NodeExcluded, announce.BeyondMaxNodes, announce.NotOwner,
}

// tells is the place of a reason among those; one that this version does not know comes before the last.
func tells(reason string) int {
	if i := slices.Index(telling, announce.Reason(reason)); i >= 0 {
		return 2 * i
	}
	return 2*len(telling) - 3
}

// verdict is what the condition Announced is to say.
type verdict struct {
	announced bool // by somebody, at least one of the addresses
	reason    string
	sentences []sentence
}

// sentence is what is said of an address, and how sure that is.
type sentence struct {
	text string
	certainty
}

// certainty says how far it can be that a report which is under way says something else.
type certainty int

const (
	certain   certainty = iota
	gathering           // more nodes than are named may announce the address by BGP
	missing             // somebody may announce it
)

// patience is how long something holds before it is written, where all speakers report within an interval: for those that
// gather a second more, because not all have their sessions at the same time; for what is missing two, because the owner
// of an address says at once that it has given it up, and a successor when it has reported last a while ago.
func (c certainty) patience(interval time.Duration) time.Duration {
	switch c {
	case gathering:
		return interval + time.Second
	case missing:
		return 2 * interval
	}
	return 0
}

func (v verdict) message() string {
	var texts []string
	for _, s := range v.sentences {
		texts = append(texts, s.text)
	}
	return strings.Join(texts, sentenceEnd)
}

// verdictOf returns what the speakers' reports say of a Service; ok says that they say enough.
func (sp *speakers) verdictOf(s objects.Service) (v verdict, ok bool) {
	nodes, any := sp.view()
	if !any {
		return v, false
	}
	if s.Allocated == nil || !s.Allocated.True || len(s.Status) == 0 {
		none := sentence{"it has no address", missing}
		return verdict{reason: string(announce.NotAllocated), sentences: []sentence{none}}, s.Announced != nil
	}
	for _, a := range s.Status {
		f := find(nodes, a)
		switch {
		case f.announced():
			v.announced = true
		case f.unknown:
			return v, false
		case v.reason == "" || tells(f.reason) < tells(v.reason):
			v.reason = f.reason
		}
		v.sentences = append(v.sentences, f.sentences(a, max(1, mostNodes/len(s.Status)))...)
	}
	if v.announced {
		v.reason = reasonAnnounced
	}
	return v, true
}

// finding is what all reports together say of an address.
type finding struct {
	owner   string   // on layer 2; empty: nobody
	bgp     []string // the nodes that announce it by BGP, in order ...
	all     bool     // ... which are all that report
	unknown bool     // some report may leave out that it is announced
	reason  string   // why nobody announces it ...
	silent  []string // ... and the nodes for which that is so
}

func (f finding) announced() bool { return f.owner != "" || len(f.bgp) > 0 }

// find looks an address up in the reports. Of two nodes that claim it on layer 2, it is the one that has reported last:
// the other has had no time to, or is dead.
func find(nodes []counted, a netip.Addr) (f finding) {
	var written time.Time
	for _, n := range nodes {
		node, w := n.node, n.says(a)
		f.unknown = f.unknown || w.unknown
		if w.bgp {
			f.bgp = append(f.bgp, node)
		}
		if w.layer2 && (f.owner == "" || n.written.After(written)) {
			f.owner, written = node, n.written
		}
		switch {
		case w.reason == "":
		case f.reason == "" || tells(w.reason) < tells(f.reason):
			f.reason, f.silent = w.reason, []string{node}
		case w.reason == f.reason:
			f.silent = append(f.silent, node)
		}
	}
	f.all = len(f.bgp) == len(nodes)
	switch {
	case f.reason != "":
	case len(nodes) == 0:
		f.reason = string(announce.NodeNotSelected)
	default:
		f.reason = string(announce.NotOwner)
	}
	return f
}

// What the sentences of a message consist of. core reads them.
const (
	sentenceEnd = "; "
	fromNodes   = " is announced by BGP from "
	onNodes     = " on "
)

// sentences say who announces an address, or why nobody does.
func (f finding) sentences(a netip.Addr, most int) (all []sentence) {
	if f.owner != "" {
		all = append(all, sentence{a.String() + " is announced on layer 2 by " + f.owner, certain})
	}
	if len(f.bgp) > 0 {
		said := sentence{a.String() + fromNodes + named(f.bgp, most), gathering}
		if f.all {
			said.certainty = certain
		}
		all = append(all, said)
	}
	if len(all) > 0 {
		return all
	}
	text := a.String() + " is announced by nobody: " + f.reason
	if len(f.silent) > 0 {
		text += onNodes + named(f.silent, most)
	} else if f.reason == string(announce.NodeNotSelected) {
		text += ", no node has a speaker that is ready"
	}
	return []sentence{{text, missing}}
}

// named names some nodes, and says how many there are.
func named(nodes []string, most int) string {
	if len(nodes) <= most {
		return strings.Join(nodes, ", ")
	}
	return fmt.Sprintf("%d nodes: %s and others", len(nodes), strings.Join(nodes[:most], ", "))
}

// core is what of a sentence is worth another write: of an address who owns it on layer 2, that somebody announces it by
// BGP, or why nobody announces it.
func core(sentence string) string {
	if address, _, bgp := strings.Cut(sentence, fromNodes); bgp {
		return address + fromNodes
	}
	if strings.Contains(sentence, " by nobody: ") {
		sentence, _, _ = strings.Cut(sentence, onNodes)
	}
	return sentence
}

// news returns what of a verdict a Service's condition does not say yet, as the least certain of it; ok is false where it
// says all.
func (v verdict) news(s objects.Service) (least certainty, ok bool) {
	var shown []string
	if s.Announced != nil {
		for text := range strings.SplitSeq(s.Announced.Message, sentenceEnd) {
			shown = append(shown, core(text))
		}
	}
	for _, one := range v.sentences {
		if !slices.Contains(shown, core(one.text)) {
			least, ok = max(least, one.certainty), true
		}
	}
	same := s.Announced != nil && s.Announced.True == v.announced && s.Announced.Reason == v.reason
	return least, ok || !same || len(shown) != len(v.sentences)
}
