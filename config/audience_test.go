package config

import (
	"testing"

	"github.com/kontena/network-lb/ipam"
)

// The keys of a pool decide together whom it serves: these namespaces or those, and of them these Services.
func TestAudience(t *testing.T) {
	const (
		names    = "namespaces: [prod, stage]"
		labels   = "namespace_selectors: [{match_labels: {team: web}}, {match_labels: {team: db}}]"
		services = "service_selectors: [{match_labels: {expose: lan}}, {match_expressions: [{key: expose, operator: DoesNotExist}]}]"
		both     = names + ", " + labels
	)
	type set = map[string]string
	for _, tt := range []struct {
		name, rules string
		request     ipam.Request
		want        bool
	}{
		{"named", names, ipam.Request{Namespace: "stage"}, true},
		{"not named", names, ipam.Request{Namespace: "test"}, false},
		{"labels do not help where only names count", names, ipam.Request{Namespace: "test", NamespaceLabels: set{"team": "web"}}, false},
		{"one of the selectors", labels, ipam.Request{Namespace: "test", NamespaceLabels: set{"team": "db"}}, true},
		{"none of the selectors", labels, ipam.Request{Namespace: "prod", NamespaceLabels: set{"team": "ops"}}, false},
		{"the Service's own labels are not its namespace's", labels, ipam.Request{Labels: set{"team": "web"}}, false},
		{"either: by name", both, ipam.Request{Namespace: "prod"}, true},
		{"either: by label", both, ipam.Request{Namespace: "test", NamespaceLabels: set{"team": "web"}}, true},
		{"neither", both, ipam.Request{Namespace: "test"}, false},
		{"by the Service's label", services, ipam.Request{Labels: set{"expose": "lan"}}, true},
		{"by the absence of it", services, ipam.Request{}, true},
		{"another label", services, ipam.Request{Labels: set{"expose": "wan"}}, false},
		{"both parts have to hold", names + ", " + services, ipam.Request{Namespace: "test"}, false},
		{"both parts hold", names + ", " + services, ipam.Request{Namespace: "prod"}, true},
		{"every namespace", "namespace_selectors: [{}]", ipam.Request{Namespace: "test"}, true},
	} {
		c, _ := parse(t, ruleDocument(tt.rules))
		if got := c.AllocatorPools()[0].Selector.Matches(tt.request); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	c, _ := parse(t, ruleDocument("namespaces: [], namespaceSelectors: [], service-selectors: ~"))
	if s := c.AllocatorPools()[0].Selector; s != nil {
		t.Errorf("empty lists select: %v", s)
	}
}
