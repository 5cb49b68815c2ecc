package speaker

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/kube/serve"
	"github.com/kontena/network-lb/layer2"
)

// busy is what a responder says that has seen everything; of the two other stations one was heard long ago.
func busy(now time.Time) layer2.Status {
	first, second := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	return layer2.Status{
		Links: []layer2.LinkStatus{
			{Link: layer2.Link{Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 1}, Carrier: true}, Addresses: 2,
				Requests: 5, Answers: 4, Gratuitous: 12, Probes: 3, Conflicts: 7, Errors: 1, Drops: 2},
			{Link: layer2.Link{Name: "idle"}},
			{Link: layer2.Link{Name: "odd", Problem: "no socket"}},
		},
		Claims: []layer2.ClaimStatus{
			{Addr: first, Interfaces: []string{"eth0"}, KernelAnswersARP: []string{"eth0"}, Conflicts: []layer2.Conflict{
				{Addr: first, Interface: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 9}, Speaker: "b", First: now, Last: now, Frames: 6},
			}},
			{Addr: second, Err: errors.New("no interface"), Conflicts: []layer2.Conflict{
				{Addr: second, Interface: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 8}, First: now, Last: now.Add(-time.Hour), Frames: 1},
			}},
		},
	}
}

func TestStatusOfLayer2(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := layer2Status(busy(now), []Veto{{netip.MustParseAddr("10.0.0.3"), "b", 4}})
	m := membersOf(&company{members: []members.Member{
		{Node: "a", Addr: netip.MustParseAddrPort("10.0.0.200:17946"), Presence: members.Alive, Since: now, Known: true,
			State: members.State{Held: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Draining: true}},
		{Node: "b", Addr: netip.MustParseAddrPort("10.0.0.201:17946"), Problem: "no answer"},
	}})
	for _, tt := range []struct {
		of   any
		want string
	}{
		{l.Interfaces, `[{"name":"eth0","mac":"02:00:00:00:00:01","carrier":true,"addresses":2,"requests":5,"answers":4,"gratuitous":12,"conflicts":7,"errors":1,"drops":2},` +
			`{"name":"odd","mac":"00:00:00:00:00:00","carrier":false,"problem":"no socket","addresses":0,"requests":0,"answers":0,"gratuitous":0,"conflicts":0,"errors":0,"drops":0}]`},
		{l.Claims, `[{"address":"10.0.0.1","interfaces":["eth0"],"conflicts":[{"interface":"eth0","mac":"02:00:00:00:00:09","speaker":"b","first":"2026-01-02T03:04:05Z","last":"2026-01-02T03:04:05Z","frames":6}],"kernel_answers":["eth0"]},` +
			`{"address":"10.0.0.2","problem":"no interface","conflicts":[{"interface":"eth0","mac":"02:00:00:00:00:08","first":"2026-01-02T03:04:05Z","last":"2026-01-02T02:04:05Z","frames":1}]}]`},
		{l.Vetoes, `[{"address":"10.0.0.3","node":"b","times":4}]`},
		{m, `[{"node":"a","address":"10.0.0.200:17946","presence":"Alive","since":"2026-01-02T03:04:05Z","draining":true,"holds":["10.0.0.1"]},` +
			`{"node":"b","address":"10.0.0.201:17946","presence":"Missing","problem":"no answer","holds":[]}]`},
		{layer2Status(layer2.Status{}, newCaution(nil, nil, nil).vetoed()), `{"interfaces":[],"claims":[],"vetoes":[]}`},
	} {
		if got, err := json.Marshal(tt.of); err != nil || string(got) != tt.want {
			t.Errorf("got\n%s, %v, want\n%s", got, err, tt.want)
		}
	}
}

func TestMetricsOfLayer2(t *testing.T) {
	g := serve.Readings(layer2Gauges, layer2Counters, func(set serve.Gauge) { measureLayer2(set, layer2Status(busy(time.Now()), nil)) })
	if err := testutil.GatherAndCompare(g, strings.NewReader(`
# HELP network_lb_layer2_answers_total Answers to them; a counter.
# TYPE network_lb_layer2_answers_total counter
network_lb_layer2_answers_total{interface="eth0"} 4
network_lb_layer2_answers_total{interface="odd"} 0
# HELP network_lb_layer2_conflict_frames_total Frames of other stations that claim an address of this node; a counter.
# TYPE network_lb_layer2_conflict_frames_total counter
network_lb_layer2_conflict_frames_total{interface="eth0"} 7
network_lb_layer2_conflict_frames_total{interface="odd"} 0
# HELP network_lb_layer2_conflicts Addresses of this node that another station has claimed within a minute.
# TYPE network_lb_layer2_conflicts gauge
network_lb_layer2_conflicts{station="foreign"} 0
network_lb_layer2_conflicts{station="speaker"} 1
# HELP network_lb_layer2_drops_total Frames that were heard, and lost since the kernel had no room for more; a counter.
# TYPE network_lb_layer2_drops_total counter
network_lb_layer2_drops_total{interface="eth0"} 2
network_lb_layer2_drops_total{interface="odd"} 0
# HELP network_lb_layer2_errors_total Frames that the interface did not take; a counter.
# TYPE network_lb_layer2_errors_total counter
network_lb_layer2_errors_total{interface="eth0"} 1
network_lb_layer2_errors_total{interface="odd"} 0
# HELP network_lb_layer2_gratuitous_total Frames that announced addresses, or defended them; a counter.
# TYPE network_lb_layer2_gratuitous_total counter
network_lb_layer2_gratuitous_total{interface="eth0"} 12
network_lb_layer2_gratuitous_total{interface="odd"} 0
# HELP network_lb_layer2_kernel_answers Addresses of this node for which its kernel answers too, as the kernels of other nodes may.
# TYPE network_lb_layer2_kernel_answers gauge
network_lb_layer2_kernel_answers 1
# HELP network_lb_layer2_requests_total ARP requests and neighbour solicitations for this node's addresses; a counter.
# TYPE network_lb_layer2_requests_total counter
network_lb_layer2_requests_total{interface="eth0"} 5
network_lb_layer2_requests_total{interface="odd"} 0
`)); err != nil {
		t.Error(err)
	}
}
