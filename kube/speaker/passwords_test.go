package speaker

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/bgp"
)

const secured = `
address_pools: [{name: routed, protocol: bgp, addresses: [10.1.0.0/24]}]
peers:
- {peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500, password_secret: {name: tor, key: one}}
- {peer_address: 192.0.2.2, peer_asn: 64501, my_asn: 64500, password: plain}
`

// sessions is a recorder whose peers all have a session.
type sessions struct {
	recorder
	seen []int // how many peers there were each time
}

func (r *sessions) Set(peers []bgp.Peer, routes []bgp.Route) error {
	r.seen = append(r.seen, len(peers))
	return r.recorder.Set(peers, routes)
}

func (r *sessions) Status() (all []bgp.PeerStatus) {
	for _, p := range r.peers {
		all = append(all, bgp.PeerStatus{Peer: p.WithDefaults(), State: bgp.Established})
	}
	return all
}

// wantPasswords checks the passwords of the peers that are set, as "192.0.2.1=secret", and the problems of all.
func wantPasswords(t *testing.T, s *Speaker, r *sessions, problem string, want ...string) {
	t.Helper()
	var got []string
	for _, p := range r.peers {
		got = append(got, fmt.Sprintf("%s=%s", p.Title(), string(p.Password)))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the peers are %q, want %q", got, want)
	}
	shown := ""
	for _, session := range s.Status().BGP {
		shown += session.Problem
	}
	if !strings.Contains(shown, problem) || problem == "" && shown != "" {
		t.Errorf("the status shows the problem %q, want %q", shown, problem)
	}
}

func TestPasswords(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populate("10.1.0.1")
		c.configure(secured)
		r := &sessions{}
		s := c.start(c, r, &r.claims, nil)
		const other = "192.0.2.2=plain"
		wantPasswords(t, s, r, "there is no Secret system/tor", other)
		c.secret("tor", map[string]string{"two": "x"})
		wantPasswords(t, s, r, `the Secret system/tor has no key "one"`, other)
		c.secret("tor", map[string]string{"one": strings.Repeat("x", 81)})
		wantPasswords(t, s, r, "want at most 80", other)
		c.secret("tor", map[string]string{"one": "\n"})
		wantPasswords(t, s, r, `the password under "one" in the Secret system/tor is empty`, other)
		c.secret("tor", map[string]string{"one": "secret\n"})
		wantPasswords(t, s, r, "", "192.0.2.1=secret", other)
		c.secret("tor", map[string]string{"one": "another"})
		wantPasswords(t, s, r, "", "192.0.2.1=another", other)

		// What was good once stays in force.
		for _, tt := range []struct {
			data    map[string]string
			problem string
		}{{map[string]string{"one": ""}, "is empty"}, {map[string]string{}, "is missing"}, {nil, "there is no Secret system/tor"}} {
			c.secret("tor", tt.data)
			wantPasswords(t, s, r, tt.problem+"; until that is put right the session keeps the password that it has", "192.0.2.1=another", other)
		}
		c.configure(both)
		if len(s.passwords.secrets) > 0 {
			t.Error("a Secret is followed that nobody names any more")
		}
	})
}

// A Secret that may not be read is said to be so; the sessions that need none are there.
func TestForbiddenPassword(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.PrependReactor("list", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if name, _ := a.(clienttesting.ListAction).GetListRestrictions().Fields.RequiresExactMatch("metadata.name"); name == "tor" {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, errors.New("not in the Role"))
			}
			return false, nil, nil
		})
		c.populate("10.1.0.1")
		c.configure(secured)
		r := &sessions{}
		s := c.start(c, r, &r.claims, nil)
		wantPasswords(t, s, r, "not in the Role", "192.0.2.2=plain")
	})
}

// Another reference to a password changes no session before there is a password to use.
func TestPasswordElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populate("10.1.0.1")
		c.secret("tor", map[string]string{"one": "secret"})
		c.secret("tor2", map[string]string{"one": "secret", "two": "other"})
		c.configure(secured)
		core, logged := observer.New(zap.WarnLevel)
		r := &sessions{}
		s := c.start(c, r, &r.claims, func(o *Options) { o.Logger = zap.New(core) })
		wantPasswords(t, s, r, "", "192.0.2.1=secret", "192.0.2.2=plain")
		r.seen = nil
		for _, tt := range []struct{ first, second, problem, want string }{
			{"password_secret: {name: tor2, key: one}", "password: plain", "", "secret plain"},
			{"password_secret: {name: misspelt, key: one}", "password: plain", "there is no Secret system/misspelt", "secret plain"},
			{"password_secret: {name: tor2, key: misspelt}", "password: plain", `has no key "misspelt"`, "secret plain"},
			{"password_secret: {name: tor2, key: one}", "password_secret: {name: misspelt, key: one}", "there is no Secret system/misspelt", "secret plain"},
			{"password_secret: {name: tor, key: one}", "password_secret: {name: tor2, key: two}", "", "secret other"},
			{"password: inline", "password: plain", "", "inline plain"},
			{"password_secret: {name: misspelt, key: one}", "password: plain", "there is no Secret system/misspelt", "inline plain"},
		} {
			logged.TakeAll()
			document := strings.Replace(secured, "password_secret: {name: tor, key: one}", tt.first, 1)
			c.configure(strings.Replace(document, "password: plain", tt.second, 1))
			passwords := strings.Fields(tt.want)
			wantPasswords(t, s, r, tt.problem, "192.0.2.1="+passwords[0], "192.0.2.2="+passwords[1])
			last := ""
			for _, entry := range logged.TakeAll() {
				last = fmt.Sprint(entry.ContextMap()["error"])
			}
			if tt.problem != "" && !strings.Contains(last, tt.problem) {
				t.Errorf("%s, %s: logged %q", tt.first, tt.second, last)
			}
		}
		for _, peers := range r.seen {
			if peers != 2 {
				t.Errorf("one time there were %d peers: %v", peers, r.seen)
			}
		}
		c.configure(strings.Replace(both, "192.0.2.1", "192.0.2.9", 1))
		c.configure(strings.Replace(secured, "name: tor,", "name: misspelt,", 1))
		if len(r.peers) != 1 {
			t.Errorf("a peer that was taken away comes back with the password of long ago, or none: %v", r.peers)
		}
	})
}

// Peers of one address, each for other nodes, have nothing to do with each other.
func TestPasswordOfAnotherNode(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populate("10.1.0.1")
		c.secret("tor", map[string]string{"one": "secret"})
		c.configure(`
address_pools: [{name: routed, protocol: bgp, addresses: [10.1.0.0/24]}]
peers:
- {peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500, password_secret: {name: misspelt, key: one}, node_selectors: [{match_labels: {rack: b}}]}
- {peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500, password_secret: {name: tor, key: one}, node_selectors: [{match_expressions: [{key: rack, operator: DoesNotExist}]}]}
`)
		r := &sessions{}
		wantPasswords(t, c.start(c, r, &r.claims, nil), r, "", "192.0.2.1=secret")
	})
}
