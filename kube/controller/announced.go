package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/objects"
)

const (
	// reasonAnnounced is the reason of a condition that is True.
	reasonAnnounced = "Announced"
	// mostNodes is how many nodes a condition names.
	mostNodes = 10
	// A speaker may report up to reportInterval late, or as late as keeps all speakers together at nodesPerSecond reports
	// a second: that nobody announces an address is believed after twice that time.
	nodesPerSecond = 20
)

// telling are the reasons for which an address is not announced, the most telling first: those that hold for all nodes,
// then those of nodes that came near to announcing it.
var telling = []announce.Reason{
	announce.NotConfigured, announce.NotAllocated, announce.NoEndpoints, announce.NoSession, announce.NoInterface,
	announce.NoLocalEndpoints, announce.NodeDraining, announce.NodeNetworkUnavailable, announce.NodeOutOfService,
	announce.NodeNotSelected, announce.NodeExcluded, announce.NotOwner,
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
	announced       bool // by somebody, at least one of the addresses
	all             bool // of the addresses
	reason, message string
}

// verdictOf returns what the speakers' reports say of a Service; ok says that they say enough.
func (sp *speakers) verdictOf(s objects.Service) (v verdict, ok bool) {
	nodes, any := sp.view()
	if !any {
		return v, false
	}
	if s.Allocated == nil || !s.Allocated.True || len(s.Status) == 0 {
		return verdict{reason: string(announce.NotAllocated), message: "it has no address"}, s.Announced != nil
	}
	v.all = true
	var sentences []string
	for _, a := range s.Status {
		f := find(nodes, a)
		if f.unknown && !f.announced() {
			return v, false
		}
		if f.announced() {
			v.announced = true
		} else {
			v.all = false
			if v.reason == "" || tells(f.reason) < tells(v.reason) {
				v.reason = f.reason
			}
		}
		sentences = append(sentences, f.sentences(a, max(1, mostNodes/len(s.Status)))...)
	}
	if v.announced {
		v.reason = reasonAnnounced
	}
	v.message = strings.Join(sentences, sentenceEnd)
	return v, true
}

// finding is what all reports together say of an address.
type finding struct {
	owner   string   // on layer 2; empty: nobody
	bgp     []string // the nodes that announce it by BGP, in order
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
	switch {
	case f.reason != "":
	case len(nodes) == 0:
		f.reason = string(announce.NodeNotSelected)
	default:
		f.reason = string(announce.NotOwner)
	}
	return f
}

// What the sentences of a message consist of. signature reads them.
const (
	sentenceEnd = "; "
	fromNodes   = " is announced by BGP from "
	onNodes     = " on "
)

// sentences say who announces an address, or why nobody does.
func (f finding) sentences(a netip.Addr, most int) (all []string) {
	if f.owner != "" {
		all = append(all, a.String()+" is announced on layer 2 by "+f.owner)
	}
	if len(f.bgp) > 0 {
		all = append(all, a.String()+fromNodes+named(f.bgp, most))
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
	return []string{text}
}

// named names some nodes, and says how many there are.
func named(nodes []string, most int) string {
	if len(nodes) <= most {
		return strings.Join(nodes, ", ")
	}
	return fmt.Sprintf("%d nodes: %s and others", len(nodes), strings.Join(nodes[:most], ", "))
}

// signature is what of a message is worth another write: for each address who owns it on layer 2, that somebody
// announces it by BGP, or why nobody announces it.
func signature(message string) string {
	var parts []string
	for sentence := range strings.SplitSeq(message, sentenceEnd) {
		if address, _, bgp := strings.Cut(sentence, fromNodes); bgp {
			sentence = address + fromNodes
		} else if strings.Contains(sentence, " by nobody: ") {
			sentence, _, _ = strings.Cut(sentence, onNodes)
		}
		parts = append(parts, sentence)
	}
	return strings.Join(parts, sentenceEnd)
}

// shownBy says that a Service's condition says it already.
func (v verdict) shownBy(s objects.Service) bool {
	return s.Announced != nil && s.Announced.True == v.announced && s.Announced.Reason == v.reason &&
		signature(s.Announced.Message) == signature(v.message)
}

// announcement brings the condition Announced of a Service up to date, and tells of a transition by an Event. That an address is
// announced is written at once; that it is not, when it has not been for a while: a speaker may be about to say so.
func (c *Controller) announcement(ctx context.Context, s objects.Service) error {
	v, ok := c.speakers.verdictOf(s)
	if !ok || v.shownBy(s) {
		c.settled(s.Key())
		return nil
	}
	if wait := c.doubt(s.Key(), v); wait > 0 {
		c.queue.AddAfter(s.Key(), wait)
		return nil
	}
	_, err := c.opts.Client.CoreV1().Services(s.Namespace).Patch(ctx, s.Name, types.StrategicMergePatchType,
		v.patch(s, metav1.Now()), metav1.PatchOptions{FieldManager: "network-lb-controller"}, "status")
	if c.counts.failed(writingStatus, err) != nil {
		return err
	}
	c.settled(s.Key())
	eventType := corev1.EventTypeWarning
	if v.announced {
		eventType = corev1.EventTypeNormal
	}
	c.log.Info("announcement", zap.String("service", s.Key()), zap.String("reason", v.reason), zap.String("message", v.message))
	c.events.Post(referTo(s), eventType, v.reason, v.message)
	return nil
}

// doubt says how long to wait before a verdict is believed.
func (c *Controller) doubt(key string, v verdict) time.Duration {
	if v.all {
		return 0
	}
	patience := 2 * max(reportInterval, time.Second*time.Duration(len(c.nodes.GetStore().ListKeys()))/nodesPerSecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	since, noted := c.doubts[key]
	if !noted {
		since = time.Now()
		c.doubts[key] = since
	}
	return patience - time.Since(since)
}

// settled says that there is nothing to doubt about a Service.
func (c *Controller) settled(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.doubts, key)
}

// patch is a strategic merge patch of our condition only.
func (v verdict) patch(s objects.Service, now metav1.Time) []byte {
	type object = map[string]any
	condition := object{
		"type": objects.ConditionAnnounced, "status": conditionStatus(v.announced), "reason": v.reason,
		"message": v.message, "lastTransitionTime": now,
	}
	if s.Announced != nil && s.Announced.True == v.announced {
		delete(condition, "lastTransitionTime") // it stays as it is
	}
	data, err := json.Marshal(object{
		"metadata": object{"uid": s.UID, "resourceVersion": s.ResourceVersion},
		"status":   object{"conditions": []object{condition}},
	})
	if err != nil {
		panic(err) // maps of strings always marshal
	}
	return data
}

// status counts the reports.
func (sp *speakers) status() SpeakersStatus {
	nodes, _ := sp.view()
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return SpeakersStatus{Reports: len(sp.nodes), Counted: len(nodes)}
}
